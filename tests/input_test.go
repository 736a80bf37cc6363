package tests

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var inputJourneys = []journey{
	{"what is not JSON", sendsWhatIsNotJSON},
	{"parameters that are wrong", sendsWrongParameters},
	{"amounts at the edges of 64 bits", sendsLargeAmounts},
	{"bodies that are too large", sendsLargeBodies},
	{"ids that cannot be", sendsWrongIDs},
	{"keys that cannot be", sendsWrongKeys},
	{"keys of every kind come back as they were given", sendsStrangeKeys},
	{"ids of every kind come back as they were given", sendsStrangeIDs},
	{"keys that differ only in case are two", sendsKeysInTwoCases},
}

// writesNothing fails if a command with this id left a trace, or the account an
// event.
func writesNothing(t *testing.T, b *bank, key, command string) {
	t.Helper()
	require.Len(t, b.events(t, of(key, "events")), 1)
	b.get(t, path("commands", deposit, command)).fails("not-found")
}

func sendsWhatIsNotJSON(t *testing.T, b *bank) {
	key, command := b.account(t, 0, 0), unique("bad")
	good := jsonText(t, params{"account": key, "amount": 1})
	for _, body := range []string{
		"", " ", "{", good[1:], good[:len(good)-1], good + good, good + ",", "amount=1", "\x00",
		strings.Replace(good, "1", "01", 1) + "x", strings.Replace(good, `"amount":1`, `"amount":1,"amount":2`, 1),
		strings.Replace(good, `"amount":1`, `"amount":NaN`, 1),
		`{"account":"` + "\xff" + `","amount":1}`,
		`{"account":"\ud800","amount":1}`,
		"null", "[]", "7", `"text"`, "[" + good + "]",
		strings.Repeat("[", 100_000),
		strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		`{"account":` + strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000) + `,"amount":1}`,
	} {
		a := b.post(t, deposit, body, id(command))
		require.Equal(t, http.StatusBadRequest, a.status, "%.100s: %s", body, a.body)
		a.fails("invalid")
	}
	writesNothing(t, b, key, command)
}

func sendsWrongParameters(t *testing.T, b *bank) {
	key, command := b.account(t, 0, 0), unique("bad")
	for _, c := range []struct {
		body   any
		fields []string
	}{
		{params{}, []string{"account", "amount"}},
		{params{"account": key}, []string{"amount"}},
		{params{"amount": 1}, []string{"account"}},
		{params{"account": key, "amount": nil}, []string{"amount"}},
		{params{"account": nil, "amount": 1}, []string{"account"}},
		{params{"account": key, "amount": "1"}, []string{"amount"}},
		{params{"account": key, "amount": true}, []string{"amount"}},
		{params{"account": key, "amount": []int{1}}, []string{"amount"}},
		{params{"account": key, "amount": 1.5}, []string{"amount"}},
		{params{"account": key, "amount": 0}, []string{"amount"}},
		{params{"account": key, "amount": -1}, []string{"amount"}},
		{params{"account": 576, "amount": 1}, []string{"account"}},
		{params{"account": params{}, "amount": 1}, []string{"account"}},
		{params{"account": key, "amount": 1, "purpose": 7}, []string{"purpose"}},
		{params{"account": key, "amount": 1, "occurred": "yesterday"}, []string{"occurred"}},
		{params{"account": key, "amount": 1, "Amount": 2}, []string{"Amount"}},
		{params{"account": key, "Amount": 1}, []string{"Amount", "amount"}},
		{params{"account": 1, "amount": "1", "color": "red"}, []string{"account", "amount", "color"}},
	} {
		b.post(t, deposit, c.body, id(command)).invalid(c.fields...)
	}
	writesNothing(t, b, key, command)
}

func sendsLargeAmounts(t *testing.T, b *bank) {
	key, command := b.account(t, 0, 0), unique("bad")
	for _, amount := range []string{
		"9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616",
		"1e19", "1e400", "1e-1", "123456789012345678901234567890", "9223372036854775807.5",
	} {
		body := fmt.Sprintf(`{"account":%q,"amount":%s}`, key, amount)
		b.post(t, deposit, body, id(command)).invalid("amount")
	}
	writesNothing(t, b, key, command)

	most := int64(9223372036854775807)
	b.post(t, deposit, params{"account": key, "amount": most}).completed()
	require.Equal(t, most, b.balance(t, key))
	b.post(t, deposit, params{"account": key, "amount": 1}).fails("rejected")
	require.Equal(t, most, b.balance(t, key))
	b.post(t, withdraw, params{"account": key, "amount": most}).completed()
	require.Equal(t, int64(0), b.balance(t, key))
}

func sendsLargeBodies(t *testing.T, b *bank) {
	key, command := b.account(t, 0, 0), unique("bad")
	good := jsonText(t, params{"account": key, "amount": 1})
	b.post(t, deposit, good+strings.Repeat(" ", 1<<20), id(command)).fails("too-large")
	b.post(t, deposit, params{"account": key, "amount": 1, "purpose": strings.Repeat("x", 2<<20)}, id(command)).fails("too-large")
	writesNothing(t, b, key, command)
	b.post(t, deposit, good+strings.Repeat(" ", 1<<20-len(good))).completed()
}

