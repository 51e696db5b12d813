package customers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Key is the key of a number's customer in Redis: a hash with the fields tier
// (A1, A2, B1, B2 or C) and, where known, id, name, manager, team and language.
func Key(number string) string { return "customer:" + number }

// RedisOptions say where the Redis is.
type RedisOptions struct {
	Address            string // host:port
	Username, Password string
	Database           int
	TLS                bool
	// Timeout bounds dialling, reading and writing each; 0 means 50 ms.
	Timeout time.Duration
	// Connections at most; 0 means 16.
	Connections int
}

// Redis is a directory in a Redis. It holds connections; the caller must Close it.
type Redis struct {
	client *redis.Client
}

// quiet turns what go-redis says of itself into debug lines: each failure is
// counted by the Finder already, and at 100 calls a second a dead Redis would
// fill the log.
type quiet struct{}

// Printf implements the logger of go-redis.
func (quiet) Printf(_ context.Context, format string, args ...any) {
	slog.Debug("redis client", "says", fmt.Sprintf(format, args...))
}

var silence = sync.OnceFunc(func() { redis.SetLogger(quiet{}) })

// NewRedis returns at once; the first Lookup dials.
func NewRedis(opt RedisOptions) *Redis {
	silence()
	if opt.Timeout == 0 {
		opt.Timeout = 50 * time.Millisecond
	}
	if opt.Connections == 0 {
		opt.Connections = 16
	}
	o := &redis.Options{
		Addr: opt.Address, Username: opt.Username, Password: opt.Password, DB: opt.Database,
		// A call waits for one try only: what a second one would bring comes too late.
		MaxRetries: -1, DialerRetries: 1,
		DialTimeout: opt.Timeout, ReadTimeout: opt.Timeout, WriteTimeout: opt.Timeout, PoolTimeout: opt.Timeout,
		ContextTimeoutEnabled: true,
		PoolSize:              opt.Connections, MaxActiveConns: opt.Connections,
		// RESP2 and no talk about the client: one round trip less on a new
		// connection, and every Redis since 2.0 understands it.
		Protocol: 2, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if opt.TLS {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &Redis{client: redis.NewClient(o)}
}

// Lookup implements Directory.
func (r *Redis) Lookup(ctx context.Context, number string) (Customer, error) {
	hash, err := r.client.HGetAll(ctx, Key(number)).Result()
	switch {
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		return Customer{}, fmt.Errorf("%w: the key holds no hash", ErrGarbage)
	case err != nil:
		return Customer{}, fmt.Errorf("ask redis: %w", err)
	case len(hash) == 0:
		return Customer{}, ErrUnknown
	}
	c, err := customerOf(func(name string) string { return hash[name] })
	if err != nil {
		return Customer{}, fmt.Errorf("%w: %w", ErrGarbage, err)
	}
	return c, nil
}

// Ping returns nil when the Redis answers.
func (r *Redis) Ping(ctx context.Context) error {
	if err := r.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("ask redis: %w", err)
	}
	return nil
}

const (
	batch = 500 // rows that go to Redis in one transaction
	// importTimeout bounds one transaction: no call waits for it.
	importTimeout = 10 * time.Second
)

// Import puts rows into the Redis, in place of what their numbers had. Customers
// of other numbers stay. It blocks until all is written or ctx ends; after an
// error some rows, from the first on, may be there, and Import may be repeated.
func (r *Redis) Import(ctx context.Context, rows []Row) error {
	client := r.client.WithTimeout(importTimeout)
	for first := 0; first < len(rows); first += batch {
		part := rows[first:min(first+batch, len(rows))]
		_, err := client.TxPipelined(ctx, func(p redis.Pipeliner) error {
			for _, row := range part {
				p.Del(ctx, Key(row.Number)) // fields that the row hasn't must go
				p.HSet(ctx, Key(row.Number), row.hash())
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("import customers %d to %d into redis: %w", first+1, first+len(part), err)
		}
	}
	return nil
}

// hash are the fields of a row that aren't empty.
func (r Row) hash() map[string]any {
	hash := map[string]any{}
	for i, value := range r.fields() {
		if i > 0 && value != "" {
			hash[columns[i]] = value
		}
	}
	return hash
}

// Close closes the connections; lookups under way fail.
func (r *Redis) Close() error {
	if err := r.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("close redis: %w", err)
	}
	return nil
}
