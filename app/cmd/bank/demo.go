package main

import (
	"crypto/rand"

	"github.com/spf13/cobra"

	"github.com/longrun-dev/longrun/app/bank/demo"
)

func demoCommand() *cobra.Command {
	var url string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Take a tour over the API of a running bank, as curl would",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return demo.Run(c.Context(), url, rand.Text()[:5], c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&url, "url", defaultURL, "where the bank is served")
	return c
}
