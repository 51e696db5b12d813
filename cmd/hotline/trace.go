package main

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hotline/server"
)

func traceCommand() *cobra.Command {
	var c apiClient
	var svg, pcap string
	cmd := &cobra.Command{
		Use:   "trace CALL",
		Short: "Show the signalling of a call as a ladder",
		Example: `  hotline trace node-1-m5x0-0042
  hotline trace node-1-m5x0-0042 --svg call.svg
  hotline trace capture 13800000000               whole messages of this number's calls, for an hour
  hotline trace capture --call node-1-m5x0-0042   of this call from now on
  hotline trace node-1-m5x0-0042 --pcap call.pcap`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var trace []server.TraceMessage
			if err := c.do("GET", "/api/calls/"+url.PathEscape(args[0])+"/trace", &trace); err != nil {
				return err
			}
			if pcap != "" {
				return writePcap(pcap, trace)
			}
			if svg != "" {
				return os.WriteFile(svg, []byte(ladderSVG(trace)), 0o600)
			}
			return printLadder(cmd.OutOrStdout(), trace)
		},
	}
	c.flags(cmd)
	cmd.Flags().StringVar(&svg, "svg", "", "write the ladder to this file")
	cmd.Flags().StringVar(&pcap, "pcap", "", "write the messages that a capture has kept to this file, for Wireshark")
	cmd.AddCommand(captureCommand(&c))
	return cmd
}

func captureCommand(c *apiClient) *cobra.Command {
	var call string
	cmd := &cobra.Command{
		Use:   "capture NUMBER, or capture --call CALL",
		Short: "Keep whole messages of a number's new calls, or of one call from now on, for an hour",
		Args: func(cmd *cobra.Command, args []string) error {
			if (call == "") == (len(args) == 0) || len(args) > 1 {
				return errors.New("name one number, or --call and a call's id")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			what := "call=" + url.QueryEscape(call)
			if call == "" {
				what = "number=" + url.QueryEscape(args[0])
			}
			var done struct{ Until string }
			if err := c.do("POST", "/api/captures?"+what, &done); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "until", done.Until)
			return err
		},
	}
	cmd.Flags().StringVar(&call, "call", "", "id of the call, of the hotline's or of SIP")
	return cmd
}

// peersOf are those who talked, in the order of their first message: the caller's side,
// the hotline in front of all others.
func peersOf(trace []server.TraceMessage) []netip.AddrPort {
	var out []netip.AddrPort
	seen := map[netip.AddrPort]bool{}
	for _, m := range trace {
		if !seen[m.Remote] {
			seen[m.Remote] = true
			out = append(out, m.Remote)
		}
	}
	return out
}

// said is a message in a few words.
func said(m *server.TraceMessage) string {
	line := strings.TrimSuffix(strings.TrimPrefix(m.Line, "SIP/2.0 "), " SIP/2.0")
	seq, method, _ := strings.Cut(m.CSeq, " ")
	if line == m.Line || !strings.HasPrefix(m.Line, "SIP/2.0 ") {
		return line + " (" + seq + ")"
	}
	return line + " (" + seq + " " + method + ")"
}

func notes(m *server.TraceMessage) string {
	var out []string
	if m.Reason != "" {
		out = append(out, "Reason: "+m.Reason)
	}
	if m.SDP != "" {
		out = append(out, "SDP: "+m.SDP)
	}
	return strings.Join(out, "; ")
}

// printLadder writes a line for each message: who sent it to whom, when, and what.
func printLadder(w io.Writer, trace []server.TraceMessage) error {
	peers := peersOf(trace)
	var b strings.Builder
	names := map[netip.AddrPort]string{}
	for i, p := range peers {
		names[p] = string(rune('A' + i%26))
		fmt.Fprintf(&b, "%s = %s\n", names[p], p)
	}
	b.WriteByte('\n')
	for i := range trace {
		m := &trace[i]
		arrow := names[m.Remote] + " ──▶ hotline    "
		if m.Sent {
			arrow = "    hotline ──▶ " + names[m.Remote]
		}
		fmt.Fprintf(&b, "%s %+9.3f  %s  %-3s %s\n", m.At.Format("15:04:05.000"), m.At.Sub(trace[0].At).Seconds(), arrow, m.Network, said(m))
		if n := notes(m); n != "" {
			fmt.Fprintf(&b, "%s%s\n", strings.Repeat(" ", 46), n)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// ladderSVG draws the hotline in the middle of its peers, and an arrow for each message.
func ladderSVG(trace []server.TraceMessage) string {
	const column, row, top, left = 300, 34, 60, 180
	peers := peersOf(trace)
	x := map[netip.AddrPort]int{}
	for i, p := range peers {
		x[p] = left + i*column
		if i > 0 {
			x[p] += column // the hotline is between the caller and the others
		}
	}
	hotline, width, height := left+column, left*2+max(1, len(peers))*column, top+row*(len(trace)+1)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">
<defs><marker id="a" markerWidth="8" markerHeight="8" refX="8" refY="4" orient="auto"><path d="M0,0 L8,4 L0,8 z"/></marker></defs>
<rect width="100%%" height="100%%" fill="white"/>
`, width, height)
	post := func(at int, name string) {
		fmt.Fprintf(&b, "<text x=\"%d\" y=\"30\" text-anchor=\"middle\" font-weight=\"bold\">%s</text><line x1=\"%d\" x2=\"%d\" y1=\"40\" y2=\"%d\" stroke=\"#999\"/>\n", at, html.EscapeString(name), at, at, height-10)
	}
	post(hotline, "hotline")
	for _, p := range peers {
		post(x[p], p.String())
	}
	for i := range trace {
		m := &trace[i]
		y := top + row*(i+1)
		from, to := x[m.Remote], hotline
		if m.Sent {
			from, to = to, from
		}
		fmt.Fprintf(&b, "<g><title>%s</title><line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\" stroke=\"black\" marker-end=\"url(#a)\"/><text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text><text x=\"4\" y=\"%d\" fill=\"#666\">%s</text></g>\n",
			html.EscapeString(m.At.Format(time.RFC3339Nano)+" "+notes(m)), from, to, y, y, (from+to)/2, y-5, html.EscapeString(said(m)), y, m.At.Format("15:04:05.000"))
	}
	b.WriteString("</svg>\n")
	return b.String()
}
