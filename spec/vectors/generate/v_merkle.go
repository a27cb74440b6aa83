package main

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

func merkleVectors() M {
	leaves := []M{}
	for _, c := range []struct {
		desc string
		v    []byte
	}{
		{"an empty entry", nil},
		{"one zero byte", []byte{0}},
		{"text", []byte("entry 0")},
		{"bytes that look like a node: 0x01 and two hashes", append([]byte{1}, make([]byte, 64)...)},
		{"the longest entry", []byte(strings.Repeat("a", 65535))},
	} {
		b := bytesOf(c.v)
		if len(c.v) > 1000 {
			b = o("repeat", "a", "times", len(c.v))
		}
		leaves = append(leaves, o("desc", c.desc, "entry", b, "leafHash", hexOf(leafHash(c.v))))
	}
	a, b := leafHash([]byte("entry 0")), leafHash([]byte("entry 1"))
	nodes := []M{
		o("desc", "two leaves", "left", hexOf(a), "right", hexOf(b), "node", hexOf(nodeHash(a, b))),
		o("desc", "the same, the other way round", "left", hexOf(b), "right", hexOf(a), "node", hexOf(nodeHash(b, a))),
	}
	// The entries and roots of Certificate Transparency's own test suite.
	given := []any{"", o("base64", "AA=="), o("base64", "EA=="), " !", "01", "@ABC", "PQRSTUVW", "`abcdefghijklmno"}
	golden := []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	raws := [][]byte{{}, {0}, {0x10}, []byte(" !"), []byte("01"), []byte("@ABC"), []byte("PQRSTUVW"), []byte("`abcdefghijklmno")}
	t := &tree{}
	for _, r := range raws {
		t.leaves = append(t.leaves, leafHash(r))
	}
	trees := []M{}
	for n := range golden {
		assert(hexOf(t.root(int64(n))) == golden[n], "golden root %d", n)
		trees = append(trees, o("desc", fmt.Sprintf("%d entries of Certificate Transparency's test tree", n), "entries", given[:n], "root", golden[n]))
	}
	big, roots := numbered(65537), []M{}
	for n := int64(0); n <= 65537; n++ {
		if n <= 40 || slices.Contains([]int64{63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513, 65535, 65536, 65537}, n) {
			roots = append(roots, o("size", n, "root", hexOf(big.root(n))))
		}
	}
	return o("leafHashes", leaves, "nodes", nodes, "trees", trees, "roots", roots)
}

func flipBit(h []byte) []byte {
	r := slices.Clone(h)
	r[len(r)-1] ^= 1
	return r
}

func unhex(s string) []byte { return must(hex.DecodeString(s)) }

// far are trees beyond 32 bits; their entries are empty but for those that the cases are about.
func far() *tree {
	t := &tree{sparse: true, special: map[int64][]byte{}}
	for _, i := range []int64{0, 1, 4, 1 << 31, 1<<32 - 1, 1 << 32, 1<<32 + 4, 1 << 40, 1<<52 + 12345, maxSize - 2, maxSize - 1} {
		t.special[i] = leafHash(fmt.Appendf(nil, "entry %d", i))
	}
	return t
}

