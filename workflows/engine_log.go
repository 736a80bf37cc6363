package workflows

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// chatter is the library's logger. It tells of every work item, and of every
// error that it also returns or that this package tells itself: all of it is for
// whoever debugs.
type chatter struct{ log *slog.Logger }

func (c chatter) say(text func() string) {
	if c.log.Enabled(context.Background(), slog.LevelDebug) {
		c.log.Debug("workflow engine", "says", strings.TrimSpace(text()))
	}
}

func (c chatter) all(v []any) { c.say(func() string { return fmt.Sprint(v...) }) }
func (c chatter) allf(format string, v []any) {
	c.say(func() string { return fmt.Sprintf(format, v...) })
}

func (c chatter) Debug(v ...any)                 { c.all(v) }
func (c chatter) Debugf(format string, v ...any) { c.allf(format, v) }
func (c chatter) Info(v ...any)                  { c.all(v) }
func (c chatter) Infof(format string, v ...any)  { c.allf(format, v) }
func (c chatter) Warn(v ...any)                  { c.all(v) }
func (c chatter) Warnf(format string, v ...any)  { c.allf(format, v) }
func (c chatter) Error(v ...any)                 { c.all(v) }
func (c chatter) Errorf(format string, v ...any) { c.allf(format, v) }

// troubled is the embedded engine's logger: nobody else tells of its errors.
type troubled struct{ chatter }

func (t troubled) Error(v ...any) { t.log.Warn("workflow engine", "says", fmt.Sprint(v...)) }
func (t troubled) Errorf(format string, v ...any) {
	t.log.Warn("workflow engine", "says", fmt.Sprintf(format, v...))
}
