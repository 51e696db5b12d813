package config

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"hotline/routing"
	"hotline/routing/simulate"
)

// Scenario is the content of a scenario file: who calls, how long calls take and
// how long callers wait. The policy comes from a Config.
type Scenario struct {
	// Config is the configuration whose policy is simulated, relative to the
	// working directory. Default: the one given on the command line.
	Config string `yaml:"config"`
	// Length of each replication, of which WarmUp isn't counted. Default 24h and 0s.
	Length time.Duration `yaml:"length" default:"24h" min:"1m" max:"744h"`
	WarmUp time.Duration `yaml:"warm_up" default:"0s" min:"0s" max:"744h"`
	// Start is the time of the day at the begin. Default 0s.
	Start time.Duration `yaml:"start" default:"0s" min:"0s" max:"24h"`
	// Replications, each with random numbers of its own. Default 10.
	Replications int `yaml:"replications" default:"10" min:"1" max:"10000"`
	// Seed of the random numbers. Default 1.
	Seed int `yaml:"seed" default:"1" min:"0" max:"1000000000"`
	// Ring is how long agents let it ring. Default "constant 0s".
	Ring Times `yaml:"ring" default:"constant 0s"`
	// Classes of callers. At least one.
	Classes []ScenarioClass `yaml:"classes" required:"yes"`
	// Shifts say when seats are staffed; one without any is staffed all the time.
	Shifts []ScenarioShift `yaml:"shifts"`
}

// ScenarioClass is one kind of caller.
type ScenarioClass struct {
	// Name of the class in the report.
	Name string `yaml:"name" required:"yes"`
	// Tier and Queue of its callers.
	Tier  routing.Tier `yaml:"tier" default:"C"`
	Queue string       `yaml:"queue" required:"yes"`
	// PerHour is the mean number of calls per hour; Profile multiplies it by hour
	// of the day, 24 numbers. Default: the same all day.
	PerHour float64   `yaml:"per_hour" required:"yes"`
	Profile []float64 `yaml:"profile"`
	// Service is the talk, Patience how long a caller waits before giving up,
	// by default never.
	Service  Times `yaml:"service" required:"yes"`
	Patience Times `yaml:"patience" default:"never"`
	// WrapUp is the work after the talk; the other classes have then the wrap_up of
	// their queue, whatever queue answers. Default: that of the queue which answers.
	WrapUp Times `yaml:"wrap_up"`
	// Manager, Team and Language of its customers. Default: none.
	Manager  string `yaml:"manager"`
	Team     string `yaml:"team"`
	Language string `yaml:"language"`
	// Redial is the share of those who gave up who call again after RedialAfter.
	// Default 0 and "exponential 10m".
	Redial      float64 `yaml:"redial" default:"0"`
	RedialAfter Times   `yaml:"redial_after" default:"exponential 10m"`
}

// ScenarioShift is when a seat is staffed, counted from the start.
type ScenarioShift struct {
	Seat string        `yaml:"seat" required:"yes"`
	From time.Duration `yaml:"from" default:"0s" min:"0s" max:"744h"`
	To   time.Duration `yaml:"to" required:"yes" min:"0s" max:"744h"`
}

// Times is a distribution of times as it is written: "exponential 180s".
type Times string

// LoadScenario reads a scenario file. What is wrong with it comes as *Errors.
func LoadScenario(path string) (*Scenario, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read scenario: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read scenario: %w", err)
	}
	return ParseScenario(path, data)
}

// ParseScenario reads data, the content of a scenario file of that name.
func ParseScenario(file string, data []byte) (*Scenario, error) {
	if len(data) > maxFile {
		return nil, &Errors{File: file, Problems: []Problem{{1, 1, "the file is larger than 4 MiB", "is it the scenario file?"}}}
	}
	root, problem := tree(data)
	if problem != nil {
		return nil, &Errors{File: file, Problems: []Problem{*problem}}
	}
	d := newDecoder()
	sc := &Scenario{}
	setDefaults(reflect.ValueOf(sc).Elem())
	d.structure(root, reflect.ValueOf(sc).Elem(), "")
	for i, c := range sc.Classes {
		path := fmt.Sprintf("classes[%d]", i)
		if n := len(c.Profile); n != 0 && n != 24 {
			d.broken(path+".profile", d.at[path+".profile"], "give 24 numbers, one for each hour of the day", "profile has %d numbers", n)
		}
		if !(c.Redial >= 0 && c.Redial < 1) {
			d.broken(path+".redial", d.at[path+".redial"], "use 0 to less than 1", "redial can't be %v", c.Redial)
		}
	}
	if len(d.problems) > 0 {
		return nil, &Errors{File: file, Problems: sorted(d.problems)}
	}
	return sc, nil
}

