package routing

import "slices"

// row is an ordered list that mostly grows at its end and shrinks at its front. It
// uses the room that its front leaves, so that it allocates only to become longer
// than it ever was.
type row[T any] struct {
	all  []T
	from int // what is before it is free
}

// list returns what the row holds; it is valid until the next change.
func (r *row[T]) list() []T { return r.all[r.from:] }

func (r *row[T]) len() int { return len(r.all) - r.from }

// insert puts v at index i of the list.
func (r *row[T]) insert(i int, v T) {
	if r.from > 0 && (i < r.len()/2 || len(r.all) == cap(r.all)) {
		r.shift(i)
		r.all[r.from+i] = v
		return
	}
	r.all = slices.Insert(r.all, r.from+i, v)
}

// shift makes room at index i by moving what is before it to the front, or all of
// it to the very front when the end has no room left.
func (r *row[T]) shift(i int) {
	to := r.from - 1
	if len(r.all) == cap(r.all) {
		to = 0
	}
	n := r.len()
	copy(r.all[to:], r.all[r.from:r.from+i])
	if to == r.from-1 {
		r.from = to
		return
	}
	copy(r.all[i+1:], r.all[r.from+i:])
	clear(r.all[n+1:])
	r.all, r.from = r.all[:n+1], 0
}

// remove takes out index i of the list.
func (r *row[T]) remove(i int) {
	if i >= r.len()/2 {
		r.all = slices.Delete(r.all, r.from+i, r.from+i+1)
		return
	}
	var none T
	copy(r.all[r.from+1:], r.all[r.from:r.from+i])
	r.all[r.from] = none
	if r.from++; r.from == len(r.all) {
		r.all, r.from = r.all[:0], 0
	}
}

// index finds the lines of waiting calls by whom they wait for.
type index[K comparable] struct {
	by    map[K]*lines // only looked up; none is empty
	spare []*lines
}

func newIndex[K comparable]() index[K] { return index[K]{by: map[K]*lines{}} }

// at returns the lines of k, nil when nobody waits.
func (x *index[K]) at(k K) *lines { return x.by[k] }

func (x *index[K]) file(k K, c *call) {
	l := x.by[k]
	if n := len(x.spare); l == nil && n > 0 {
		l, x.spare = x.spare[n-1], x.spare[:n-1]
		x.by[k] = l
	} else if l == nil {
		l = &lines{}
		x.by[k] = l
	}
	l.file(c)
}

func (x *index[K]) unfile(k K, c *call) {
	l := x.by[k]
	if l.unfile(c); l.empty() {
		delete(x.by, k)
		x.spare = append(x.spare, l)
	}
}
