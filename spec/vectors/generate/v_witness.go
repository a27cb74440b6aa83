package main

import (
	"fmt"
	"slices"
	"strings"
)

// The witness of witness.md, as far as its answers do not depend on a clock or a key.

func addCheckpoint(old int64, proof [][]byte, note string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "old %d\n", old)
	for _, h := range proof {
		b.WriteString(b64(h) + "\n")
	}
	return b.String() + "\n" + note
}

type step struct {
	body, code, kept string
	size             int64
}

func (s step) json() M {
	status := map[string]int{"": 200, "malformed": 400, "old_beyond_size": 400, "signature_missing": 403, "signature_invalid": 403,
		"unknown_log": 404, "size_conflict": 409, "body_too_large": 413, "empty_root": 422, "split_view": 422, "inconsistent": 422}[s.code]
	assert(status != 0, "status of %s", s.code)
	m := o("body", shorten(s.body), "status", status)
	switch s.code {
	case "":
		return m.with("kept", s.kept)
	case "size_conflict":
		return m.with("code", s.code, "size", s.size)
	}
	return m.with("code", s.code)
}

func witnessVectors() M {
	small, two, named := testKey("log.example/small"), testKey("log.example/two"), testKey("key.example/named")
	twoLater := keyFrom("log.example/two", sum([]byte("vitrine test seed: log.example/two, later")))
	stranger := testKey("stranger.example")
	w := testCosigner("witness.example/w1")
	const namedOrigin = "an origin with spaces + plus"
	list := strings.Join([]string{
		"# a list of logs", "", "logs/v0", "",
		"vkey " + logKey.vkey, "qpd 86400", "contact nobody",
		"\tvkey " + small.vkey + " ", "  qpd 2147483647", "contact sysadmin (at) log.example",
		"vkey " + named.vkey, "origin " + namedOrigin, "qpd 1440", "contact https://key.example/contact", "",
	}, "\n")

	t, f := numbered(1000), far()
	at := func(t *tree, size int64) string { return checkpointText(origin, size, t.root(size)) }
	cp := func(size int64) string { return logKey.note(at(t, size)) }
	from := func(old, size int64) string { return addCheckpoint(old, t.consistency(old, size), cp(size)) }
	good := func(old, size int64) step { return step{body: from(old, size), kept: cp(size)} }
	bad := func(body, code string) step { return step{body: body, code: code} }
	conflict := func(body string, size int64) step { return step{body: body, code: "size_conflict", size: size} }

	scenarios := []M{}
	add := func(desc string, steps ...step) {
		list := []M{}
		for _, s := range steps {
			list = append(list, s.json())
		}
		scenarios = append(scenarios, o("desc", desc, "steps", list))
	}
	add("a log from its beginning", good(0, 0), good(0, 1), good(1, 2), good(2, 7), good(7, 8), good(8, 300), good(300, 1000))
	add("first contact with a log that is not empty: no proof", good(0, 300), good(300, 301))
	add("the same checkpoint again", good(0, 300), good(300, 300), good(300, 300), good(300, 301))
	add("the empty tree again", good(0, 0), good(0, 0), good(0, 5))
	add("another old size than the latest", conflict(from(5, 7), 0), good(0, 7), conflict(from(0, 8), 7), conflict(from(8, 9), 7),
		conflict(from(6, 6), 7), good(7, 9), conflict(from(7, 9), 9))
	add("the old size is above the checkpoint's", bad(addCheckpoint(8, nil, cp(7)), "old_beyond_size"), good(0, 7),
		bad(addCheckpoint(8, nil, cp(7)), "old_beyond_size"), good(7, 7))

	forked := &tree{leaves: slices.Clone(t.leaves)}
	forked.leaves[3] = leafHash([]byte("another entry"))
	fcp := func(size int64) string { return logKey.note(at(forked, size)) }
	p := t.consistency(7, 11)
	add("a log that forked", good(0, 7),
		bad(addCheckpoint(7, nil, fcp(7)), "split_view"),
		bad(addCheckpoint(7, forked.consistency(7, 11), fcp(11)), "inconsistent"),
		bad(addCheckpoint(7, p, fcp(11)), "inconsistent"), good(7, 11))
	add("proofs that are wrong", good(0, 7),
		bad(addCheckpoint(7, nil, cp(11)), "inconsistent"),
		bad(addCheckpoint(7, p[1:], cp(11)), "inconsistent"),
		bad(addCheckpoint(7, append(slices.Clone(p), p[0]), cp(11)), "inconsistent"),
		bad(addCheckpoint(7, append([][]byte{flipBit(p[0])}, p[1:]...), cp(11)), "inconsistent"),
		bad(addCheckpoint(7, [][]byte{p[0]}, cp(7)), "inconsistent"), good(7, 11))
	add("a proof where none is needed", bad(addCheckpoint(0, p, cp(11)), "inconsistent"), good(0, 0),
		bad(addCheckpoint(0, p, cp(11)), "inconsistent"), good(0, 11))
	bogus := logKey.note(checkpointText(origin, 0, t.root(1)))
	add("size 0 with another root", bad(addCheckpoint(0, nil, bogus), "empty_root"), good(0, 0),
		bad(addCheckpoint(0, nil, bogus), "empty_root"), good(0, 1), conflict(addCheckpoint(0, nil, bogus), 1))
	fat := func(old, size int64) step {
		n := logKey.note(at(f, size))
		return step{body: addCheckpoint(old, f.consistency(old, size), n), kept: n}
	}
	add("sizes beyond 32 bits", fat(0, 5), fat(5, 1<<32+5), fat(1<<32+5, 1<<41+3), fat(1<<41+3, 1<<52), fat(1<<52, maxSize), fat(maxSize, maxSize))
	add("sizes beyond 2^53 - 1", bad(addCheckpoint(0, nil, logKey.note(checkpointText(origin, 1<<53, t.root(7)))), "malformed"),
		bad(strings.Replace(from(0, 7), "old 0", "old 9007199254740992", 1), "malformed"))

	// signatures
	text := at(t, 7)
	unsigned := func(lines ...string) string { return addCheckpoint(0, nil, text+"\n"+strings.Join(lines, "")) }
	own := w.line(text, 1763849028)
	forgedOwn := line(w.name, w.blob(1, make([]byte, 64)))
	wrong := line(logKey.name, append(slices.Clone(logKey.id), make([]byte, 64)...))
	add("signatures", bad(unsigned(stranger.line(text)), "signature_missing"), bad(unsigned(own), "signature_missing"),
		bad(unsigned(line(logKey.name, append(slices.Clone(stranger.id), logKey.rawSign(text)...))), "signature_missing"),
		bad(unsigned(line(stranger.name, append(slices.Clone(logKey.id), logKey.rawSign(text)...))), "signature_missing"),
		bad(unsigned(wrong), "signature_invalid"), bad(unsigned(logKey.line(text), wrong), "signature_invalid"),
		bad(unsigned(wrong, logKey.line(text)), "signature_invalid"),
		bad(unsigned(line(logKey.name, append(slices.Clone(logKey.id), logKey.rawSign(text)[:63]...))), "signature_invalid"),
		bad(addCheckpoint(0, nil, at(t, 8)+"\n"+logKey.line(text)), "signature_invalid"),
		bad(unsigned(logKey.line("cosignature/v1\ntime 1763849028\n"+text)), "signature_invalid"),
		step{body: unsigned(stranger.line(text), logKey.line(text), logKey.line(text)), kept: cp(7)})
	many := []string{}
	for i := range 99 {
		many = append(many, testKey(fmt.Sprintf("other.example/%d", i)).line(text))
	}
	add("a hundred signatures", step{body: unsigned(append(many, logKey.line(text))...), kept: cp(7)},
		bad(unsigned(append(many, stranger.line(text), logKey.line(text))...), "malformed"))
	add("lines under the witness's own name are never kept", step{body: unsigned(logKey.line(text), forgedOwn), kept: cp(7)},
		step{body: addCheckpoint(7, nil, text+"\n"+own+logKey.line(text)), kept: cp(7)}, good(7, 8))
	add("logs that the witness does not know, and logs of each other's names",
		bad(addCheckpoint(0, nil, stranger.note(checkpointText(stranger.name, 7, t.root(7)))), "unknown_log"),
		bad(addCheckpoint(0, nil, logKey.note(checkpointText("log.example/vitrine2", 7, t.root(7)))), "unknown_log"),
		bad(addCheckpoint(0, nil, logKey.note(checkpointText("log.example/Vitrine", 7, t.root(7)))), "unknown_log"),
		bad(addCheckpoint(0, nil, named.note(checkpointText(named.name, 7, t.root(7)))), "unknown_log"),
		bad(addCheckpoint(0, nil, small.note(text)), "signature_missing"))
	namedText := checkpointText(namedOrigin, 7, t.root(7))
	add("a key of another name than the origin", step{body: addCheckpoint(0, nil, named.note(namedText)), kept: named.note(namedText)},
		conflict(addCheckpoint(0, nil, named.note(namedText)), 7))
	smallNote := small.note(checkpointText(small.name, 9, forked.root(9)))
	add("logs do not know of each other", good(0, 7), step{body: addCheckpoint(0, nil, smallNote), kept: smallNote}, good(7, 9))
	twoText := func(size int64) string { return checkpointText(two.name, size, t.root(size)) }
	both := func(size int64) string { return twoText(size) + "\n" + two.line(twoText(size)) + twoLater.line(twoText(size)) }
	add("two keys of one log: any is enough, all that are there must verify",
		step{body: addCheckpoint(0, nil, two.note(twoText(7))), kept: two.note(twoText(7))},
		step{body: addCheckpoint(7, t.consistency(7, 8), both(8)), kept: both(8)},
		bad(addCheckpoint(8, t.consistency(8, 9), two.note(twoText(9))+line(two.name, append(slices.Clone(twoLater.id), make([]byte, 64)...))), "signature_invalid"),
		step{body: addCheckpoint(8, t.consistency(8, 9), twoLater.note(twoText(9))), kept: twoLater.note(twoText(9))})
	extended := text + "an extension\nanother\n"
	add("extension lines are cosigned along", step{body: addCheckpoint(0, nil, logKey.note(extended)), kept: logKey.note(extended)},
		step{body: addCheckpoint(7, nil, cp(7)), kept: cp(7)},
		bad(addCheckpoint(7, nil, logKey.note(text+"an extension\n\nanother\n")), "malformed"))

	// form
	ok := from(3, 7)
	hash := b64(t.root(1)) + "\n"
	replace := func(a, b string) step {
		body := strings.Replace(ok, a, b, 1)
		assert(body != ok, "%q is not there", a)
		return bad(body, "malformed")
	}
	add("forms", good(0, 3), bad("", "malformed"), bad("\n", "malformed"), bad("old 3", "malformed"), bad("old 3\n\n", "malformed"),
		bad(cp(7), "malformed"), bad("\n"+ok, "malformed"), bad(" "+ok, "malformed"), bad("\xef\xbb\xbf"+ok, "malformed"),
		replace("old 3", "old  3"), replace("old 3", "old 03"), replace("old 3", "old +3"), replace("old 3", "old -3"), replace("old 3", "old 3 "),
		replace("old 3", "old"), replace("old 3", "old "), replace("old 3", "Old 3"), replace("old 3", "old 0x3"), replace("old 3", "old ٣"),
		replace("old 3", "new 3"), replace("old 3\n", ""), replace("old 3\n", "old 3\r\n"), replace("old 3\n", "old 3\n\n"),
		bad(strings.ReplaceAll(ok, "\n", "\r\n"), "malformed"), replace("=\n\n", "\n\n"), replace("=\n\n", "= \n\n"), replace("\n\n", "\n"),
		replace("\n\n", "\nAAAA\n\n"), replace("\n\n", "\n"+strings.TrimSuffix(b64u(t.root(1)), "=")+"\n\n"), replace("\n\n", "\n\n\n"),
		bad(addCheckpoint(3, slices.Repeat([][]byte{t.root(1)}, 64), cp(7)), "malformed"),
		bad(addCheckpoint(3, slices.Repeat([][]byte{t.root(1)}, 63), cp(7)), "inconsistent"),
		bad(strings.TrimSuffix(ok, "\n"), "malformed"), bad(ok+"\n", "malformed"), bad(ok+"x\n", "malformed"), bad(ok+hash, "malformed"),
		bad(addCheckpoint(3, t.consistency(3, 7), logKey.note(origin+"\n07\n"+b64(t.root(7))+"\n")), "malformed"),
		bad(addCheckpoint(3, t.consistency(3, 7), logKey.note(origin+"\n7\n"+b64(t.root(7)[:31])+"\n")), "malformed"),
		bad(addCheckpoint(3, t.consistency(3, 7), logKey.note(origin+"\n7\n")), "malformed"),
		bad(addCheckpoint(3, t.consistency(3, 7), text), "malformed"),
		bad("old 3\n"+hash+"\xff\n\n"+cp(7), "malformed"),
		bad(strings.Repeat("a", 65536), "malformed"), bad(strings.Repeat("a", 65537), "body_too_large"),
		bad(addCheckpoint(3, nil, cp(7)), "inconsistent"), good(3, 7))
	return o("logs", list, "vkeys", []string{two.vkey, twoLater.vkey}, "scenarios", scenarios)
}
