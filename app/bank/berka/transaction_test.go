package berka

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/longrun-dev/longrun/app/bank"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		line string
		want Transaction
	}{
		{"637742,2177,1993-01-05,credit,transfer-in,5123.00,5923.00,pension,YZ,62457513", Transaction{
			ID: "637742", Account: "2177", Amount: 512300, After: 592300,
			Details: bank.Details{Operation: "transfer-in", Purpose: "pension", Counterparty: "YZ/62457513", Occurred: "1993-01-05"},
		}},
		{"1450116,4937,1993-04-24,debit,cash-withdrawal,5400.00,-45384.20,,,0", Transaction{
			ID: "1450116", Account: "4937", Amount: -540000, After: -4538420,
			Details: bank.Details{Operation: "cash-withdrawal", Counterparty: "0", Occurred: "1993-04-24"},
		}},
		{`1,2,1993-01-01,credit,,0.01,0.01,"rent, and more",AB,`, Transaction{
			ID: "1", Account: "2", Amount: 1, After: 1,
			Details: bank.Details{Purpose: "rent, and more", Counterparty: "AB", Occurred: "1993-01-01"},
		}},
	} {
		got, err := parse(c.line)
		require.NoError(t, err, c.line)
		require.Equal(t, c.want, got)
	}
}

func TestParseRefusesWhatIsMalformed(t *testing.T) {
	good := "1,2,1993-01-01,credit,cash-deposit,1.00,1.00,,,"
	_, err := parse(good)
	require.NoError(t, err)
	for change, says := range map[string]string{
		"1,2,1993-01-01,credit,cash-deposit,1.00,1.00,,": "9 fields",
		good + ",": "11 fields",
		"hello":    "1 fields",
		",2,1993-01-01,credit,cash-deposit,1.00,1.00,,,":                        "transaction_id",
		"1,,1993-01-01,credit,cash-deposit,1.00,1.00,,,":                        "account_id",
		"1,2,1993-02-29,credit,cash-deposit,1.00,1.00,,,":                       "date",
		"1,2,930101,credit,cash-deposit,1.00,1.00,,,":                           "date",
		"1,2,1993-01-01,Credit,cash-deposit,1.00,1.00,,,":                       "direction",
		"1,2,1993-01-01,,cash-deposit,1.00,1.00,,,":                             "direction",
		"1,2,1993-01-01,credit,cash-deposit,,1.00,,,":                           "amount",
		"1,2,1993-01-01,credit,cash-deposit,0.00,1.00,,,":                       "amount",
		"1,2,1993-01-01,credit,cash-deposit,-1.00,1.00,,,":                      "amount",
		"1,2,1993-01-01,credit,cash-deposit,1e2,1.00,,,":                        "amount",
		"1,2,1993-01-01,credit,cash-deposit,1.00,,,,":                           "balance_after",
		"1,2,1993-01-01,credit,cash-deposit,1.00,x,,,":                          "balance_after",
		"1,2,1993-01-01,debit,x,92233720368547758.07,92233720368547758.07,,,":   "64 bits",
		"1,2,1993-01-01,credit,x,92233720368547758.07,-92233720368547758.07,,,": "64 bits",
		`1,2,1993-01-01,credit,"cash-deposit,1.00,1.00,,,`:                      "quotes",
		`1,2,1993-01-01,credit,cash"deposit",1.00,1.00,,,`:                      "quotes",
	} {
		_, err := parse(change)
		require.ErrorContains(t, err, says, change)
	}
}

func TestAmountsAreExact(t *testing.T) {
	for text, want := range map[string]bank.Minor{
		"0": 0, "0.00": 0, "-0.00": 0, "0.01": 1, "-0.01": -1, "0.1": 10, "1": 100, "1.5": 150, "007.05": 705,
		"25400.00": 2540000, "0.29": 29, "1.13": 113, "4.35": 435, // floats get these wrong
		"92233720368547758.07": math.MaxInt64, "-92233720368547758.07": -math.MaxInt64,
	} {
		got, err := minor(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, bad := range []string{
		"", "-", ".", "1.", ".5", "1.000", "1,00", "1 000.00", "+1.00", "--1.00", "1.-5", "1.0.0", "0x10", "1_000",
		"NaN", "92233720368547758.08", "-92233720368547758.08", "1000000000000000000", "١.00",
	} {
		_, err := minor(bad)
		require.Error(t, err, bad)
	}
}

// What is written for people reads back as it was.
func TestAmountsComeBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		want := bank.Minor(rapid.Int64Min(-math.MaxInt64).Draw(r, "amount"))
		got, err := minor(crowns(want))
		if err != nil || got != want {
			r.Fatalf("%d is written %s, which is read as %d (%v)", want, crowns(want), got, err)
		}
	})
	require.Equal(t, "-0.07", crowns(-7))
	require.Equal(t, "-92233720368547758.08", crowns(math.MinInt64))
}

// lines reads a whole file: the ids of its transactions, and its faults.
func lines(file string) (ids []string, faults []string) {
	for t, err := range Transactions(strings.NewReader(file)) {
		if err != nil {
			faults = append(faults, err.Error())
			continue
		}
		ids = append(ids, t.ID)
	}
	return ids, faults
}

func TestTransactions(t *testing.T) {
	line := func(id string) string { return id + ",2,1993-01-01,credit,x,1.00,1.00,,," }
	t.Run("of every way to end a line", func(t *testing.T) {
		ids, faults := lines(header + "\r\n" + line("1") + "\r\n\n" + line("2") + "\n" + line("3"))
		require.Equal(t, []string{"1", "2", "3"}, ids)
		require.Empty(t, faults)
	})
	t.Run("with a byte order mark", func(t *testing.T) {
		ids, faults := lines("\ufeff" + header + "\n" + line("1") + "\n")
		require.Equal(t, []string{"1"}, ids)
		require.Empty(t, faults)
	})
	t.Run("go on after a bad line, and name it", func(t *testing.T) {
		ids, faults := lines(strings.Join([]string{
			header, line("1"), "bad", line("2"), strings.Repeat("x", 3*maxLine), line("3"), "\xff" + line("4"), `"` + line("5"), line("6"),
		}, "\n"))
		require.Equal(t, []string{"1", "2", "3", "6"}, ids)
		require.Len(t, faults, 4)
		require.Contains(t, faults[0], "line 3: 1 fields")
		require.Contains(t, faults[1], "line 5: not a line of text: longer than 65536 bytes")
		require.Contains(t, faults[2], "line 7: not a line of text: not UTF-8")
		require.Contains(t, faults[3], "line 8: the quotes do not match")
	})
	t.Run("of another kind of file", func(t *testing.T) {
		_, faults := lines("account_id,district_id\n576,55\n")
		require.Len(t, faults, 1)
		require.Contains(t, faults[0], "not a file of transactions")
		_, faults = lines("")
		require.Equal(t, []string{"the file is empty"}, faults)
	})
}
