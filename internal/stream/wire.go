package stream

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
)

// A stored value is a frame around a body:
//
//	magic   2 bytes, what kind of value it is
//	format  1 byte, how the body is laid out
//	body
//	crc     4 bytes, little endian, CRC-32C of everything before it
//
// The frame stays as it is in all formats, so that every release can tell a
// damaged value from one that a newer release wrote.
const (
	frameHead = 3
	frameTail = 4
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	errFrame    = errors.New("not a value of this kind")
	errChecksum = errors.New("the checksum does not match")
	errShort    = errors.New("the value is cut short or a length in it is wrong")
	errVarint   = errors.New("a number in it is malformed")
	errRest     = errors.New("bytes follow the end of the value")
)

// seal ends a frame.
func seal(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// unseal checks the frame of b and returns its body.
func unseal(b []byte, magic string, format byte) ([]byte, error) {
	if len(b) < frameHead+frameTail || string(b[:len(magic)]) != magic {
		return nil, errFrame
	}
	end := len(b) - frameTail
	if crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return nil, errChecksum
	}
	if b[frameHead-1] != format {
		return nil, ErrFormat
	}
	return b[frameHead:end], nil
}

// appendString writes a length and the bytes.
func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendOptional writes bytes so that nil and empty stay different: 0 is nil,
// n+1 is n bytes.
func appendOptional(b, v []byte) []byte {
	if v == nil {
		return append(b, 0)
	}
	return append(binary.AppendUvarint(b, uint64(len(v))+1), v...)
}

// scanner takes a body apart. The first failure sticks and empties the rest, so
// that callers look at err once, at the end. It trusts no length: whatever it
// returns lies inside the body.
type scanner struct {
	rest []byte
	err  error
}

func (s *scanner) fail(err error) {
	if s.err == nil {
		s.err = err
	}
	s.rest = nil
}

// uvarint reads a number in its shortest form, the only one that is written.
func (s *scanner) uvarint() uint64 {
	v, n := binary.Uvarint(s.rest)
	if n <= 0 || n > 1 && s.rest[n-1] == 0 {
		s.fail(errVarint)
		return 0
	}
	s.rest = s.rest[n:]
	return v
}

// varint reads a signed number, zigzag.
func (s *scanner) varint() int64 {
	v := s.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// integer reads a signed number that fits an int.
func (s *scanner) integer() int {
	v := s.varint()
	if v < math.MinInt || v > math.MaxInt {
		s.fail(errVarint)
		return 0
	}
	return int(v)
}

// count reads how many items follow, each of at least size bytes. What the
// caller then allocates for them is in proportion to the bytes that are there.
func (s *scanner) count(size int) int {
	v := s.uvarint()
	if v > uint64(len(s.rest)/size) {
		s.fail(errShort)
		return 0
	}
	return int(v)
}

// take returns the next n bytes. They alias the body.
func (s *scanner) take(n uint64) []byte {
	if n > uint64(len(s.rest)) {
		s.fail(errShort)
		return nil
	}
	b := s.rest[:n:n]
	s.rest = s.rest[n:]
	return b
}

// fixed fills to.
func (s *scanner) fixed(to []byte) { copy(to, s.take(uint64(len(to)))) }

// bytes reads what appendString wrote.
func (s *scanner) bytes() []byte { return s.take(s.uvarint()) }

// optional reads what appendOptional wrote.
func (s *scanner) optional() []byte {
	n := s.uvarint()
	if n == 0 {
		return nil
	}
	return s.take(n - 1)
}

// end returns the first failure; bytes that are left are one too.
func (s *scanner) end() error {
	if s.err == nil && len(s.rest) > 0 {
		return errRest
	}
	return s.err
}
