package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

func decode64(s string) ([]byte, error) { return base64.StdEncoding.DecodeString(s) }

// tilePath is the path of C2SP tlog-tiles, from golang.org/x/mod's, which has the tile height in front.
func tilePath(level int, n int64, width int) string {
	p := tlog.Tile{H: 8, L: level, N: n, W: width}.Path()
	if level < 0 {
		return strings.Replace(p, "tile/8/data/", "tile/entries/", 1)
	}
	return strings.Replace(p, "tile/8/", "tile/", 1)
}

func tilePathVectors() M {
	cases := []M{}
	good := func(level int, n int64, width int) {
		l := any(level)
		if level < 0 {
			l = "entries"
		}
		p := tilePath(level, n, width)
		cases = append(cases, o("desc", fmt.Sprintf("level %v, tile %d, width %d", l, n, width), "path", p, "level", l, "n", n, "width", width))
	}
	for _, n := range []int64{0, 1, 999, 1000, 1001, 999999, 1000000, 1234067, 1<<31 - 1, 1 << 31, 1 << 32, 1<<32 + 1, maxSize} {
		good(0, n, 256)
	}
	for _, level := range []int{1, 2, 7, 10, 62, 63} {
		good(level, 5, 256)
	}
	for _, w := range []int{1, 2, 9, 10, 99, 100, 255} {
		good(0, 1234067, w)
	}
	good(63, 0, 1)
	good(-1, 0, 256)
	good(-1, 1234067, 256)
	good(-1, 0, 1)
	good(-1, 1<<32+1, 255)
	for _, c := range [][2]string{
		{"empty", ""}, {"no level", "tile/000"}, {"no number", "tile/0"}, {"no number, slash", "tile/0/"},
		{"level 64", "tile/64/000"}, {"level with a leading zero", "tile/00/000"}, {"level 01", "tile/01/000"}, {"level negative", "tile/-1/000"}, {"level with a plus", "tile/+1/000"},
		{"level not a number", "tile/a/000"}, {"level in hex", "tile/0x1/000"}, {"level 1e1", "tile/1e1/000"}, {"level too long", "tile/18446744073709551616/000"},
		{"golang.org/x/mod's own path, with the height", "tile/8/0/000"}, {"golang.org/x/mod's data", "tile/data/000"},
		{"two digits", "tile/0/00"}, {"four digits", "tile/0/0000"}, {"one digit", "tile/0/5"}, {"four digits, not in groups", "tile/0/1234"},
		{"a last group with x", "tile/0/x001"}, {"a first group without x", "tile/0/001/234"}, {"a middle group without x", "tile/0/x001/234/067"},
		{"an X in upper case", "tile/0/X001/234"}, {"leading group of zeros", "tile/0/x000/001"}, {"leading groups of zeros", "tile/0/x000/x000/001"},
		{"a letter in a group", "tile/0/x00a/001"}, {"a sign in a group", "tile/0/-01"}, {"a space in a group", "tile/0/ 01"}, {"digits that are not ASCII", "tile/0/００１"},
		{"number 2^53", "tile/0/x009/x007/x199/x254/x740/992"}, {"number 2^53 + 1", "tile/0/x009/x007/x199/x254/x740/993"}, {"number far above 2^64", "tile/0/x999/x999/x999/x999/x999/x999/x999/999"},
		{"width 0", "tile/0/000.p/0"}, {"width 256", "tile/0/000.p/256"}, {"width 257", "tile/0/000.p/257"}, {"width with a leading zero", "tile/0/000.p/01"}, {"width empty", "tile/0/000.p/"}, {"no width", "tile/0/000.p"},
		{"width negative", "tile/0/000.p/-1"}, {"width with a plus", "tile/0/000.p/+1"}, {"width not a number", "tile/0/000.p/x"}, {"width 1e2", "tile/0/000.p/1e2"}, {"two widths", "tile/0/000.p/1.p/1"}, {"something behind the width", "tile/0/000.p/1/2"}, {"a slash at the end", "tile/0/000/"}, {"width, slash at the end", "tile/0/000.p/1/"},
		{"P in upper case", "tile/0/000.P/1"}, {"a group more behind the last", "tile/0/000/001"}, {"two slashes", "tile//0/000"}, {"a slash in front", "/tile/0/000"}, {"dots", "tile/0/../0/000"},
		{"Entries in upper case", "tile/Entries/000"}, {"entries, width 0", "tile/entries/000.p/0"}, {"entries, width 256", "tile/entries/000.p/256"}, {"entries, two digits", "tile/entries/00"}, {"entries, leading group of zeros", "tile/entries/x000/001"}, {"a level behind entries", "tile/entries/0/000"},
		{"a newline behind", "tile/0/000\n"}, {"U+0000 behind", "tile/0/000\x00"},
	} {
		if h, ok := strings.CutPrefix(c[1], "tile/"); ok && !strings.Contains(c[1], "entries") && !strings.Contains(c[0], "2^53") && c[0] != "level 64" && !strings.Contains(c[0], "x/mod") {
			_, err := tlog.ParseTilePath("tile/8/" + h)
			assert(err != nil, "x/mod takes %q", c[1])
		}
		cases = append(cases, o("desc", c[0], "path", c[1], "wantErr", "bad_parameter"))
	}
	sizes := []M{}
	for _, size := range []int64{0, 1, 2, 255, 256, 257, 511, 512, 65535, 65536, 65537, 70000, 1 << 24, 1<<32 + 1, maxSize} {
		levels := []M{}
		for l, span := 0, int64(1); l < 7 && size/span > 0; l, span = l+1, span*256 {
			levels = append(levels, o("full", size/span/256, "partial", size/span%256))
		}
		sizes = append(sizes, o("desc", fmt.Sprintf("a tree of %d entries", size), "size", size, "levels", levels))
	}
	return o("cases", cases, "sizes", sizes)
}

