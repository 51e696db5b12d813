package plot

import (
	"fmt"
	"html"
	"io"
	"strings"
)

const head = `<!doctype html><html lang="en"><meta charset="utf-8"><title>%[1]s</title>
<style>body{font:14px sans-serif;margin:2em;max-width:1200px}table{border-collapse:collapse;margin:1em 0}
td,th{white-space:nowrap;padding:3px 9px;text-align:right;border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}
h2{margin-top:2em}svg{max-width:100%%}small{color:#555}</style><h1>%[1]s</h1>
`

// WritePage writes a page of parts: what the functions of this package return, and
// HTML of the caller's.
func WritePage(w io.Writer, title string, parts ...string) error {
	_, err := fmt.Fprintf(w, head+"%[2]s</html>\n", html.EscapeString(title), strings.Join(parts, ""))
	return err
}

// Heading begins a section; note says below it how to read what follows.
func Heading(text, note string) string {
	return fmt.Sprintf("<h2>%s</h2><p><small>%s</small></p>\n", html.EscapeString(text), html.EscapeString(note))
}

// Table has a line of names over rows of cells.
func Table(names []string, rows [][]string) string {
	var b strings.Builder
	b.WriteString("<table>")
	line := func(cell string, texts []string) {
		b.WriteString("<tr>")
		for _, t := range texts {
			b.WriteString(cell + html.EscapeString(t))
		}
		b.WriteString("\n")
	}
	line("<th>", names)
	for _, r := range rows {
		line("<td>", r)
	}
	b.WriteString("</table>\n")
	return b.String()
}

// Key says what a colour stands for.
type Key struct{ Colour, Text string }

// Legend is a line of keys, for below a plot.
func Legend(keys ...Key) string {
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, `<span style="color:%s">&#9632;</span> %s &nbsp; `, k.Colour, html.EscapeString(k.Text))
	}
	return "<p>" + b.String() + "</p>\n"
}
