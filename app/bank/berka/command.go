package berka

import (
	"fmt"

	"github.com/longrun-dev/longrun/app/bank"
)

// command is a line of POST /commands, and where it comes from.
type command struct {
	Command    string `json:"command"`
	ID         string `json:"id"`
	Parameters any    `json:"parameters"`

	about       bank.AccountID
	transaction Transaction // the zero one if it comes from none
}

func (c command) String() string {
	if line := c.transaction.Line; line > 0 {
		return fmt.Sprintf("line %d: transaction %s", line, c.ID)
	}
	return fmt.Sprintf("%s %s", c.Command, c.ID)
}

func openAccount(id bank.AccountID) command {
	return command{
		Command: "bank.open-account", ID: "open-" + string(id), about: id,
		Parameters: bank.Opening{Account: id, Owner: "account " + string(id)},
	}
}

func raiseLimit(id bank.AccountID, limit bank.Minor) command {
	return command{
		Command: "bank.set-overdraft-limit", ID: fmt.Sprintf("limit-%s-%d", id, limit), about: id,
		Parameters: bank.Overdraft{Account: id, Limit: limit},
	}
}

func post(t Transaction) command {
	c := command{ID: t.ID, about: t.Account, transaction: t}
	m := bank.Movement{Account: t.Account, Amount: t.Amount, Details: t.Details}
	c.Command = "bank.deposit-money"
	if t.Amount < 0 {
		c.Command, m.Amount = "bank.withdraw-money", -t.Amount
	}
	c.Parameters = m
	return c
}

// answer is what came of a command.
type answer struct {
	ID       string      `json:"id"`
	Sequence uint64      `json:"sequence"`
	Result   *bank.Minor `json:"result"`
	Error    *problem    `json:"error"`
}

// problem is how the API says no.
type problem struct {
	Code   string `json:"code"`
	Reason string `json:"reason"`
	Detail string `json:"detail"`
	Errors []struct {
		Field   string `json:"field"`
		Message string `json:"message"`
	} `json:"errors"`
}

func (p *problem) Error() string {
	text := p.Code
	if p.Reason != "" {
		text += " (" + p.Reason + ")"
	}
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	for _, e := range p.Errors {
		text += "; " + e.Field + " " + e.Message
	}
	return text
}
