package berka

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/longrun-dev/longrun/app/bank"
)

// readers is how many balances are read at the same time.
const readers = 16

var strong = url.Values{"consistency": {"strong"}}

// check compares every account's balance over the API with the file.
func (i *importer) check(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	var mu sync.Mutex
	done := 0
	i.progress("checking", done, len(i.accounts))
	for _, a := range i.accounts {
		group.Go(func() error {
			balance, moved, err := i.balance(ctx, a)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			i.judge(a, balance, moved)
			done++
			i.progress("checking", done, len(i.accounts))
			return nil
		})
	}
	return group.Wait()
}

// balance is an account's after the last of the file's transactions; moved says
// that more has happened since.
func (i *importer) balance(ctx context.Context, a *account) (balance bank.Minor, moved bool, err error) {
	balance, sequence, err := i.number(ctx, a.id, "balance", strong)
	if err != nil || !a.posted || sequence <= a.sequence {
		return balance, false, err
	}
	balance, _, err = i.number(ctx, a.id, "balance", url.Values{"sequence": {strconv.FormatUint(a.sequence, 10)}})
	return balance, true, err
}

// judge counts an account. A file that begins at zero says what the balance is.
// One that begins elsewhere goes on from an earlier file: if that was not
// imported, only what this one adds can be compared.
func (i *importer) judge(a *account, balance bank.Minor, moved bool) {
	if moved {
		i.sum.Moved++
	}
	want := a.last
	if shifted := a.start != 0 && a.drift != 0; shifted {
		want += a.drift
		if balance == want {
			i.sum.Shifted++
		}
	}
	if balance == want {
		i.sum.Agree++
		return
	}
	i.sum.Differ++
	err := fmt.Errorf("account %s: the balance is %s, the file says %s", a.id, crowns(balance), crowns(want))
	if a.drift != 0 {
		err = fmt.Errorf("%w; before the file it was %s, the file begins with %s", err, crowns(a.start+a.drift), crowns(a.start))
	}
	i.report(err)
}
