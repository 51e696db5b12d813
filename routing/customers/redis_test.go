package customers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"

	"hotline/routing"
)

func openRedis(t *testing.T, address string) *Redis {
	r := NewRedis(RedisOptions{Address: address})
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestCustomersInRedis(t *testing.T) {
	server := miniredis.RunT(t)
	r, ctx := openRedis(t, server.Addr()), context.Background()
	for key, fields := range map[string][]string{
		"customer:+8613800000001": {"tier", "A1", "name", "Bank", "manager", "alice", "team", "east", "language", "zh", "id", "1"},
		"customer:+8613800000002": {"tier", "C"},
		"customer:+8613800000003": {"tier", "Z"},
		"customer:+8613800000004": {"name", "No tier"},
		"customer:+8613800000005": {"tier", "C", "name", "a\r\nb"},
		"customer:+8613800000006": {"tier", "C", "note", "other fields are somebody else's"},
	} {
		server.HSet(key, fields...)
	}
	server.Set("customer:+8613800000007", "a string")
	for _, c := range []struct {
		number string
		want   Customer
		err    error
	}{
		{"+8613800000001", Customer{"1", "Bank", routing.TierA1, "alice", "east", "zh"}, nil},
		{"+8613800000002", Customer{}, nil},
		{"+8613800000003", Customer{}, ErrGarbage},
		{"+8613800000004", Customer{}, ErrGarbage},
		{"+8613800000005", Customer{}, ErrGarbage},
		{"+8613800000006", Customer{}, nil},
		{"+8613800000007", Customer{}, ErrGarbage},
		{"+8613800000008", Customer{}, ErrUnknown},
	} {
		got, err := r.Lookup(ctx, c.number)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s is %+v, %v", c.number, got, err)
		}
	}
	if err := r.Ping(ctx); err != nil {
		t.Error(err)
	}
}

func TestRedisThatRefusesIsUnreachable(t *testing.T) {
	server := miniredis.RunT(t)
	server.RequireAuth("right")
	_, err := openRedis(t, server.Addr()).Lookup(context.Background(), number)
	if err == nil || reasonOf(err) != ReasonUnreachable {
		t.Errorf("got %v", err)
	}
}

func TestImportIntoRedis(t *testing.T) {
	server := miniredis.RunT(t)
	r, ctx := openRedis(t, server.Addr()), context.Background()
	var rows []Row
	for i := range 2*batch + 1 {
		rows = append(rows, Row{fmt.Sprintf("+8613800%06d", i), Customer{Tier: routing.TierB1, Manager: "alice"}})
	}
	server.HSet("customer:+8613900000000", "tier", "A1")
	server.Set(Key(rows[1].Number), "garbage")
	if err := r.Import(ctx, rows); err != nil {
		t.Fatal(err)
	}
	rows[0].Customer = Customer{Tier: routing.TierA2, Name: "Court"}
	if err := r.Import(ctx, rows[:1]); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 1, batch, 2 * batch} {
		if got, err := r.Lookup(ctx, rows[i].Number); err != nil || got != rows[i].Customer {
			t.Errorf("row %d is %+v, %v", i, got, err)
		}
	}
	if keys := server.Keys(); len(keys) != len(rows)+1 {
		t.Errorf("%d keys", len(keys))
	}
	server.Close()
	if err := r.Import(ctx, rows); err == nil || !strings.Contains(err.Error(), "customers 1 to 500") {
		t.Errorf("got %v", err)
	}
}

// realRedis starts Debian's redis-server on a port of the kernel's choice.
func realRedis(t *testing.T) (address string, server *os.Process) {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("redis-server is missing: apt-get install redis-server (%v)", err)
	}
	var said []string
	for range 5 { // another process may take the port before Redis does
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address = l.Addr().String()
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		cmd := exec.Command(path, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			said = append(said, lines.Text())
			if strings.Contains(lines.Text(), "Ready to accept connections") {
				t.Cleanup(func() {
					cmd.Process.Kill()
					cmd.Wait()
				})
				return address, cmd.Process
			}
		}
		cmd.Wait()
	}
	t.Fatalf("redis-server doesn't start:\n%s", strings.Join(said, "\n"))
	return "", nil
}