// Simulation is the scenario under a policy. An error names a class whose queue,
// or a shift whose seat, the policy doesn't have.
func (s *Scenario) Simulation(policy routing.Policy) (simulate.Scenario, error) {
	out := simulate.Scenario{Policy: policy, Length: s.Length, WarmUp: s.WarmUp, Start: s.Start,
		Replications: s.Replications, Seed: uint64(s.Seed), Ring: s.Ring.dist()}
	var errs []error
	queues, seats := map[routing.QueueID]bool{}, map[routing.SeatID]bool{}
	for _, q := range policy.Queues {
		queues[q.ID] = true
	}
	for _, x := range policy.Seats {
		seats[x.ID] = true
	}
	for _, c := range s.Classes {
		if !queues[routing.QueueID(c.Queue)] {
			errs = append(errs, fmt.Errorf("class %s: the config has no queue %s", c.Name, c.Queue))
		}
		var wrapUp simulate.Dist
		if c.WrapUp != "" {
			wrapUp = c.WrapUp.dist()
		}
		out.Classes = append(out.Classes, simulate.Class{
			Name: c.Name, Tier: c.Tier, Queue: routing.QueueID(c.Queue), PerHour: c.PerHour, Profile: c.Profile,
			Service: c.Service.dist(), Patience: c.Patience.dist(), WrapUp: wrapUp, Manager: routing.AgentID(c.Manager), Team: c.Team,
			Language: c.Language, Redial: c.Redial, RedialAfter: c.RedialAfter.dist(),
		})
	}
	for _, sh := range s.Shifts {
		if !seats[routing.SeatID(sh.Seat)] {
			errs = append(errs, fmt.Errorf("shift: the config has no agent %s", sh.Seat))
		}
		out.Shifts = append(out.Shifts, simulate.Shift{Seat: routing.SeatID(sh.Seat), From: sh.From, To: sh.To})
	}
	return out, errors.Join(errs...)
}

func (t Times) dist() simulate.Dist {
	d, err := parseTimes(string(t))
	if err != nil {
		return simulate.Constant(0) // can't be: it was read before
	}
	return d
}

func readTimes(s string) (Times, error) {
	_, err := parseTimes(s)
	return Times(s), err
}

// parseTimes reads a distribution: its name, then its times and numbers.
func parseTimes(s string) (simulate.Dist, error) {
	w := strings.Fields(s)
	if len(w) == 0 {
		return nil, errors.New("is empty")
	}
	var times, numbers []float64
	for _, v := range w[1:] {
		if d, err := time.ParseDuration(v); err == nil && d >= 0 {
			times = append(times, d.Seconds())
		} else if n, err := readNumber(v); err == nil && n > 0 {
			numbers = append(numbers, n)
		} else {
			return nil, fmt.Errorf("%q is neither a time nor a number", v)
		}
	}
	switch is := func(name string, t, n int) bool { return w[0] == name && len(times) == t && len(numbers) == n }; {
	case is("never", 0, 0):
		return simulate.Never, nil
	case is("constant", 1, 0):
		return simulate.Constant(times[0]), nil
	case is("exponential", 1, 0) && times[0] > 0:
		return simulate.Exponential{M: times[0]}, nil
	case is("lognormal", 1, 1) && times[0] > 0:
		return simulate.Lognormal{M: times[0], SCV: numbers[0]}, nil
	case is("erlang", 1, 1) && numbers[0] == math.Trunc(numbers[0]) && numbers[0] <= 100:
		return simulate.Erlang{K: int(numbers[0]), M: times[0]}, nil
	case w[0] == "empirical" && len(times) > 0 && len(numbers) == 0:
		return simulate.NewEmpirical(times)
	}
	return nil, fmt.Errorf("%q is no distribution of times", s)
}

func readNumber(s string) (float64, error) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, errors.New("is no number")
	}
	return n, nil
}
