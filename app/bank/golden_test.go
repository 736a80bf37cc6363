package bank_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/longrun-dev/longrun/app/bank"
	"github.com/longrun-dev/longrun/es"
)

var rewrite = flag.Bool("rewrite", false, "write testdata anew")

// Streams hold these names and shapes for ever. A line that changes is a new
// version of the event and needs an upcaster; lines may be added.
func TestStoredEventsAreAContract(t *testing.T) {
	events := es.Events{
		bank.AccountOpened{Owner: "Jana Novotná", Opened: "1993-01-01"},
		bank.BeneficiarySet{Beneficiary: "Petr Novotný"},
		bank.MoneyDeposited{Amount: 340100, Details: bank.Details{Operation: "transfer-in", Purpose: "pension", Counterparty: "IJ/6149286", Occurred: "1993-01-05"}},
		bank.MoneyDeposited{Amount: 1},
		bank.MoneyWithdrawn{Amount: 340100, Details: bank.Details{Operation: "transfer-out", Purpose: "household", Counterparty: "IJ/6149286", Occurred: "1993-01-05T10:00:00Z"}},
		bank.MoneyWithdrawn{Amount: 9223372036854775807},
		bank.OverdraftLimitSet{Limit: 100000},
		bank.OverdraftLimitSet{Limit: 0, Unauthorised: true},
		bank.InterestAccrued{Day: "1993-01-05", Amount: -17},
		bank.InterestAccrued{Day: "1993-01-06"},
		bank.InterestPaid{Amount: 17},
		bank.Refunded{Amount: 340100},
		bank.AccountClosed{},
	}
	const file = "testdata/events.golden"
	if *rewrite {
		var b strings.Builder
		for _, e := range events {
			data, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s 1 %s\n", e.EventName(), data)
		}
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(golden)), "\n")
	if len(lines) != len(events) {
		t.Fatalf("%d lines, %d events", len(lines), len(events))
	}
	for i, e := range events {
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var name, stored string
		var version int
		if _, err := fmt.Sscanf(lines[i], "%s %d", &name, &version); err != nil {
			t.Fatal(err)
		}
		stored = strings.SplitN(lines[i], " ", 3)[2]
		if name != e.EventName() || stored != string(data) {
			t.Errorf("stored as %s %s, now %s %s", name, stored, e.EventName(), data)
		}
		back := account(t).GivenStored(name, version, stored).Events()
		if !reflect.DeepEqual(back, es.Events{e}) {
			t.Errorf("%s comes back as %+v", lines[i], back)
		}
	}
}