// wrongKeys can be neither keys nor ids.
var wrongKeys = []string{"", "a\x00b", "a\nb", "\t", "a\x7fb", "a\u0085b", "a\xffb", strings.Repeat("x", 513), strings.Repeat("ž", 257), strings.Repeat("x", 10_000)}

func sendsWrongIDs(t *testing.T, b *bank) {
	key := b.account(t, 0, 0)
	for _, wrong := range wrongKeys {
		if !strings.ContainsAny(wrong, "\x00\n\x7f") { // which no HTTP client sends
			b.post(t, deposit, params{"account": key, "amount": 1}, id(wrong)).fails("invalid")
			b.post(t, deposit, params{"account": key, "amount": 1}, header("Correlation-Id", wrong)).fails("invalid")
		}
		b.get(t, path("commands", deposit, wrong)).fails("invalid")
		if wrong != "a\xffb" { // which JSON cannot write
			r := bulk(t, b, []params{{"command": deposit, "id": wrong, "parameters": params{"account": key, "amount": 1}}})
			r[0].fails(t, "invalid")
		}
	}
	require.Len(t, b.events(t, of(key, "events")), 1)
}

func sendsWrongKeys(t *testing.T, b *bank) {
	for _, wrong := range wrongKeys {
		if wrong != "a\xffb" {
			b.post(t, openAccount, params{"account": wrong, "owner": "Jana"}).invalid("account")
		}
		for _, read := range []string{of(wrong, "events"), of(wrong, "projections", "balance"), of(wrong, "classifications", "open")} {
			b.get(t, read).fails("invalid")
		}
		b.do(t, http.MethodPost, of(wrong, "verify"), nil).fails("invalid")
	}
}

// strangeKeys are keys, however they look.
var strangeKeys = []string{
	".", "..", "...", "a/b", "/", "//", "../../etc/passwd", `\`, `a\b`, "#", "?", "a?b=c#d", "||", "a||b", "~", "~head", "%", "%2F", "%00", "+", "a b", " ", " a ",
	"&", "=", ";", ":", "@", "'", `"`, "<script>", "*", "$1", "{}", "[0]", "-", "_", "_2f", "es~bank.account~1~00000000000000000001",
	"žluťoučký kůň", "Ελληνικά", "русский", "العربية", "עברית", "हिन्दी", "ไทย", "中文", "日本語", "한국어", "🏦", "👩‍👩‍👧", "e\u0301", "\u00e9", "\u200b", "\u202e", "\ufeff",
}

func sendsStrangeKeys(t *testing.T, b *bank) {
	listed := map[string]string{}
	for _, strange := range append(strangeKeys, strings.Repeat("x", 475), strings.Repeat("🏦", 118)) {
		prefix := unique("") // everybody shares one bank
		for _, key := range []string{strange + prefix, prefix + strange} {
			opened := b.post(t, openAccount, params{"account": key, "owner": "Jana"}).completed()
			require.Equal(t, key, opened.Key)
			b.post(t, deposit, params{"account": key, "amount": 1}).completed()
			require.Equal(t, int64(1), b.balance(t, key), key)
			require.Len(t, b.events(t, of(key, "events")), 2)
			require.True(t, b.verify(t, key).OK)
			listed[key] = strange
		}
	}
	for _, key := range b.keys(t, "1000") {
		delete(listed, key)
	}
	require.Empty(t, listed, "keys are not listed as they were given")

	// Alone as well, where nobody else uses them: a segment of dots.
	for _, key := range []string{".", "..", "/", "%2E"} {
		a := b.post(t, openAccount, params{"account": key, "owner": "Jana"})
		require.Contains(t, []int{http.StatusOK, http.StatusConflict}, a.status, "%s", a.body) // another journey may have been faster
		require.Equal(t, int64(0), b.balance(t, key))
	}
}

func sendsStrangeIDs(t *testing.T, b *bank) {
	key := b.account(t, 0, 0)
	var lines []line
	for _, strange := range strangeKeys {
		prefix := unique("")
		for _, id := range []string{strange + prefix, prefix + strange} {
			lines = append(lines, line{Command: deposit, ID: id, Parameters: params{"account": key, "amount": 1}})
		}
	}
	for i, r := range bulk(t, b, lines) {
		require.Equal(t, "completed", r.Status)
		require.Equal(t, lines[i].ID, r.ID)
		require.Equal(t, lines[i].ID, b.progress(t, deposit, lines[i].ID).ID)
	}
	require.Equal(t, int64(len(lines)), b.balance(t, key))

	asHeader := unique("žluťoučký kůň 🏦 /#?|| ..")
	require.Equal(t, asHeader, b.post(t, deposit, params{"account": key, "amount": 1}, id(asHeader)).completed().ID)
	require.Equal(t, asHeader, b.progress(t, deposit, asHeader).ID)
}

func sendsKeysInTwoCases(t *testing.T, b *bank) {
	suffix := unique("")
	lower, upper := "ž-jana"+suffix, "Ž-JANA"+suffix
	for i, key := range []string{lower, upper} {
		b.post(t, openAccount, params{"account": key, "owner": key}).completed()
		b.post(t, deposit, params{"account": key, "amount": i + 1}).completed()
	}
	require.Equal(t, int64(1), b.balance(t, lower))
	require.Equal(t, int64(2), b.balance(t, upper))
}
