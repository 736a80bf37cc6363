package stream

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxKey is the length of an entity's key in bytes, before it is escaped.
const MaxKey = 512

const hexDigits = "0123456789abcdef"

// String is the stream's name for people, in logs and errors: type/key.
func (id ID) String() string { return id.Type + "/" + id.Key }

// CommitKey is the store key of commit n: es~<type>~<key>~<n, 20 digits>, type
// and key escaped.
func (id ID) CommitKey(n uint64) string { return commitKey(id.Partition(), n) }

// HeadKey is the store key of the stream's head. No commit has it: the last
// part of a commit's key is all digits.
func (id ID) HeadKey() string { return id.Partition() + "~head" }

// Partition is what all store keys of the stream begin with, and what a
// partitioned store keeps together. Different streams have different ones,
// because '~' separates the parts and never appears inside an escaped part.
func (id ID) Partition() string { return "es~" + Escape(id.Type) + "~" + Escape(id.Key) }

// commitKey is CommitKey for callers that build many keys of one partition.
func commitKey(partition string, n uint64) string {
	var digits [20]byte
	for i := range digits {
		digits[i] = '0'
	}
	tail := strconv.AppendUint(nil, n, 10)
	copy(digits[len(digits)-len(tail):], tail)
	return partition + "~" + string(digits[:])
}

// Escape writes s with the characters [a-z0-9.-] and '_' alone, so that it can
// be a part of a store key, an actor id and a segment of a URL path. Any other
// byte, and '_' itself, becomes '_' and two lower-case hex digits; so does a
// leading '.', so that neither "." nor ".." appears. Different strings have
// different escapes, also on stores that ignore case.
func Escape(s string) string {
	special := 0
	for i := range len(s) {
		if !plain(s, i) {
			special++
		}
	}
	if special == 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 2*special)
	for i := range len(s) {
		if plain(s, i) {
			b.WriteByte(s[i])
			continue
		}
		b.WriteByte('_')
		b.WriteByte(hexDigits[s[i]>>4])
		b.WriteByte(hexDigits[s[i]&0xf])
	}
	return b.String()
}

// plain says whether Escape leaves s[i] as it is.
func plain(s string, i int) bool {
	switch c := s[i]; {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
		return true
	default:
		return c == '.' && i > 0
	}
}

// Unescape reverses Escape. It refuses what Escape cannot have written, so that
// one entity has exactly one name: Escape(Unescape(s)) is s.
func Unescape(s string) (string, error) {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '_' {
			b.WriteByte(s[i])
			continue
		}
		if len(s)-i < 3 {
			return "", fmt.Errorf("escaped name %q ends inside an escape", s)
		}
		c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("escaped name %q: %q is not an escape", s, s[i:i+3])
		}
		b.WriteByte(byte(c))
		i += 2
	}
	name := b.String()
	if Escape(name) != s {
		return "", fmt.Errorf("escaped name %q is not in its one valid form", s)
	}
	return name, nil
}

// CheckKey says what is wrong with an entity's key, in words for the user who
// chose it; nil if it can be used.
func CheckKey(s string) error {
	switch {
	case s == "":
		return errors.New("the key is empty")
	case len(s) > MaxKey:
		return fmt.Errorf("the key is %d bytes long; at most %d are allowed", len(s), MaxKey)
	case !utf8.ValidString(s):
		return errors.New("the key is not valid UTF-8")
	case strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("the key contains a control character")
	}
	return nil
}
