package bank

import "github.com/longrun-dev/longrun/es"

// Minor is an amount of money in minor units: 1 is a haléř, 100 a crown.
type Minor int64

// plus is a+b, or a rejection where that leaves 64 bits.
func (a Minor) plus(b Minor) (Minor, error) {
	if sum := a + b; (sum > a) == (b > 0) {
		return sum, nil
	}
	return 0, es.Reject("out-of-range", "%d and %d cannot be added in 64 bits", a, b)
}

// interest is that of one day on a balance: 5/10,000 in the customer's favour or
// 10/10,000 in the bank's, rounded half away from zero. Dividing instead of
// multiplying keeps it exact over all of int64.
func interest(balance Minor) Minor {
	if balance < 0 {
		return divide(balance, 10_000/10)
	}
	return divide(balance, 10_000/5)
}

// divide is a/by rounded half away from zero; by is even and positive.
func divide(a, by Minor) Minor {
	quotient, rest := a/by, a%by
	switch half := by / 2; {
	case rest >= half:
		return quotient + 1
	case rest <= -half:
		return quotient - 1
	default:
		return quotient
	}
}
