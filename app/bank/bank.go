// Package bank is the sample domain: accounts of a retail bank.
//
// Money is a whole number of minor units (haléře: 25400.00 crowns are 2540000).
// A command on an account that was never opened, or is closed, is rejected with
// "account-not-open"; one whose sums would leave 64 bits with "out-of-range".
package bank

import "github.com/longrun-dev/longrun/es"

// Domain is everything the bank defines. It may be called any number of times.
func Domain() es.Domain {
	return es.NewDomain("bank", Account,
		StatusOf, Balance, OverdraftLimit, LimitUnauthorised, InterestDue, AccruedDays, Statement,
		IsOpen, BalanceBelow, InterestAccruedOn, Overdrawn, HasInterestDue,
		OpenAccount, DepositMoney, WithdrawMoney, SetOverdraftLimit, SetBeneficiary, CloseAccount, AccrueInterest,
		TransferMoney, PayInterest, AccrueInterestForAll, PayInterestForAll)
}
