package sip

import (
	"hash/maphash"
	"strconv"
	"sync"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// fates remembers what became of the INVITEs that came by UDP. One that comes again must meet the same fate: after
// a 503, of which no transaction is kept, a call that was let in would be nobody's, and a 503 after the first was let in
// would end for the caller what goes on for us. It has a fixed size; what is new pushes out what is there.
type fates struct {
	seed  maphash.Seed
	mu    sync.Mutex
	cells []fateCell // as many as a power of two
}

type fate uint64

const (
	fateUnknown fate = iota
	fateRefused
	fateLetIn // and counted up from there as it comes again
	fateMost  = 15
)

type fateCell struct {
	sum  uint64 // with the fate in its last bits
	till int64  // UnixNano
}

// newFates has room for eight times the calls there may be, within bounds.
func newFates(maxCalls int) *fates {
	n := 1 << 10
	for n < 8*maxCalls && n < 1<<16 {
		n <<= 1
	}
	return &fates{seed: maphash.MakeSeed(), cells: make([]fateCell, n)}
}

// of is the fate of the INVITE with that Call-ID and CSeq. One that was let in and comes again more often than Timer A
// makes it, which is seven times, is as any other: it mustn't be a way past the admission.
func (f *fates) of(callID, seq []byte, now time.Time) fate {
	sum := f.sum(callID, seq)
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.cell(sum)
	if c.sum&^fateMost != sum || c.till <= now.UnixNano() {
		return fateUnknown
	}
	switch is := fate(c.sum & fateMost); is {
	case fateRefused:
		return fateRefused
	case fateMost:
		return fateUnknown
	default:
		c.sum++
		return fateLetIn
	}
}

// note remembers a fate for as long as a request may come again.
func (f *fates) note(callID, seq []byte, is fate, now time.Time) {
	sum := f.sum(callID, seq)
	f.mu.Lock()
	defer f.mu.Unlock()
	*f.cell(sum) = fateCell{sum | uint64(is), now.Add(timeout).UnixNano()}
}

func (f *fates) cell(sum uint64) *fateCell { return &f.cells[sum>>4&uint64(len(f.cells)-1)] }

func (f *fates) sum(callID, seq []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(f.seed)
	_, _ = h.Write(callID)
	_ = h.WriteByte(0)
	_, _ = h.Write(seqDigits(seq))
	return h.Sum64() &^ fateMost
}

// seqDigits is the number of a CSeq.
func seqDigits(seq []byte) []byte {
	n := 0
	for n < len(seq) && seq[n] >= '0' && seq[n] <= '9' {
		n++
	}
	return seq[:n]
}

// noteRefused remembers that a request has been answered with 503.
func (f *fates) noteRefused(req *gosip.Request) {
	id, seq := req.CallID(), req.CSeq()
	if req.Method != gosip.INVITE || id == nil || seq == nil {
		return
	}
	f.note([]byte(*id), strconv.AppendUint(nil, uint64(seq.SeqNo), 10), fateRefused, time.Now())
}
