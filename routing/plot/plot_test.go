package plot

import (
	"bytes"
	"encoding/xml"
	"flag"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files")

// TestPage compares a whole page with everything that can be drawn.
func TestPage(t *testing.T) {
	p := New("calls & seats", 200, 60, Axis{To: 3, Marks: []Mark{{0, "09:00"}, {3, "12:00"}}}, Count(7))
	p.Bar(0, 1, 5, Colour(0), "five")
	p.Whisker(0.5, 4, 6)
	p.Line([]Point{{0, 0}, {3, 7}}, Colour(1), Dashed, "rising")
	p.Dot(Point{3, 7}, 4, Colour(6), "the end")
	p.Behind(7, Colour(6), "seven")
	var got bytes.Buffer
	err := WritePage(&got, "a page", Heading("Plots", "as they are"), p.SVG(),
		Legend(Key{Colour(0), "bars"}, Key{Colour(1), "line"}), Table([]string{"name", "number"}, [][]string{{"one", "1"}, {"two", "2"}}))
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/page.golden.html"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Error(diff)
	}
}

// Names come from files that others write: none of them may become markup.
func TestTextIsEscaped(t *testing.T) {
	const evil = `</title><script>alert("1")</script>&'`
	p := New(evil, 200, 60, Axis{To: 1, Marks: []Mark{{0, evil}}}, Percent())
	p.Bar(0, 1, 1, Colour(0), evil)
	p.Line([]Point{{0, 0}}, Colour(0), "", evil)
	p.Dot(Point{}, 4, Colour(0), evil)
	p.Behind(1, Colour(0), evil)
	svg := p.SVG()
	if err := wellFormed(svg); err != nil {
		t.Errorf("%v in\n%s", err, svg)
	}
	var page bytes.Buffer
	if err := WritePage(&page, evil, Heading(evil, evil), svg, Legend(Key{Colour(0), evil}), Table([]string{evil}, [][]string{{evil}})); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(page.String(), "<script") || strings.Count(page.String(), "&lt;script&gt;") != 13 {
		t.Errorf("not escaped thirteen times:\n%s", &page)
	}
}

func wellFormed(text string) error {
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// An axis of counts holds the largest of them, without wasting half of the height
// or crowding its marks.
func TestCountAxis(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.Float64Range(0, 1e6).Draw(t, "most")
		a := Count(most)
		if a.To < most || a.To < 1 || most >= 1 && a.To > 2*most || len(a.Marks) > 6 || a.Marks[len(a.Marks)-1].At != a.To {
			t.Fatalf("an axis for %v: %+v", most, a)
		}
	})
	if a := Count(42); a.To != 50 || a.Marks[1].Text != "10" {
		t.Errorf("an axis for 42: %+v", a)
	}
}
