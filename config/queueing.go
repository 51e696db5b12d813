package config

import "slices"

// classes finds callers whom nobody could ever serve, by what is written alone.
// It looks only where all that it needs could be read.
func (c *checker) classes() {
	if len(c.problems) > 0 {
		return
	}
	for i, q := range c.cfg.Queues {
		var seats, vips, speakers int
		for _, a := range c.cfg.Agents {
			if !slices.Contains(a.Queues, q.Name) {
				continue
			}
			seats++
			if a.VIP {
				vips++
			}
			if len(a.Languages) == 0 || slices.Contains(a.Languages, c.cfg.Directory.DefaultLanguage) {
				speakers++
			}
		}
		if vips == seats && c.cfg.Routing.KeepIdle >= vips {
			c.wrong("routing.keep_idle", "keep less, or give the queue a seat that isn't vip",
				"callers of tier C are never served in queue %s: its seats are all vip (%d), and keep_idle keeps %d", q.Name, vips, c.cfg.Routing.KeepIdle)
		}
		if speakers == 0 {
			c.wrong(index("queues", i, "name"), "add it to the languages of an agent there",
				"nobody who serves queue %s speaks %s, the default language", q.Name, c.cfg.Directory.DefaultLanguage)
		}
	}
}
