package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/longrun-dev/longrun/app/bank/berka"
)

// defaultURL is where an application serves if nobody says otherwise.
const defaultURL = "http://127.0.0.1:8080"

func importCommand() *cobra.Command {
	var url string
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Import a file of real transactions over the API of a running bank",
		Long: "Import a file of real transactions over the API of a running bank, and check every balance.\n" +
			"Doing it again changes nothing and checks again. Ends with 1 if a line is faulty, a\n" +
			"transaction is refused or a balance differs.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			bar := &bar{visible: term.IsTerminal(int(os.Stderr.Fd()))}
			sum, err := berka.Import(c.Context(), file, berka.Options{
				URL:      url,
				Progress: bar.show,
				Report: func(err error) {
					bar.clear()
					fmt.Fprintln(c.ErrOrStderr(), err)
				},
			})
			bar.clear()
			if err != nil {
				return fmt.Errorf("import: %w", err)
			}
			fmt.Fprintln(c.OutOrStdout(), sum)
			if !sum.OK() {
				return errors.New("import: not everything is as the file says")
			}
			return nil
		},
	}
	c.Flags().StringVar(&url, "url", defaultURL, "where the bank is served")
	return c
}

// bar shows how far an import is, a bar for each stage, if somebody is looking.
type bar struct {
	visible bool
	stage   string
	bar     *progressbar.ProgressBar
}

func (b *bar) show(stage string, done, total int) {
	if !b.visible || total == 0 {
		return
	}
	if stage != b.stage {
		b.clear()
		b.stage = stage
		b.bar = progressbar.NewOptions(total,
			progressbar.OptionSetDescription(stage), progressbar.OptionSetWriter(os.Stderr),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionClearOnFinish())
	}
	_ = b.bar.Set(done) // it is only for the eye
}

func (b *bar) clear() {
	if b.bar != nil {
		_ = b.bar.Clear() // it is only for the eye
	}
}