func inclusionVectors() M {
	cases := []M{}
	t, f := numbered(70000), far()
	add := func(t *tree, index, size int64, note string) {
		cases = append(cases, o("desc", fmt.Sprintf("entry %d of %d%s", index, size, note), "index", index, "size", size,
			"leafHash", hexOf(t.leaf(index)), "proof", t.inclusion(index, size), "root", hexOf(t.root(size))))
	}
	for size := int64(1); size <= 17; size++ {
		for index := range size {
			add(t, index, size, "")
		}
	}
	for _, c := range [][2]int64{{0, 255}, {254, 255}, {0, 256}, {255, 256}, {0, 257}, {255, 257}, {256, 257}, {700, 1000}, {65535, 65536}, {65536, 65537}, {40000, 70000}, {69999, 70000}} {
		add(t, c[0], c[1], "")
	}
	for _, c := range [][2]int64{{1 << 31, 1<<31 + 1}, {1<<32 - 1, 1 << 32}, {4, 1<<32 + 5}, {1 << 32, 1<<32 + 1}, {1<<32 + 4, 1<<32 + 5}, {1 << 40, 1<<41 + 3}, {1<<52 + 12345, maxSize}, {0, maxSize}, {maxSize - 1, maxSize}, {maxSize - 2, maxSize - 1}} {
		add(f, c[0], c[1], ": numbers above 31 bits; a tree of empty entries but a few")
	}
	bad := func(desc string, index, size int64, leaf []byte, p [][]byte, root []byte) {
		assert(!checkInclusion(p, index, size, leaf, root), "inclusion accepted: %s", desc)
		cases = append(cases, o("desc", desc, "index", index, "size", size, "leafHash", hexOf(leaf), "proof", p, "root", hexOf(root), "wantErr", "inclusion_invalid"))
	}
	for _, c := range []struct {
		t           *tree
		index, size int64
	}{{t, 0, 1}, {t, 2, 4}, {t, 5, 7}, {t, 6, 7}, {t, 10, 11}, {t, 256, 257}, {f, 1<<32 + 4, 1<<40 + 5}} {
		leaf, p, root := c.t.leaf(c.index), c.t.inclusion(c.index, c.size), c.t.root(c.size)
		name := fmt.Sprintf("entry %d of %d: ", c.index, c.size)
		bad(name+"wrong root", c.index, c.size, leaf, p, flipBit(root))
		bad(name+"wrong leaf hash", c.index, c.size, flipBit(leaf), p, root)
		bad(name+"a hash too many, at the end", c.index, c.size, leaf, append(slices.Clone(p), root), root)
		bad(name+"a hash too many, at the start", c.index, c.size, leaf, append([][]byte{leaf}, p...), root)
		bad(name+"a hash too many: 32 zero bytes", c.index, c.size, leaf, append(slices.Clone(p), make([]byte, 32)), root)
		bad(name+"index is the size", c.size, c.size, leaf, p, root)
		bad(name+"index above the size", c.size+5, c.size, leaf, p, root)
		bad(name+"size 0", c.index, 0, leaf, p, root)
		bad(name+"index plus 2^32: right if cut to 32 bits", c.index+1<<32, c.size, leaf, p, root)
		bad(name+"leaf hash one byte short", c.index, c.size, leaf[:31], p, root)
		bad(name+"root one byte short", c.index, c.size, leaf, p, root[:31])
		if len(p) > 0 {
			bad(name+"first hash missing", c.index, c.size, leaf, p[1:], root)
			bad(name+"last hash missing", c.index, c.size, leaf, p[:len(p)-1], root)
			bad(name+"no hashes", c.index, c.size, leaf, [][]byte{}, root)
			for i := range min(len(p), 4) {
				q := slices.Clone(p)
				q[i] = flipBit(q[i])
				bad(fmt.Sprintf("%shash %d changed", name, i), c.index, c.size, leaf, q, root)
			}
			q := slices.Clone(p)
			q[0] = append(slices.Clone(q[0]), 0)
			bad(name+"a hash of 33 bytes", c.index, c.size, leaf, q, root)
			bad(name+"index one lower", c.index-1, c.size, leaf, p, root)
		}
		if len(p) > 1 {
			q := slices.Clone(p)
			q[0], q[1] = q[1], q[0]
			bad(name+"two hashes swapped", c.index, c.size, leaf, q, root)
			q = slices.Clone(p)
			slices.Reverse(q)
			bad(name+"from the root down", c.index, c.size, leaf, q, root)
		}
	}
	leaf := t.leaf(0)
	bad("index −1", -1, 2, leaf, [][]byte{t.leaf(1)}, t.root(2))
	bad("size 2^53", 0, 1<<53, f.leaf(0), f.path(0, 0, 1<<53), f.root(1<<53))
	bad("index and size beyond 2^53", 1<<53, 1<<53+2, f.leaf(1<<53), f.path(1<<53, 0, 1<<53+2), f.root(1<<53+2))
	bad("a leaf in the place of the root of two", 0, 2, nodeHash(t.leaf(0), t.leaf(1)), [][]byte{}, t.root(2))
	bad("a node taken for a leaf", 0, 4, nodeHash(t.leaf(0), t.leaf(1)), [][]byte{nodeHash(t.leaf(2), t.leaf(3))}, t.root(4))
	return o("cases", cases)
}

