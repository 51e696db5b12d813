package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Path is the programs and maps of one process. Its methods may be called from any goroutine, but for
// one port at a time; they make a few system calls and never wait. Nothing is pinned: when the process
// ends, however it does, the kernel drops programs, maps and links with its descriptors.
type Path struct {
	local       netip.Addr
	first, last uint16
	objects     bpfObjects
	links       []link.Link
	attached    []Attachment
	seen        []byte // the map of that name, in memory

	closing  sync.Once
	closeErr error
}

// Open loads the programs and attaches them. ErrUnsupported says that the address or the interfaces
// don't allow it; other errors are the kernel's: no rights (CAP_BPF and CAP_NET_ADMIN), too old.
func Open(o Options) (*Path, error) {
	o.Addr = o.Addr.Unmap()
	if !o.Addr.IsValid() || o.Addr.IsUnspecified() || o.Addr.Zone() != "" {
		return nil, fmt.Errorf("%w: the address %s is not one that packets can leave from", ErrUnsupported, o.Addr)
	}
	targets, err := findInterfaces(o)
	if err != nil {
		return nil, err
	}
	p := &Path{local: o.Addr, first: o.PortMin, last: o.PortMax}
	if p.last == 0 {
		p.last = 65535
	}
	if err := p.load(o.Epoch); err != nil {
		return nil, errors.Join(fmt.Errorf("loading eBPF programs: %w", err), p.Close())
	}
	for _, t := range targets {
		if err := p.attach(t); err != nil {
			return nil, errors.Join(err, p.Close())
		}
	}
	return p, nil
}

// load has the kernel check and keep the programs and maps.
func (p *Path) load(epoch int64) error {
	spec, err := loadBpf()
	if err != nil {
		return err
	}
	lo, err := loopbackIndex()
	if err != nil {
		return err
	}
	ports := uint32(p.last) - uint32(p.first) + 1
	for _, name := range []string{"forwards", "states", "seen"} {
		spec.Maps[name].MaxEntries = ports
	}
	for name, value := range map[string]any{
		"first_port": uint32(p.first), "last_port": uint32(p.last), "loopback": lo, "epoch": uint64(epoch),
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return err
		}
	}
	if err := spec.LoadAndAssign(&p.objects, nil); err != nil {
		return err
	}
	if size := unsafe.Sizeof(bpfState{}); uintptr(p.objects.States.ValueSize()) != size { // what look copies into
		return fmt.Errorf("a state of the program has %d bytes, of ours %d: run go generate", p.objects.States.ValueSize(), size)
	}
	size := (int(ports)*8 + unix.Getpagesize() - 1) &^ (unix.Getpagesize() - 1)
	p.seen, err = unix.Mmap(p.objects.Seen.FD(), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	return err
}

// Attached lists where packets are forwarded.
func (p *Path) Attached() []Attachment { return p.attached }

// index is the entry of a port in the maps.
func (p *Path) index(port uint16) (uint32, error) {
	if port < p.first || port > p.last {
		return 0, fmt.Errorf("port %d is outside of %d-%d", port, p.first, p.last)
	}
	return uint32(port - p.first), nil
}

// Set has the kernel forward what comes for port, going on from s. What was set before is forgotten.
func (p *Path) Set(port uint16, f Forward, s State) error {
	i, err := p.index(port)
	if err != nil {
		return err
	}
	in, err := p.encode(port, f)
	if err != nil {
		return err
	}
	// Closed at first: entries are not written in one piece.
	if err := p.objects.Forwards.Put(i, &in); err != nil {
		return fmt.Errorf("setting forward: %w", err)
	}
	state := s.encode()
	if err := p.objects.States.Update(i, &state, ebpf.UpdateLock); err != nil {
		return fmt.Errorf("setting state: %w", err)
	}
	if err := p.objects.Seen.Put(i, uint64(s.Seen)); err != nil {
		return fmt.Errorf("setting state: %w", err)
	}
	in.Open = 1
	if err := p.objects.Forwards.Put(i, &in); err != nil {
		return fmt.Errorf("opening forward: %w", err)
	}
	return nil
}

// Remove ends the forwarding of port and tells how its stream stands. When it returns nothing more
// leaves, and what comes goes up.
func (p *Path) Remove(port uint16) (State, error) {
	i, err := p.index(port)
	if err != nil {
		return State{}, err
	}
	// The program looks at Open once more under the state's lock. So a packet that it forwards has
	// been counted when Read takes that lock, and none can be after. It may still be rewriting that packet: all
	// but Open stays.
	var f bpfForward
	if err := p.objects.Forwards.Lookup(i, &f); err != nil {
		return State{}, fmt.Errorf("ending forward: %w", err)
	}
	f.Open = 0
	if err := p.objects.Forwards.Put(i, &f); err != nil {
		return State{}, fmt.Errorf("ending forward: %w", err)
	}
	return p.Read(port)
}

// Read tells how the stream of a port stands.
func (p *Path) Read(port uint16) (State, error) {
	i, err := p.index(port)
	if err != nil {
		return State{}, err
	}
	var s bpfState
	if err := p.look(i, &s); err != nil {
		return State{}, fmt.Errorf("reading state: %w", err)
	}
	return decode(s), nil
}

// lookup is what bpf(2) takes for BPF_MAP_LOOKUP_ELEM, where pointers have 64 bits.
type lookup struct {
	fd         uint32
	_          uint32
	key, value unsafe.Pointer
	flags      uint64
}

// look copies an entry of states, by a raw system call: it waits for nobody, and each that the scheduler is told of
// may wake the runtime's monitor, which took a quarter of what legs in the kernel cost the process.
func (p *Path) look(i uint32, s *bpfState) error {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		return p.objects.States.LookupWithFlags(i, s, ebpf.LookupLock)
	}
	attr := lookup{fd: uint32(p.objects.States.FD()), key: unsafe.Pointer(&i), value: unsafe.Pointer(s), flags: uint64(ebpf.LookupLock)}
	_, _, errno := unix.RawSyscall(unix.SYS_BPF, unix.BPF_MAP_LOOKUP_ELEM, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return errno
	}
	return nil
}

// Seen is State.Seen without a system call.
func (p *Path) Seen(port uint16) int64 {
	i, err := p.index(port)
	if err != nil {
		return 0
	}
	return int64(atomic.LoadUint64((*uint64)(unsafe.Pointer(&p.seen[8*i]))))
}

// Close detaches the programs. Ports that are still set are forgotten. It may be called again; Seen
// must not be called any more.
func (p *Path) Close() error {
	p.closing.Do(func() {
		var errs []error
		for _, l := range p.links {
			errs = append(errs, l.Close())
		}
		if p.seen != nil {
			errs = append(errs, unix.Munmap(p.seen))
		}
		if p.objects.Seen != nil {
			errs = append(errs, p.objects.Close())
		}
		p.closeErr = errors.Join(errs...)
	})
	return p.closeErr
}