// findAll asks for many numbers, one after the other, and returns the median time.
func findAll(t *testing.T, f *Finder, want Source) time.Duration {
	t.Helper()
	var times []time.Duration
	for i := range 9 {
		_, source, took := f.Find(context.Background(), fmt.Sprintf("+861380000%04d", i))
		if source != want {
			t.Errorf("lookup %d is from %s, want %s", i, source, want)
		}
		times = append(times, took)
	}
	slices.Sort(times)
	return times[len(times)/2]
}

func TestRealRedisStoppedAndGone(t *testing.T) {
	address, server := realRedis(t)
	r := openRedis(t, address)
	var rows []Row
	for i := range 9 {
		rows = append(rows, Row{fmt.Sprintf("+861380000%04d", i), bank})
	}
	if err := r.Import(context.Background(), rows); err != nil {
		t.Fatal(err)
	}
	count := &counter{}
	f := newTestFinder(t, r, count, func(o *FinderOptions) { o.CacheSize, o.MaxFailures = 0, 1000 })
	findAll(t, f, FromRedis)

	if err := server.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// The deadline is the product's promise. Half of the lookups may be late,
	// because this machine may be.
	if took := findAll(t, f, FromDefault); took > 60*time.Millisecond {
		t.Errorf("a stopped Redis costs a call %s", took)
	}
	if s := count.String(); s != "map[redis:9 timeout:9]" {
		t.Errorf("counted %s", s)
	}

	if err := server.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for r.Ping(ctx) != nil {
		if ctx.Err() != nil {
			t.Fatal("Redis doesn't come back")
		}
	}
	findAll(t, f, FromRedis)

	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if took := findAll(t, f, FromDefault); took > 60*time.Millisecond {
		t.Errorf("a dead Redis costs a call %s", took)
	}
}

// rubbish is a server that does serve with each connection.
func rubbish(t *testing.T, serve func(net.Conn)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() { serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

func TestServersThatAreNoRedis(t *testing.T) {
	answer := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			b := make([]byte, 4096)
			for {
				if _, err := c.Read(b); err != nil {
					return
				}
				if _, err := c.Write([]byte(text)); err != nil {
					return
				}
			}
		}
	}
	for _, c := range []struct {
		name  string
		serve func(net.Conn)
		want  string
	}{
		{"a web server", answer("HTTP/1.1 400 Bad Request\r\n\r\n"), "map[garbage:9]"},
		{"noise", answer("\x00\xff\x17\r\n\x00\r\n"), "map[garbage:9]"},
		{"a number", answer(":42\r\n"), "map[garbage:9]"},
		{"half an answer", answer("*4\r\n$4\r\ntier\r\n"), "map[timeout:9]"},
		{"silence", answer(""), "map[timeout:9]"},
		{"hangs up", func(c net.Conn) { c.Close() }, "map[unreachable:9]"},
		{"loading", answer("-LOADING Redis is loading the dataset in memory\r\n"), "map[unreachable:9]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := openRedis(t, rubbish(t, c.serve))
			count := &counter{}
			f := newTestFinder(t, r, count, func(o *FinderOptions) { o.MaxFailures = 1000 })
			if took := findAll(t, f, FromDefault); took > 60*time.Millisecond {
				t.Errorf("costs a call %s", took)
			}
			if s := count.String(); s != c.want {
				t.Errorf("counted %s, want %s", s, c.want)
			}
		})
	}
}

func TestHashOfARow(t *testing.T) {
	got := Row{number, Customer{Tier: routing.TierA1, Name: "Bank"}}.hash()
	if diff := cmp.Diff(map[string]any{"tier": "A1", "name": "Bank"}, got); diff != "" {
		t.Error(diff)
	}
}
