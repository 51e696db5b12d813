package hotline

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/sip.md names every section of the RFCs with call flows, and only tests that are
// there.
func TestDocsNameTests(t *testing.T) {
	data, err := os.ReadFile("docs/sip.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(data)
	sources := testSources(t)
	for _, m := range regexp.MustCompile("`(Test[A-Za-z0-9]+)(/[^`]+)?`").FindAllStringSubmatch(doc, -1) {
		name, sub := m[1], strings.TrimPrefix(m[2], "/")
		if name == "TestDocsNameTests" {
			continue
		}
		text, ok := sources[name]
		if !ok {
			t.Errorf("%s doesn't exist", name)
		} else if sub != "" && !strings.Contains(text, `"`+strings.ReplaceAll(sub, "_", " ")+`"`) {
			t.Errorf("%s has no case %q", name, sub)
		}
	}
	for rfc, sections := range map[string][]string{"RFC 3665": numbered(2, 5, 3, 11), "RFC 5359": numbered(2, 18)} {
		_, part, ok := strings.Cut(doc, "\n## "+rfc)
		if !ok {
			t.Fatalf("%s isn't there", rfc)
		}
		part, _, _ = strings.Cut(part, "\n## ")
		for _, s := range sections {
			if strings.Count(part, "\n| "+s+" ") != 1 {
				t.Errorf("%s: section %s isn't named once", rfc, s)
			}
		}
	}
}

// numbered lists sections: pairs of a chapter and how many it has.
func numbered(pairs ...int) (out []string) {
	for i := 0; i < len(pairs); i += 2 {
		for n := range pairs[i+1] {
			out = append(out, fmt.Sprintf("%d.%d", pairs[i], n+1))
		}
	}
	return out
}

// testSources are the files of the tests, by their names.
func testSources(t *testing.T) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for _, dir := range []string{"sip", "server", "e2e"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`).FindAllStringSubmatch(string(data), -1) {
				out[m[1]] = string(data)
			}
		}
	}
	return out
}
