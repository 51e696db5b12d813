package hotline

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport lists which of our rooms each room may see, and why the list is so
// short. A room that is missing here fails the test: give it its place.
var mayImport = map[string]struct {
	rooms []string
	why   string
}{
	"routing":                     {nil, "routing is a pure function of its journal; anything it sees could make nodes differ"},
	"routing/journal":             {[]string{"routing"}, "the journal keeps entries and knows nothing of who makes them"},
	"routing/erlang/erlangtest":   {nil, "it reads a file"},
	"routing/journal/journaltest": {[]string{"routing", "routing/journal"}, "it tests journals"},
	"routing/customers":           {[]string{"routing"}, "who calls is a fact for routing, not a matter of SIP or flows"},
	"routing/erlang":              {nil, "formulas see nothing but numbers"},
	"routing/plot":                {nil, "a plot sees nothing but numbers and names"},
	"routing/staffing":            {[]string{"routing", "routing/erlang", "routing/plot", "routing/simulate"}, "seats are computed from past calls and formulas"},
	"routing/simulate":            {[]string{"routing", "routing/plot"}, "a simulation is the core with callers drawn by lot"},
	"sound":                       {nil, "arithmetic sees nothing but samples"},
	"playout":                     {nil, "when to play doesn't depend on what is played"},
	"media/kernel":                {nil, "packets are forwarded by number, whoever speaks"},
	"media/kernel/kerneltest":     {nil, "it asks the kernel"},
	"media":                       {[]string{"sound", "playout", "media/kernel"}, "sound doesn't depend on who talks to whom"},
	"sip":                         {nil, "signalling is told what to do and knows no flows, queues or sound"},
	"ivr":                         {[]string{"media", "routing"}, "a flow plays on a leg and ends in a queue"},
	"recording":                   {[]string{"media", "sound"}, "sound is kept without knowing who talks to whom"},
	"records":                     {[]string{"routing"}, "a record is what routing says of a call"},
	"metrics":                     {[]string{"routing", "media", "sip", "sound"}, "figures come from routing's decisions and the rooms' counters"},
	"metrics/metricstest":         {[]string{"metrics"}, "it tests metrics"},
	"config":                      {[]string{"sip", "media", "ivr", "recording", "routing", "routing/simulate"}, "the file becomes the options of the rooms"},
	"softphone":                   {[]string{"sip", "media"}, "a telephone knows nothing of a call centre"},
	"probe":                       {[]string{"softphone", "media", "sound", "sip"}, "a test call is a telephone and arithmetic on what it hears"},
	"server":                      {[]string{"config", "sip", "media", "sound", "ivr", "recording", "routing", "routing/journal", "routing/customers", "routing/simulate", "records", "metrics"}, "the house put together; nothing above it"},
	"demo":                        {[]string{"", "server", "config", "softphone", "sip", "media", "routing"}, "a demo is a server and its callers"},
	"bench":                       {[]string{"server", "config", "softphone", "sip", "media"}, "a measurement is a server and its load"},
	"cmd/hotline":                 {[]string{"config", "server", "demo", "probe", "routing", "routing/customers", "routing/erlang", "routing/journal", "routing/simulate", "routing/staffing", "records", "recording"}, "flags and wiring only"},
	"e2e":                         {nil, "tests only"},
	"":                            {nil, "embedded files only"},
}

// onlyIn lists libraries that one room alone may see.
var onlyIn = map[string][]string{
	"github.com/emiago/sipgo":             {"sip", "bench"}, // bench compares with a bare one
	"github.com/icholy/digest":            {"sip"},
	"github.com/coder/websocket":          {"sip"},
	"github.com/miekg/dns":                {"sip"},
	"github.com/pion/":                    {"media"},
	"github.com/redis/go-redis":           {"routing/customers"},
	"github.com/minio/":                   {"recording"},
	"github.com/cilium/ebpf":              {"media/kernel", "media/kernel/kerneltest", "bench"}, // bench has the kernel take their time
	"github.com/prometheus/client_golang": {"metrics", "metrics/metricstest"},
	"github.com/goccy/go-yaml":            {"config", "ivr"},
	"github.com/spf13/cobra":              {"cmd/hotline"},
	"github.com/nyaruka/phonenumbers":     {"sip", "config"},
}

func TestImportsPointOneWay(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		checkImports(t, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkImports(t *testing.T, path string) {
	room := filepath.ToSlash(filepath.Dir(path))
	if room == "." {
		room = ""
	}
	rule, known := mayImport[room]
	if !known {
		t.Errorf("%s: room %q has no place in mayImport", path, room)
		return
	}
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range f.Imports {
		imp, _ := strconv.Unquote(spec.Path.Value)
		if ours, ok := strings.CutPrefix(imp, "hotline"); ok && (ours == "" || ours[0] == '/') {
			if !slices.Contains(rule.rooms, strings.TrimPrefix(ours, "/")) {
				t.Errorf("%s imports %s: %s", path, imp, rule.why)
			}
			continue
		}
		if room == "routing" && strings.Contains(imp, ".") {
			t.Errorf("%s imports %s: %s", path, imp, rule.why)
		}
		for lib, rooms := range onlyIn {
			if strings.HasPrefix(imp, lib) && !slices.Contains(rooms, room) {
				t.Errorf("%s imports %s: only %v may, so that it can be replaced in one place", path, imp, rooms)
			}
		}
	}
}
