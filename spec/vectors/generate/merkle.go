package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// The definitions of RFC 6962 section 2.1, written down as they stand there.
// Every proof made here is also checked by golang.org/x/mod/sumdb/tlog.

func sum(parts ...[]byte) []byte {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func leafHash(entry []byte) []byte       { return sum([]byte{0}, entry) }
func nodeHash(left, right []byte) []byte { return sum([]byte{1}, left, right) }

// tree gives the leaf hash of each index. In a sparse one every index that is not special has the leaf of an empty
// entry, so that trees of 2^53 - 1 entries can be had.
type tree struct {
	leaves  [][]byte
	sparse  bool
	special map[int64][]byte
}

func (t *tree) leaf(i int64) []byte {
	if !t.sparse {
		return t.leaves[i]
	}
	if h, ok := t.special[i]; ok {
		return h
	}
	return leafHash(nil)
}

// k is the largest power of two below n.
func k(n int64) int64 {
	k := int64(1)
	for k*2 < n {
		k *= 2
	}
	return k
}

var uniform = map[int64][]byte{}

func (t *tree) mth(lo, hi int64) []byte {
	n := hi - lo
	if n == 0 {
		return sum()
	}
	if n == 1 {
		return t.leaf(lo)
	}
	if t.sparse {
		plain := true
		for i := range t.special {
			plain = plain && (i < lo || i >= hi)
		}
		if plain {
			if h, ok := uniform[n]; ok {
				return h
			}
			h := nodeHash((&tree{sparse: true}).mth(0, k(n)), (&tree{sparse: true}).mth(k(n), n))
			uniform[n] = h
			return h
		}
	}
	return nodeHash(t.mth(lo, lo+k(n)), t.mth(lo+k(n), hi))
}

func (t *tree) root(n int64) []byte { return t.mth(0, n) }

// path is PATH(m, D[lo:hi]) of section 2.1.1.
func (t *tree) path(m, lo, hi int64) [][]byte {
	n := hi - lo
	if n == 1 {
		return [][]byte{}
	}
	if m < k(n) {
		return append(t.path(m, lo, lo+k(n)), t.mth(lo+k(n), hi))
	}
	return append(t.path(m-k(n), lo+k(n), hi), t.mth(lo, lo+k(n)))
}

func (t *tree) inclusion(index, size int64) [][]byte {
	p := t.path(index, 0, size)
	assert(checkInclusion(p, index, size, t.leaf(index), t.root(size)), "inclusion %d in %d", index, size)
	return p
}

// subproof is SUBPROOF(m, D[lo:hi], b) of section 2.1.2.
func (t *tree) subproof(m, lo, hi int64, b bool) [][]byte {
	n := hi - lo
	if m == n {
		if b {
			return [][]byte{}
		}
		return [][]byte{t.mth(lo, hi)}
	}
	if m <= k(n) {
		return append(t.subproof(m, lo, lo+k(n), b), t.mth(lo+k(n), hi))
	}
	return append(t.subproof(m-k(n), lo+k(n), hi, false), t.mth(lo, lo+k(n)))
}

func (t *tree) consistency(size1, size2 int64) [][]byte {
	if size1 == 0 {
		return [][]byte{}
	}
	p := t.subproof(size1, 0, size2, true)
	assert(checkConsistency(p, size1, t.root(size1), size2, t.root(size2)), "consistency %d to %d", size1, size2)
	return p
}

func hashOf(b []byte) (h tlog.Hash) {
	assert(len(b) == 32, "hash of %d bytes", len(b))
	copy(h[:], b)
	return h
}

func hashesOf(p [][]byte) []tlog.Hash {
	r := []tlog.Hash{}
	for _, h := range p {
		r = append(r, hashOf(h))
	}
	return r
}

// short reports whether a hash of another length is among them; tlog's types cannot hold one.
func short(hashes ...[]byte) bool {
	for _, h := range hashes {
		if len(h) != 32 {
			return true
		}
	}
	return false
}

const maxSize = 1<<53 - 1

func checkInclusion(p [][]byte, index, size int64, leaf, root []byte) bool {
	if index < 0 || index >= size || size > maxSize || short(append(p, leaf, root)...) {
		return false
	}
	return tlog.CheckRecord(hashesOf(p), size, hashOf(root), index, hashOf(leaf)) == nil
}

func checkConsistency(p [][]byte, size1 int64, root1 []byte, size2 int64, root2 []byte) bool {
	switch {
	case size1 < 0 || size2 < size1 || size2 > maxSize || short(append(p, root1, root2)...):
		return false
	case size1 == 0:
		return len(p) == 0
	case size1 == size2:
		return len(p) == 0 && bytes.Equal(root1, root2)
	}
	return tlog.CheckTree(hashesOf(p), size2, hashOf(root2), size1, hashOf(root1)) == nil
}

// numbered is the tree of README.md: entry i is "entry " and i.
func numbered(n int) *tree {
	t := &tree{}
	for i := range n {
		t.leaves = append(t.leaves, leafHash(fmt.Appendf(nil, "entry %d", i)))
	}
	return t
}