func consistencyVectors() M {
	cases := []M{}
	t, f := numbered(70000), far()
	add := func(t *tree, size1, size2 int64, note string) {
		cases = append(cases, o("desc", fmt.Sprintf("%d to %d%s", size1, size2, note), "size1", size1, "root1", hexOf(t.root(size1)),
			"size2", size2, "root2", hexOf(t.root(size2)), "proof", t.consistency(size1, size2)))
	}
	for size2 := int64(0); size2 <= 17; size2++ {
		for size1 := range size2 + 1 {
			add(t, size1, size2, "")
		}
	}
	for _, c := range [][2]int64{{1, 255}, {255, 256}, {255, 257}, {256, 257}, {256, 512}, {300, 1000}, {65535, 65537}, {65536, 65537}, {65536, 65536}, {40000, 70000}} {
		add(t, c[0], c[1], "")
	}
	for _, c := range [][2]int64{{5, 1<<32 + 5}, {1 << 31, 1<<31 + 1}, {1 << 32, 1<<32 + 1}, {1<<32 - 1, 1<<32 + 5}, {1<<32 + 5, 1<<41 + 3}, {1 << 52, maxSize}, {1<<52 + 12346, maxSize}, {maxSize - 1, maxSize}, {maxSize, maxSize}, {0, maxSize}} {
		add(f, c[0], c[1], ": numbers above 31 bits; a tree of empty entries but a few")
	}
	bad := func(desc string, size1 int64, root1 []byte, size2 int64, root2 []byte, p [][]byte) {
		assert(!checkConsistency(p, size1, root1, size2, root2), "consistency accepted: %s", desc)
		cases = append(cases, o("desc", desc, "size1", size1, "root1", hexOf(root1), "size2", size2, "root2", hexOf(root2), "proof", p, "wantErr", "inconsistent"))
	}
	for _, c := range []struct {
		t            *tree
		size1, size2 int64
	}{{t, 1, 2}, {t, 4, 7}, {t, 6, 8}, {t, 7, 11}, {t, 256, 300}, {f, 1<<32 + 5, 1<<40 + 3}} {
		p, r1, r2 := c.t.consistency(c.size1, c.size2), c.t.root(c.size1), c.t.root(c.size2)
		name := fmt.Sprintf("%d to %d: ", c.size1, c.size2)
		bad(name+"wrong first root", c.size1, flipBit(r1), c.size2, r2, p)
		bad(name+"wrong second root", c.size1, r1, c.size2, flipBit(r2), p)
		bad(name+"roots swapped", c.size1, r2, c.size2, r1, p)
		bad(name+"sizes swapped", c.size2, r2, c.size1, r1, p)
		bad(name+"a hash too many, at the end", c.size1, r1, c.size2, r2, append(slices.Clone(p), r1))
		bad(name+"a hash too many, at the start: the first root", c.size1, r1, c.size2, r2, append([][]byte{r1}, p...))
		bad(name+"last hash missing", c.size1, r1, c.size2, r2, p[:len(p)-1])
		bad(name+"first hash missing", c.size1, r1, c.size2, r2, p[1:])
		bad(name+"no hashes", c.size1, r1, c.size2, r2, [][]byte{})
		bad(name+"first size plus 2^32: right if cut to 32 bits", c.size1+1<<32, r1, c.size2, r2, p)
		bad(name+"taken for equal sizes", c.size2, r1, c.size2, r2, p)
		bad(name+"an inclusion proof instead", c.size1, r1, c.size2, r2, append(c.t.inclusion(c.size1-1, c.size2), r1, r2))
		for i := range min(len(p), 4) {
			q := slices.Clone(p)
			q[i] = flipBit(q[i])
			bad(fmt.Sprintf("%shash %d changed", name, i), c.size1, r1, c.size2, r2, q)
		}
		if len(p) > 1 {
			q := slices.Clone(p)
			q[0], q[1] = q[1], q[0]
			bad(name+"two hashes swapped", c.size1, r1, c.size2, r2, q)
		}
		q := slices.Clone(p)
		q[0] = q[0][:31]
		bad(name+"a hash of 31 bytes", c.size1, r1, c.size2, r2, q)
	}
	bad("equal sizes, different roots", 5, t.root(5), 5, t.root(6), [][]byte{})
	bad("equal sizes, equal roots, a hash that nobody needs", 5, t.root(5), 5, t.root(5), [][]byte{t.root(4)})
	bad("from size 0 with a hash", 0, t.root(0), 5, t.root(5), [][]byte{t.root(5)})
	bad("first size −1", -1, t.root(0), 5, t.root(5), [][]byte{})
	bad("second size 2^53", 1, f.root(1), 1<<53, f.root(1<<53), f.subproof(1, 0, 1<<53, true))
	bad("both sizes 2^53", 1<<53, f.root(1<<53), 1<<53, f.root(1<<53), [][]byte{})
	return o("cases", cases)
}
