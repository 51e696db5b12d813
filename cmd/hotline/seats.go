package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"hotline/routing"
)

// apiClient asks a running hotline.
type apiClient struct{ base, token string }

// flags say where the hotline is.
func (c *apiClient) flags(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&c.base, "url", "http://127.0.0.1:8080", "where the hotline's HTTP is (http.listen)")
	cmd.PersistentFlags().StringVar(&c.token, "token", "", "API token (http.token)")
}

func seatsCommand() *cobra.Command {
	var c apiClient
	cmd := &cobra.Command{
		Use:   "seats",
		Short: "List the seats of a running hotline",
		Example: `  hotline seats
  hotline seats free carol     withdraw her offer, or disconnect her call
  hotline seats transfer carol fault --keep-place    her caller waits for fault, at the old place`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var seats []routing.SeatView
			if err := c.do("GET", "/api/seats", &seats); err != nil {
				return err
			}
			return printSeats(cmd.OutOrStdout(), seats)
		},
	}
	c.flags(cmd)
	cmd.AddCommand(&cobra.Command{
		Use:   "free SEAT",
		Short: "Free a seat: its offer is withdrawn, its call disconnected",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var seat routing.SeatView
			if err := c.do("POST", "/api/seats/"+url.PathEscape(args[0])+"/free", &seat); err != nil {
				return err
			}
			return printSeats(cmd.OutOrStdout(), []routing.SeatView{seat})
		},
	})
	cmd.AddCommand(transferCommand(&c))
	return cmd
}

func transferCommand(c *apiClient) *cobra.Command {
	keep := false
	cmd := &cobra.Command{
		Use:   "transfer SEAT QUEUE",
		Short: "Send the caller who talks at a seat back into a queue",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			how := url.Values{"queue": {args[1]}, "keep_place": {strconv.FormatBool(keep)}}
			var seat routing.SeatView
			if err := c.do("POST", "/api/seats/"+url.PathEscape(args[0])+"/transfer?"+how.Encode(), &seat); err != nil {
				return err
			}
			return printSeats(cmd.OutOrStdout(), []routing.SeatView{seat})
		},
	}
	cmd.Flags().BoolVar(&keep, "keep-place", false, "at the place in the line that the caller had before the talk")
	return cmd
}

func printSeats(w io.Writer, seats []routing.SeatView) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "SEAT\tVIP\tSTATE\tSTATUS\tREASON\tSINCE\tCALL")
	for _, s := range seats {
		vip := ""
		if s.VIP {
			vip = "vip"
		}
		since := "-"
		if s.Since > 0 {
			since = time.UnixMicro(int64(s.Since)).Format(time.TimeOnly)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, vip, s.State, s.Status, s.Reason, since, s.Call)
	}
	return t.Flush()
}

// do asks the API and decodes its answer into out.
func (c apiClient) do(method, path string, out any) error {
	req, err := http.NewRequest(method, c.base+path, nil)
	if err != nil {
		return fmt.Errorf("--url %s: %w", c.base, err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	client := http.Client{Timeout: 10 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("no hotline answers at %s (is it running? is --url its http.listen?): %w", c.base, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.base, err)
	}
	if res.StatusCode != http.StatusOK {
		var p struct{ Error string }
		_ = json.Unmarshal(body, &p)
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, p.Error)
	}
	return json.Unmarshal(body, out)
}
