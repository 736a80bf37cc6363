package stream

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestKeysOfAStream(t *testing.T) {
	id := ID{Type: "bank.account", Key: "Ada~7%"}
	require.Equal(t, "es~bank.account~_41da_7e7_25", id.Partition())
	require.Equal(t, "es~bank.account~_41da_7e7_25~00000000000000000042", id.CommitKey(42))
	require.Equal(t, "es~bank.account~_41da_7e7_25~18446744073709551615", id.CommitKey(math.MaxUint64))
	require.Equal(t, "es~bank.account~_41da_7e7_25~head", id.HeadKey())
	require.Equal(t, "bank.account/Ada~7%", id.String())
}

func TestEscape(t *testing.T) {
	for _, test := range []struct{ name, escaped string }{
		{"", ""},
		{"576", "576"},
		{"a.b-c", "a.b-c"},
		{".", "_2e"},
		{"..", "_2e."},
		{".hidden", "_2ehidden"},
		{"a_b", "a_5fb"},
		{"A", "_41"},
		{"a||b", "a_7c_7cb"},
		{"100%", "100_25"},
		{"a/b?c#d\\e", "a_2fb_3fc_23d_5ce"},
		{"žluť", "_c5_belu_c5_a5"},
		{"\xff\x00", "_ff_00"},
	} {
		require.Equal(t, test.escaped, Escape(test.name), "%q", test.name)
		name, err := Unescape(test.escaped)
		require.NoError(t, err)
		require.Equal(t, test.name, name)
	}
}

func TestUnescapeRefusesOtherForms(t *testing.T) {
	for _, s := range []string{
		"_", "_4", "a_", "_zz", "_+1", "_-1", "_4G", // not an escape
		"_61", "_2D", "_2d", "a_2e", "_c5_BE", // not the one form
		"A", "a b", "~", "%41", ".", "..", ".a", // not an escaped name
	} {
		name, err := Unescape(s)
		require.Error(t, err, "%q became %q", s, name)
	}
}

func TestEscapeIsReversibleAndPlain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := string(rapid.SliceOf(rapid.Byte()).Draw(t, "name"))
		escaped := Escape(name)
		require.Empty(t, strings.Trim(escaped, "abcdefghijklmnopqrstuvwxyz0123456789.-_"))
		require.False(t, strings.HasPrefix(escaped, "."))
		back, err := Unescape(escaped)
		require.NoError(t, err)
		require.Equal(t, name, back)
	})
}

func TestDifferentStreamsHaveDifferentKeys(t *testing.T) {
	part := rapid.StringOf(rapid.SampledFrom([]rune("aA~_.|7e")))
	stream := rapid.Custom(func(t *rapid.T) ID { return ID{Type: part.Draw(t, "type"), Key: part.Draw(t, "key")} })
	rapid.Check(t, func(t *rapid.T) {
		a, b := stream.Draw(t, "a"), stream.Draw(t, "b")
		require.Equal(t, a == b, strings.EqualFold(a.Partition(), b.Partition()))
		require.NotEqual(t, a.HeadKey(), b.CommitKey(rapid.Uint64().Draw(t, "n")))
	})
}

func TestCheckKey(t *testing.T) {
	for _, key := range []string{"576", ".", "Ada Lovelace", "účet/7", strings.Repeat("k", MaxKey)} {
		require.NoError(t, CheckKey(key), "%q", key)
	}
	for _, key := range []string{"", strings.Repeat("k", MaxKey+1), "\xff", "a\nb", "\x00", "a\u0085b"} {
		require.Error(t, CheckKey(key), "%q", key)
	}
}
