package server

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"hotline/config"
	"hotline/ivr"
	"hotline/media"
	"hotline/metrics"
	"hotline/routing"
)

var errNotRegistered = errors.New("the seat has no registered phone")

// settings are one config with what is made from it. A call keeps the settings
// it began with; a reload puts others in place for the next.
type settings struct {
	*config.Config
	prompts *ivr.Prompts
	music   map[routing.QueueID]*media.Clip
}

func newSettings(cfg *config.Config) (*settings, error) {
	prompts, err := ivr.Load(cfg.Prompts.Dir, float64(cfg.Prompts.Level))
	if err != nil {
		return nil, fmt.Errorf("load prompts: %w", err)
	}
	set := &settings{Config: cfg, prompts: prompts,
		music: make(map[routing.QueueID]*media.Clip)}
	for _, q := range cfg.Queues {
		name := q.Music
		if name == "" {
			name = ivr.HoldMusic
		}
		set.music[routing.QueueID(q.Name)] = prompts.Get(name, cfg.Directory.DefaultLanguage)
	}
	return set, nil
}

// flowFor is the flow of a number dialled on a trunk, nil when nothing answers it.
func (s *settings) flowFor(trunk, dialled string) *ivr.Flow {
	name, _ := s.FlowFor(trunk, dialled)
	return s.Flows[name]
}

// std turns routing's microseconds into a time.Duration.
func std(d routing.Duration) time.Duration { return time.Duration(d) * time.Microsecond }

// idMaker makes call ids that are unique over restarts and sort by time.
type idMaker struct {
	prefix string
	n      *atomic.Uint64
}

func newIDMaker(node string) idMaker {
	return idMaker{node + "-" + strconv.FormatInt(time.Now().UnixMilli(), 36) + "-", new(atomic.Uint64)}
}

func (m idMaker) next() routing.CallID {
	return routing.CallID(m.prefix + fmt.Sprintf("%04d", m.n.Add(1)))
}

func mediaConfig(cfg *config.Config, log *slog.Logger) media.Config {
	m := cfg.MediaConfig()
	m.Logger = log
	return m
}

// targets are what is promised to each tier; the histograms of waits hold them.
func targets(cfg *config.Config) map[routing.Tier]metrics.Target {
	out := make(map[routing.Tier]metrics.Target)
	for _, t := range routing.Tiers() {
		promise := cfg.Tiers.Of(t)
		out[t] = metrics.Target{Wait: promise.Target, Percent: promise.Percent}
	}
	return out
}
