//go:build !linux

package kernel

// Path forwards nothing here.
type Path struct{}

// Open fails with ErrUnsupported.
func Open(Options) (*Path, error) { return nil, ErrUnsupported }

// Attached lists nothing.
func (p *Path) Attached() []Attachment { return nil }

// Set fails.
func (p *Path) Set(uint16, Forward, State) error { return ErrUnsupported }

// Remove fails.
func (p *Path) Remove(uint16) (State, error) { return State{}, ErrUnsupported }

// Read fails.
func (p *Path) Read(uint16) (State, error) { return State{}, ErrUnsupported }

// Seen is 0.
func (p *Path) Seen(uint16) int64 { return 0 }

// Close does nothing.
func (p *Path) Close() error { return nil }

// Now fails.
func Now() (int64, error) { return 0, ErrUnsupported }
