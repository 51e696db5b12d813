package sip

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// savedBinding is a binding in the file of registrations. A phone that is reached
// by a connection of its own isn't there: the connection ends with the process,
// and the phone registers again when it has a new one.
type savedBinding struct {
	User     string    `json:"user"`
	URI      string    `json:"uri"`
	Source   string    `json:"source,omitempty"`
	Network  string    `json:"network"`
	Listener string    `json:"listener"`
	Q        int       `json:"q"`
	Expires  time.Time `json:"expires"`
	At       time.Time `json:"at"`
	CallID   string    `json:"call_id"`
	Seq      uint32    `json:"cseq"`
	Path     []string  `json:"path,omitempty"`
	Instance string    `json:"instance,omitempty"`
	RegID    string    `json:"reg_id,omitempty"`
}

const (
	// saveGather is how long changes are gathered before the file is written.
	saveGather = 200 * time.Millisecond
	// saveAgain is when a failed write is tried again.
	saveAgain = 10 * time.Second
	// maxSaved bounds the file that is read at the start, in bytes.
	maxSaved = 64 << 20
)

// saved lists what a restart should find.
func (r *registrar) saved() []savedBinding {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := []savedBinding{}
	for user, cs := range r.aors {
		for _, c := range cs {
			b := savedBinding{User: user, URI: c.URI, Source: c.Source, Network: c.Network, Listener: c.bind.local.String(), Q: c.Q,
				Expires: c.Expires.Round(0), At: c.at.Round(0), CallID: c.callID, Seq: c.seq, Instance: c.instance, RegID: c.regID}
			switch {
			case c.dialable():
				b.Source = ""
			case c.conn != nil:
				continue
			}
			for i := range c.path {
				b.Path = append(b.Path, c.path[i].String())
			}
			out = append(out, b)
		}
	}
	return out
}

// contact makes a binding of a saved one, by the listener it had or one like it.
func (b *savedBinding) contact(s *Stack) (*Contact, error) {
	c := &Contact{URI: b.URI, Source: b.Source, Network: b.Network, Q: b.Q, Expires: b.Expires, at: b.At,
		callID: b.CallID, seq: b.Seq, instance: b.Instance, regID: b.RegID}
	if err := gosip.ParseUri(b.URI, &c.uri); err != nil || c.uri.Host == "" {
		return nil, fmt.Errorf("contact of %s can't be read", b.User)
	}
	if b.Network != "UDP" && b.Network != "TCP" && len(b.Path) == 0 {
		return nil, fmt.Errorf("contact of %s was reached by a connection", b.User)
	}
	if b.Source != "" {
		if _, _, err := gosip.ParseAddr(b.Source); err != nil {
			return nil, fmt.Errorf("source of %s can't be read", b.User)
		}
	}
	host := b.Source
	if host == "" {
		host = c.uri.Host
	}
	c.bind = s.bindTo(b.Network, host)
	for _, l := range s.binds {
		if l.network == b.Network && l.local.String() == b.Listener {
			c.bind = l
		}
	}
	var path []gosip.Uri
	for _, hop := range b.Path {
		uris, err := readRoute("<" + hop + ">")
		if err != nil {
			return nil, err
		}
		path = append(path, uris...)
	}
	c.follow(s, path)
	return c, nil
}

// restore takes the bindings of the last run over. A file that can't be read costs
// the phones one registration and no more.
func (r *registrar) restore() (users []string) {
	data, err := readBounded(r.file)
	var saved []savedBinding
	if err == nil {
		err = json.Unmarshal(data, &saved)
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			r.stack.log.Warn("registrations of the last run are lost; phones will register again", "file", r.file, "error", err)
		}
		return nil
	}
	accounts, now := r.stack.access.Load().accounts, time.Now()
	byUser := make(map[string][]*Contact)
	for i := range saved {
		b := &saved[i]
		if accounts[b.User] == nil || !b.Expires.After(now) || len(byUser[b.User]) >= r.stack.opt.MaxContacts {
			continue
		}
		c, err := b.contact(r.stack)
		if err != nil {
			r.stack.log.Debug("registration not restored", "error", err)
			continue
		}
		c.Expires = now.Add(min(b.Expires.Sub(now), r.stack.opt.MaxExpires))
		byUser[b.User] = append(byUser[b.User], c)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for user, cs := range byUser {
		sortContacts(cs)
		r.set(user, cs)
		users = append(users, user)
	}
	r.stack.log.Info("registrations restored", "agents", len(users))
	return users
}

func readBounded(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxSaved {
		return nil, fmt.Errorf("%d bytes are too many", info.Size())
	}
	return os.ReadFile(file)
}

// keepSaved writes the file after changes, off their path, until the stack closes.
func (r *registrar) keepSaved() {
	fault := newSampler(time.Minute)
	wait := saveGather
	for {
		select {
		case <-r.dirty:
		case <-r.stack.closed:
			return
		}
		select {
		case <-time.After(wait):
		case <-r.stack.closed:
			return
		}
		wait = saveGather
		if err := r.save(); err != nil {
			fault.do(func(n int) {
				r.stack.log.Error("registrations not saved; after a restart phones must register again", "error", err, "since_last", n)
			})
			wait = saveAgain
			r.changed()
			continue
		}
		r.stack.log.Debug("registrations saved")
	}
}

// save writes the file as things stand. It blocks for the disk.
func (r *registrar) save() error {
	r.saving.Lock()
	defer r.saving.Unlock()
	if r.file == "" {
		return nil
	}
	if err := writeWhole(r.file, r.saved()); err != nil {
		return fmt.Errorf("save registrations: %w", err)
	}
	return nil
}

// changed notes that the file is behind.
func (r *registrar) changed() {
	select {
	case r.dirty <- struct{}{}:
	default:
	}
}

// writeWhole replaces the file in one step: a reader, or a crash, finds the old one
// or the new one.
func writeWhole(file string, v any) error {
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}
