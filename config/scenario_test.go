package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"hotline/routing/simulate"
)

func TestScenarioExampleRunsAndNamesEveryField(t *testing.T) {
	data, err := os.ReadFile("../scenario.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	sc, err := ParseScenario("scenario.example.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := Load("../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	sim, err := sc.Simulation(cfg.Policy())
	if err != nil {
		t.Fatal(err)
	}
	if len(sim.Classes) != 4 || sim.Length != 10*time.Hour || sim.Classes[0].Service != (simulate.Lognormal{M: 240, SCV: 1.2}) {
		t.Errorf("%+v", sim)
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[Scenario](), reflect.TypeFor[ScenarioClass](), reflect.TypeFor[ScenarioShift]()} {
		for i := range typ.NumField() {
			if name := typ.Field(i).Tag.Get("yaml"); !strings.Contains(string(data), name+":") {
				t.Errorf("the example doesn't show %s", name)
			}
		}
	}
}

func TestBrokenScenarios(t *testing.T) {
	const class = "classes: [{name: a, queue: q, per_hour: 1, service: constant 1s}]\n"
	for text, want := range map[string]string{
		"length: 1h\n":         "s.yaml:1:1: the file has no classes; add classes: ...",
		class + "lenght: 1h\n": `s.yaml:2:1: "lenght" is no field of the file; did you mean "length"?`,
		"classes: [{name: a, queue: q, per_hour: often, service: constant 1s}]\n":              "s.yaml:1:41: per_hour",
		"classes: [{name: a, queue: q, per_hour: 1, service: gaussian 1s}]\n":                  "s.yaml:1:53: service",
		"classes: [{name: a, queue: q, per_hour: 1, service: constant 1s, profile: [1, 2]}]\n": "profile has 2 numbers; give 24 numbers",
		"classes: [{name: a, queue: q, per_hour: 1, service: constant 1s, redial: 1}]\n":       "redial can't be 1; use 0 to less than 1",
	} {
		_, err := ParseScenario("s.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\n%v\nwant %s", text, err, want)
		}
	}
	sc, err := ParseScenario("s.yaml", []byte(class))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := Load("../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sc.Simulation(cfg.Policy()); err == nil || !strings.Contains(err.Error(), "the config has no queue q") {
		t.Errorf("a queue that isn't there: %v", err)
	}
}

func TestTimesAreRead(t *testing.T) {
	for text, want := range map[string]simulate.Dist{
		"never": simulate.Never, "constant 5s": simulate.Constant(5), "exponential 3m": simulate.Exponential{M: 180},
		"lognormal 180s 1.2": simulate.Lognormal{M: 180, SCV: 1.2}, "erlang 2 180s": simulate.Erlang{K: 2, M: 180},
	} {
		if got, err := parseTimes(text); err != nil || got != want {
			t.Errorf("%q is %v (%v), want %v", text, got, err, want)
		}
	}
	if d, err := parseTimes("empirical 10s 20s 60s"); err != nil || d.Mean() != 30 {
		t.Errorf("empirical: %v %v", d, err)
	}
	for _, bad := range []string{"", "exponential", "exponential 0s", "constant -5s", "erlang 1.5 3s", "lognormal 3s", "never 5s", "empirical", "exponential 1s 2s", "constant x"} {
		if d, err := parseTimes(bad); err == nil {
			t.Errorf("%q was read as %v", bad, d)
		}
	}
}
