package app

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// errLineTooLong is what lineReader answers for a line above its limit.
var errLineTooLong = errors.New("the line is too long")

// lineReader reads lines of at most max bytes, without their end (LF or CRLF).
// A last line without an end counts.
type lineReader struct {
	in  *bufio.Reader
	max int
}

func newLineReader(r io.Reader, limit int) *lineReader {
	return &lineReader{bufio.NewReaderSize(r, 64<<10), limit}
}

// next returns the next line in memory of its own. At the end it is io.EOF. A
// line that is too long is read to its end, without keeping it.
func (l *lineReader) next() ([]byte, error) {
	var line []byte
	tooLong := false
	for {
		part, err := l.in.ReadSlice('\n')
		if !tooLong && len(line)+len(bytes.TrimRight(part, "\r\n")) > l.max {
			tooLong, line = true, nil
		}
		if !tooLong {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == nil, errors.Is(err, io.EOF) && (tooLong || len(line) > 0):
			if tooLong {
				return nil, errLineTooLong
			}
			return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), nil
		default:
			return nil, err
		}
	}
}
