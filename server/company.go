package server

import (
	"slices"

	"hotline/media"
)

// company is who hears whom in a talk: two legs that are bridged, or a mix for as long as there are
// guests. The talk's goroutine owns it.
type company struct {
	s        *Server
	a, b     *media.Leg // b is nil when there is nobody
	together bool       // a and b hear each other
	mix      *media.Mix // nil without guests
	guests   []*guest
}

// guest is somebody else in a talk: a supervisor, or the third of a conference.
type guest struct {
	*party
	mode       mode
	supervisor bool // keys change the mode
}

// mode is how a guest takes part.
type mode int

const (
	listens  mode = iota // nobody hears the guest
	whispers             // only the agent does
	joins                // all do
)

var modeNames = [...]string{"listens", "whispers", "joins"}

func (m mode) String() string { return modeNames[m] }

// meet lets the caller and b hear each other.
func (c *company) meet(b *media.Leg) error {
	c.b, c.together = b, true
	if c.mix == nil {
		return media.Bridge(c.a, b)
	}
	if err := c.mix.Join(c.a, media.Everyone); err != nil {
		return err
	}
	if err := c.mix.Join(b, media.Everyone); err != nil {
		return err
	}
	for _, g := range c.guests { // one who whispers does so to another one now
		if err := c.mix.Join(g.audio, c.audience(g)); err != nil {
			return err
		}
	}
	return nil
}

// part lets the caller hear none of the others.
func (c *company) part() {
	c.together = false
	switch {
	case c.mix != nil:
		c.mix.Leave(c.a)
	case c.b != nil:
		media.Unbridge(c.a, c.b)
	}
}

// lose is part for good: b has left.
func (c *company) lose() {
	c.part()
	if c.mix != nil && c.b != nil {
		c.mix.Leave(c.b)
	}
	c.b = nil
}

func (c *company) audience(g *guest) media.Audience {
	switch {
	case g.mode == joins:
		return media.Everyone
	case g.mode == whispers && c.b != nil:
		return media.Only(c.b)
	}
	return media.Nobody
}

// admit brings a guest in.
func (c *company) admit(g *guest) error {
	if c.mix == nil {
		c.mix = c.s.media.NewMix()
		if c.together {
			if err := c.meet(c.b); err != nil {
				return err
			}
		} else if c.b != nil {
			if err := c.mix.Join(c.b, media.Everyone); err != nil {
				return err
			}
		}
	}
	c.guests = append(c.guests, g)
	return c.let(g, g.mode)
}

// let changes how a guest takes part.
func (c *company) let(g *guest, m mode) error {
	g.mode = m
	return c.mix.Join(g.audio, c.audience(g))
}

// dismiss takes a guest out; with the last one the mix ends.
func (c *company) dismiss(g *guest) error {
	i := slices.Index(c.guests, g)
	if i < 0 {
		return nil
	}
	c.guests = slices.Delete(c.guests, i, i+1)
	c.mix.Leave(g.audio)
	if len(c.guests) > 0 {
		return nil
	}
	c.mix.Close()
	c.mix = nil
	if c.together {
		return media.Bridge(c.a, c.b)
	}
	return nil
}

// close ends the mix, if there is one.
func (c *company) close() {
	if c.mix != nil {
		c.mix.Close()
		c.mix = nil
	}
}
