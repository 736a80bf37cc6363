package berka

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf8"
)

// maxLine is the longest line that is read, in bytes.
const maxLine = 64 << 10

// LineError says what is wrong with one line of a file.
type LineError struct {
	Line int
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

// Transactions reads a file in bounded memory. With a *LineError it goes on with
// the next line; any other error is the last.
func Transactions(file io.Reader) iter.Seq2[Transaction, error] {
	return func(yield func(Transaction, error) bool) {
		in := bufio.NewReaderSize(file, maxLine)
		for n := 1; ; n++ {
			line, err := readLine(in)
			var t Transaction
			switch {
			case errors.Is(err, io.EOF) && n == 1:
				yield(t, errors.New("the file is empty"))
				return
			case errors.Is(err, io.EOF):
				return
			case errors.Is(err, errLine):
				err = &LineError{n, err}
			case err != nil:
				yield(t, fmt.Errorf("after line %d: %w", n-1, err))
				return
			case n == 1 && strings.TrimPrefix(line, "\ufeff") != header:
				yield(t, fmt.Errorf("this is not a file of transactions: its first line is not %q", header))
				return
			case n == 1 || line == "":
				continue
			default:
				if t, err = parse(line); err != nil {
					err = &LineError{n, err}
				}
				t.Line = n
			}
			if !yield(t, err) {
				return
			}
		}
	}
}

// errLine is about a line that cannot be a transaction, wherever it stands.
var errLine = errors.New("not a line of text")

// readLine reads a line without its end (LF or CRLF); a last one without an end
// counts.
func readLine(in *bufio.Reader) (string, error) {
	data, err := in.ReadSlice('\n')
	tooLong := false
	for errors.Is(err, bufio.ErrBufferFull) {
		tooLong = true
		_, err = in.ReadSlice('\n')
	}
	line := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return "", err
	case tooLong:
		return "", fmt.Errorf("%w: longer than %d bytes", errLine, maxLine)
	case err != nil && line == "":
		return "", err
	case !utf8.ValidString(line):
		return "", fmt.Errorf("%w: not UTF-8", errLine)
	}
	return line, nil
}
