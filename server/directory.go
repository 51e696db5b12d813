package server

import (
	"fmt"
	"log/slog"
	"sync"

	"hotline/config"
	"hotline/routing/customers"
)

// directory is who calls: the home named in the config, with cache and deadline.
// A reload puts a new one in place.
type directory struct {
	mu     sync.Mutex
	finder *customers.Finder
	redis  *customers.Redis // nil for a file
}

// openDirectory opens the home that the config names; with none, everybody is
// unknown.
func openDirectory(cfg *config.Config, log *slog.Logger, obs customers.Observer) (*directory, error) {
	d := cfg.Directory
	opt := customers.FinderOptions{
		Timeout: d.Timeout, CacheSize: d.Cache.Size, TTL: d.Cache.TTL,
		DefaultTier: d.DefaultTier, DefaultLanguage: d.DefaultLanguage, Observer: obs, Logger: log,
	}
	dir := &directory{}
	switch {
	case d.Redis.Address != "":
		dir.redis = OpenRedis(cfg)
		opt.Home, opt.Source = dir.redis, customers.FromRedis
	case d.File != "":
		f, err := customers.OpenFile(d.File)
		if err != nil {
			return nil, fmt.Errorf("customer directory: %w", err)
		}
		log.Info("customers read", "file", d.File, "numbers", f.Len())
		opt.Home, opt.Source = f, customers.FromFile
	}
	dir.finder = customers.NewFinder(opt)
	return dir, nil
}

// OpenRedis opens the Redis of a config, for the server and for imports. The
// caller must close it.
func OpenRedis(cfg *config.Config) *customers.Redis {
	r := cfg.Directory.Redis
	return customers.NewRedis(customers.RedisOptions{
		Address: r.Address, Username: r.Username, Password: string(r.Password),
		Database: r.Database, TLS: r.TLS, Timeout: cfg.Directory.Timeout,
	})
}

func (d *directory) get() *customers.Finder {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.finder
}

// replace puts the home of another config in place of this one, and closes the
// old.
func (d *directory) replace(next *directory) {
	d.mu.Lock()
	old := directory{finder: d.finder, redis: d.redis}
	d.finder, d.redis = next.finder, next.redis
	d.mu.Unlock()
	_ = old.Close()
}

// Close closes the home first: a lookup that hangs in it must not hold us up.
func (d *directory) Close() error {
	var err error
	if d.redis != nil {
		err = d.redis.Close()
	}
	d.finder.Close()
	return err
}