func bundle(entries ...[]byte) []byte {
	b := []byte{}
	for _, e := range entries {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(e))), e...)
	}
	return b
}

func entryBundleVectors() M {
	cases := []M{}
	some := [][]byte{[]byte("entry 0"), []byte("entry 1"), []byte("entry 2")}
	all := [][]byte{}
	for i := range 257 {
		all = append(all, fmt.Appendf(nil, "%d", i))
	}
	add := func(desc string, b any, width int, full bool, want [][]byte) {
		m := o("desc", desc, "bytes", b, "width", width, "full", full)
		if want == nil {
			cases = append(cases, m.with("wantErr", "tile_malformed"))
			return
		}
		list := []any{}
		for _, e := range want {
			list = append(list, bytesOf(e))
		}
		cases = append(cases, m.with("entries", list))
	}
	x := func(b []byte) any { return o("base64", b64(b)) }
	add("one entry", x(bundle(some[:1]...)), 1, false, some[:1])
	add("three entries", x(bundle(some...)), 3, false, some)
	add("an empty entry among them", x(bundle(some[0], nil, some[2])), 3, false, [][]byte{some[0], {}, some[2]})
	add("bytes that are not text", x(bundle([]byte{0xff, 0, 0x80})), 1, false, [][]byte{{0xff, 0, 0x80}})
	long := o("repeat", "a", "times", 65535)
	cases = append(cases, o("desc", "the longest entry", "bytes", []any{o("base64", "//8="), long}, "width", 1, "full", false, "entries", []any{long}))
	add("a full bundle", x(bundle(all[:256]...)), 256, true, all[:256])
	add("the full bundle where the partial one of width 2 was asked for: its first two", x(bundle(all[:256]...)), 2, true, all[:2])
	add("empty", "", 1, false, nil)
	add("one byte", x([]byte{0}), 1, false, nil)
	add("an entry too few", x(bundle(some[:2]...)), 3, false, nil)
	add("an entry too many", x(bundle(some...)), 2, false, nil)
	add("the last entry is cut off", x(bundle(some...)[:26]), 3, false, nil)
	add("the last length is cut off", x(append(bundle(some[:2]...), 0)), 3, false, nil)
	add("a length without its entry", x(append(bundle(some[:2]...), 0, 7)), 3, false, nil)
	add("a byte behind the last entry", x(append(bundle(some...), 0)), 3, false, nil)
	add("an empty entry behind the last", x(append(bundle(some...), 0, 0)), 3, false, nil)
	add("little-endian lengths", x([]byte("\x07\x00entry 0")), 1, false, nil)
	add("257 entries", x(bundle(all...)), 256, true, nil)
	add("a full bundle of 255", x(bundle(all[:255]...)), 256, true, nil)
	add("a full bundle of 255 where 2 were asked for", x(bundle(all[:255]...)), 2, true, nil)
	add("a full bundle with a byte behind it where 2 were asked for", x(append(bundle(all[:256]...), 0)), 2, true, nil)

	tiles, t := []M{}, numbered(256)
	tile := func(desc string, b []byte, width int, full bool, want [][]byte) {
		m := o("desc", desc, "bytes", x(b), "width", width, "full", full)
		if want == nil {
			tiles = append(tiles, m.with("wantErr", "tile_malformed"))
		} else {
			tiles = append(tiles, m.with("hashes", want))
		}
	}
	cat := func(n int) []byte { return []byte(strings.Join(strs(t.leaves[:n]), "")) }
	tile("one hash", cat(1), 1, false, t.leaves[:1])
	tile("three hashes", cat(3), 3, false, t.leaves[:3])
	tile("a full tile where the partial one of width 2 was asked for: its first two", cat(256), 2, true, t.leaves[:2])
	tile("empty", nil, 1, false, nil)
	tile("31 bytes", cat(1)[:31], 1, false, nil)
	tile("33 bytes", append(cat(1), 0), 1, false, nil)
	tile("a hash too few", cat(2), 3, false, nil)
	tile("a hash too many", cat(3), 2, false, nil)
	tile("a full tile of 255", cat(255), 2, true, nil)
	return o("cases", cases, "tiles", tiles)
}

func strs(b [][]byte) []string {
	r := []string{}
	for _, e := range b {
		r = append(r, string(e))
	}
	return r
}
