package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// logged is the small log of log.json, and what the bundles are cut from.
type logged struct {
	a, b        *source
	entries     []string
	disclosures [][]string
	addresses   map[int]string // the disclosure of the session's address, by the index of a statement
	tree        *tree
	end         time.Time
}

var theLog = sync.OnceValue(func() *logged {
	l := &logged{a: newSource("proxy-a.example"), b: newSource("proxy-b.example"), addresses: map[int]string{}}
	seen := map[*source]int{}
	// do runs one action of a source, at the one clock of this world, and moves its entries into the log.
	do := func(s *source, c *session, action func()) {
		s.now = l.end
		action()
		for ; seen[s] < len(s.entries); seen[s]++ {
			if c != nil {
				l.addresses[len(l.entries)] = c.disclosure
			}
			l.entries = append(l.entries, s.entries[seen[s]])
			l.disclosures = append(l.disclosures, s.disclosures[seen[s]])
		}
		l.end = s.now
	}
	a, b := l.a, l.b
	l.end = a.now
	var open [4]*session
	do(a, nil, func() { a.first() })
	do(b, nil, func() { b.first() })
	connect := func(i int, s *source, login string) { do(s, nil, func() { open[i] = s.connect(login, "shop") }) }
	work := func(i int, s *source, n int) {
		c := open[i]
		if n%7 == 3 {
			do(s, c, func() { s.run(c, fmt.Sprintf("SELECT * FROM acounts WHERE id = %d", n), s.fail) })
		} else if n%5 == 2 {
			do(s, c, func() { s.run(c, fmt.Sprintf("UPDATE accounts SET balance = balance - %d WHERE id = %d", n, n+1)) })
		} else {
			do(s, c, func() { s.run(c, fmt.Sprintf("SELECT balance FROM accounts WHERE id = %d", n)) })
		}
	}
	connect(0, a, "alice")
	connect(1, b, "bob")
	connect(2, a, "carol")
	for n := range 80 {
		work(n%3, []*source{a, b, a}[n%3], n)
		if n%25 == 24 {
			do(a, nil, func() { a.seal() })
			do(b, nil, func() { b.seal() })
		}
		if n%30 == 11 {
			do(b, nil, func() { b.refuse("mallory") })
		}
	}
	// The source a dies here: two sessions are open, and the last entries have no seal.
	crashed, carol := open[0], open[2]
	do(b, nil, func() { b.end(open[1]) })
	do(b, nil, func() { b.stop() })
	do(a, nil, func() { a.restart(false) })
	do(a, nil, func() { a.recover(crashed, 1, "UPDATE accounts SET balance = 0 WHERE id = 7") })
	do(a, nil, func() { a.recover(carol, 1, "SELECT balance FROM accounts WHERE id = 8") })
	do(b, nil, func() { b.restart(true) })
	connect(0, a, "alice")
	connect(1, b, "bob")
	connect(3, b, "dave")
	for n := range 186 {
		work([]int{0, 1, 0, 3}[n%4], []*source{a, b, a, b}[n%4], n)
		if n%40 == 39 {
			do(a, nil, func() { a.seal() })
		}
		if n%50 == 49 {
			do(b, nil, func() { b.seal() })
		}
	}
	do(a, nil, func() { a.end(open[0]) })
	do(a, nil, func() { a.stop() })
	do(b, nil, func() { b.end(open[3]) })
	do(b, nil, func() { b.end(open[1]) })
	do(b, nil, func() { b.stop() })
	l.tree = treeOf(l.entries)
	return l
})

func treeOf(entries []string) *tree {
	t := &tree{}
	for _, e := range entries {
		t.leaves = append(t.leaves, leafHash([]byte(e)))
	}
	return t
}

func logVectors() M {
	l := theLog()
	size := int64(len(l.entries))
	assert(size > 290 && size < 320, "the log has %d entries", size)
	checkpoints, audits := []M{}, []M{}
	for _, n := range []int64{0, 1, 100, 256, size} {
		root := l.tree.root(n)
		checkpoints = append(checkpoints, o("size", n, "root", hexOf(root), "note", checkpoint(n, root)))
	}
	try := func(desc string, n int64, now time.Time, want string) {
		v, list := verdict(audit(l.entries[:n], nil, now))
		codes, findings := []string{}, []M{}
		for _, f := range list {
			codes = append(codes, f.code)
			findings = append(findings, o("code", f.code, "index", f.position))
		}
		assert(strings.Join(codes, " ") == want, "audit of %d: %v", n, list)
		audits = append(audits, o("desc", desc, "size", n, "now", stamp(now), "verdict", v, "findings", findings))
	}
	timeOf := func(i int64) time.Time {
		return must(time.Parse("2006-01-02T15:04:05.000000Z", text(parse(l.entries[i])["time"])))
	}
	later := l.end.AddDate(5, 0, 0)
	try("all of it, years later", size, later, "")
	try("all of it, at once", size, l.end.Add(time.Second), "")
	try("the empty tree", 0, l.end, "")
	try("one entry, at once", 1, timeOf(0).Add(time.Second), "unsealed")
	try("one entry, years later", 1, later, "unsealed silent")
	try("100 entries, at once: both sources are in their second epochs and have not sealed in them", 100, timeOf(99).Add(time.Second), auditCodes(l.entries[:100], timeOf(99).Add(time.Second)))
	try("256 entries, at once: both sources have entries behind their last seals", 256, timeOf(255).Add(time.Second), "unsealed unsealed")
	try("256 entries, an hour later", 256, timeOf(255).Add(time.Hour), "unsealed unsealed silent silent")
	return o("origin", origin, "vkey", logKey.vkey, "seed", hexOf(logKey.seed),
		"sources", []M{o("name", l.a.name, "vkey", l.a.vkey, "seed", hexOf(l.a.seed)), o("name", l.b.name, "vkey", l.b.vkey, "seed", hexOf(l.b.seed))},
		"checkpoints", checkpoints, "audits", audits, "mutations", mutations(l, later), "entries", l.entries)
}

func auditCodes(entries []string, now time.Time) string {
	codes := []string{}
	for _, f := range audit(entries, nil, now) {
		assert(!f.fails(), "%v", f)
		codes = append(codes, f.code)
	}
	return strings.Join(codes, " ")
}

// apply is the table of operations in README.md.
func apply(entries []string, ops []M) []string {
	e := slices.Clone(entries)
	num := func(op M, name string) int { return op.get(name).(int) }
	for _, op := range ops {
		switch op.get("op") {
		case "flip":
			b := []byte(e[num(op, "index")])
			b[num(op, "offset")] ^= byte(num(op, "mask"))
			e[num(op, "index")] = string(b)
		case "replace":
			e[num(op, "index")] = op.get("entry").(string)
		case "delete":
			e = slices.Delete(e, num(op, "index"), num(op, "index")+1)
		case "insert":
			e = slices.Insert(e, num(op, "index"), op.get("entry").(string))
		case "swap":
			i, j := num(op, "index"), num(op, "with")
			e[i], e[j] = e[j], e[i]
		case "truncate":
			e = e[:num(op, "size")]
		default:
			panic(op.get("op"))
		}
	}
	return e
}

func mutations(l *logged, now time.Time) []M {
	list := []M{}
	size := len(l.entries)
	original := l.tree.root(int64(size))
	// mutate works out what a verifier finds, step by step as in proof.md, and holds it against the expectation.
	mutate := func(desc, remake string, kept any, want string, ops ...M) {
		e := apply(l.entries, ops)
		m := o("desc", desc, "ops", ops, "remake", remake, "kept", kept, "now", stamp(now))
		code, index, v := "", -1, "FAIL"
		t := treeOf(e)
		switch {
		case remake != "checkpoint" && len(e) < size:
			code, v = "data_missing", "NOT PROVEN" // T1
		case remake == "bundles":
			for i := range e {
				if e[i] != l.entries[i] {
					code, index = "leaf_mismatch", i // T3
					break
				}
			}
		case remake == "tiles":
			assert(!slices.Equal(t.root(int64(len(e))), original), "%s changes nothing", desc)
			code = "root_mismatch" // T4
		default:
			if n, ok := kept.(int); ok {
				kr := l.tree.root(int64(n))
				switch {
				case n > len(e):
					code = "rolled_back" // K1
				case n == len(e) && !slices.Equal(kr, t.root(int64(n))):
					code = "split_view" // K2
				case !checkConsistency(tolerant(t, n, len(e)), int64(n), kr, int64(len(e)), t.root(int64(len(e)))):
					code = "inconsistent" // K3
				}
			}
			if code == "" {
				var f []finding
				v, f = verdict(audit(e, nil, now))
				if len(f) > 0 {
					code, index = f[0].code, f[0].position
				}
			}
		}
		assert(code == want, "mutation %q: wanted %q, found %q at %d", desc, want, code, index)
		m = m.with("verdict", v)
		if code != "" {
			m = m.with("wantErr", code)
		}
		if index >= 0 {
			m = m.with("index", index)
		}
		list = append(list, m)
	}
	// find gives the first index from from on whose entry has all the parts.
	find := func(from int, parts ...string) int {
		for i := from; i < size; i++ {
			if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(l.entries[i], p) }) {
				return i
			}
		}
		panic(fmt.Sprint(parts))
	}
	inA, inB := `"source":"`+l.a.name+`"`, `"source":"`+l.b.name+`"`
	st := `"kind":"statement"`
	offset := func(i int, part string) int {
		assert(strings.Count(l.entries[i], part) == 1, "%q in entry %d", part, i)
		return strings.Index(l.entries[i], part) + len(part)
	}
	flip := func(i int, part string, mask int) M {
		return o("op", "flip", "index", i, "offset", offset(i, part), "mask", mask)
	}
	op := func(name string, pairs ...any) M { return append(o("op", name), o(pairs...)...) }
	x := find(40, inA, st, `"SELECT"`, `"rows":1`)
	y := find(260, inB, st, `"rows":1`)
	for _, n := range []any{nil, size, 256, 100, 1, 0} {
		mutate(fmt.Sprintf("nothing is changed; kept: %v", n), "checkpoint", n, "")
	}
	for _, i := range []int{0, x, 255, 256, size - 1} {
		mutate(fmt.Sprintf("one bit of entry %d, its time", i), "bundles", nil, "leaf_mismatch", flip(i, `"time":"2026-11-2`, 1))
	}
	mutate("the last byte of an entry: not JSON any more", "bundles", nil, "leaf_mismatch", o("op", "flip", "index", x, "offset", len(l.entries[x])-1, "mask", 1))
	mutate("an entry in the place of another", "bundles", nil, "leaf_mismatch", op("replace", "index", x, "entry", l.entries[x+1]))
	mutate("two entries swapped", "bundles", nil, "leaf_mismatch", op("swap", "index", x, "with", y))
	mutate("the log loses its end", "bundles", nil, "data_missing", op("truncate", "size", 256))
	mutate("one bit, the tiles made to fit", "tiles", nil, "root_mismatch", flip(x, `"rows":`, 3))
	mutate("one bit of the first entry, the tiles made to fit", "tiles", nil, "root_mismatch", flip(0, `"time":"2026-11-2`, 1))
	mutate("one bit of the last entry, the tiles made to fit", "tiles", nil, "root_mismatch", flip(size-1, `"time":"2026-11-2`, 1))
	mutate("two entries swapped, the tiles made to fit", "tiles", nil, "root_mismatch", op("swap", "index", x, "with", y))
	mutate("not JSON any more, the tiles made to fit: T comes before E", "tiles", nil, "root_mismatch", o("op", "flip", "index", x, "offset", len(l.entries[x])-1, "mask", 1))
	mutate("an entry taken out and another put in at the end, the tiles made to fit", "tiles", nil, "root_mismatch", op("delete", "index", x), op("insert", "index", size-1, "entry", l.entries[x]))
	mutate("the log loses its end, the tiles made to fit", "tiles", nil, "data_missing", op("truncate", "size", size-1))

	mutate("one bit, all signed anew, against the checkpoint kept at this size", "checkpoint", size, "split_view", flip(x, `"rows":`, 3))
	mutate("one bit in the kept part, all signed anew", "checkpoint", 100, "inconsistent", flip(x, `"rows":`, 3))
	mutate("one bit in the kept part, kept at a full tile", "checkpoint", 256, "inconsistent", flip(x, `"rows":`, 3))
	mutate("an entry taken out of the kept part", "checkpoint", 256, "inconsistent", op("delete", "index", x))
	mutate("an entry taken out: smaller than what was kept", "checkpoint", size, "rolled_back", op("delete", "index", x))
	mutate("cut back to 256", "checkpoint", size, "rolled_back", op("truncate", "size", 256))
	mutate("cut back to 256 and kept at 256: nothing contradicts, and the ends are missing", "checkpoint", 256, "unsealed", op("truncate", "size", 256))
	mutate("entries of two sources swapped, against the checkpoint kept at this size", "checkpoint", size, "split_view", op("swap", "index", x, "with", find(x, inB)))

	mutate("a number of rows: the next seal of the source does not fit", "checkpoint", nil, "seal_mismatch", flip(x, `"rows":`, 3))
	mutate("the same behind the kept part", "checkpoint", 256, endsWith(l, y), flip(y, `"rows":`, 3))
	mutate("a login", "checkpoint", nil, "seal_mismatch", flip(x, `"login":"`, 1))
	mutate("a digest", "checkpoint", nil, "seal_mismatch", flip(x, `"sql":{"sealed":"`, flipLetter(l.entries[x][offset(x, `"sql":{"sealed":"`)])))
	mutate("not JSON any more", "checkpoint", nil, "entry_malformed", o("op", "flip", "index", x, "offset", len(l.entries[x])-1, "mask", 1))
	mutate("not UTF-8 any more", "checkpoint", nil, "entry_malformed", flip(x, `"login":"`, 0x80))
	mutate("v is 0", "checkpoint", nil, "entry_malformed", o("op", "flip", "index", x, "offset", 5, "mask", 1))
	mutate("a statement taken out", "checkpoint", nil, "sequence_gap", op("delete", "index", x))
	mutate("two statements taken out", "checkpoint", nil, "sequence_gap", op("delete", "index", y), op("delete", "index", x))
	mutate("a seal taken out", "checkpoint", nil, "sequence_gap", op("delete", "index", find(0, inA, `"kind":"source.seal"`)))
	mutate("the first entry taken out", "checkpoint", nil, "epoch_break", op("delete", "index", 0))
	second := find(0, inA, `"kind":"source.start"`, `"epoch":2`)
	lastA := second - 1
	for !strings.Contains(l.entries[lastA], inA) {
		lastA--
	}
	mutate("the last entry before a crash taken out: previous does not fit", "checkpoint", nil, "epoch_break", op("delete", "index", lastA))
	mutate("the start of the second epoch taken out", "checkpoint", nil, "epoch_break", op("delete", "index", second))
	mutate("the very last entry, a source.stop, taken out: NOT PROVEN", "checkpoint", nil, "unsealed", op("delete", "index", size-1))
	mutate("two entries of one source swapped", "checkpoint", nil, "sequence_gap", op("swap", "index", x, "with", find(x+1, inA)))
	mutate("entries of two sources swapped: without a kept checkpoint nothing tells", "checkpoint", nil, "", op("swap", "index", x, "with", find(x, inB)))
	mutate("an entry twice", "checkpoint", nil, "sequence_repeat", op("insert", "index", x+1, "entry", l.entries[x]))
	mutate("an entry once more at the end, behind its source's stop", "checkpoint", nil, "epoch_break", op("insert", "index", size, "entry", l.entries[x]))
	forged := strings.Replace(l.entries[x], `"login":"`, `"login":"not-`, 1)
	mutate("a forged statement in the place of a true one", "checkpoint", nil, "seal_mismatch", op("replace", "index", x, "entry", forged))
	mutate("a forged statement in front of the true one: its number comes twice", "checkpoint", nil, "sequence_repeat", op("insert", "index", x, "entry", forged))
	seal := find(0, inA, `"kind":"source.seal"`)
	byLog := compactSeal(l.entries[seal], logKey)
	mutate("a seal signed by the log", "checkpoint", nil, "seal_invalid", op("replace", "index", seal, "entry", byLog))
	start := strings.Replace(l.entries[0], l.a.vkey, keyFrom(l.a.name, sum([]byte("another"))).vkey, 1)
	assert(start != l.entries[0], "another vkey")
	mutate("another key in source.start: the seals are not by it", "checkpoint", nil, "seal_invalid", op("replace", "index", 0, "entry", start))
	mutate("a key in source.start that has another name", "checkpoint", nil, "source_key_mismatch", op("replace", "index", 0, "entry", strings.Replace(l.entries[0], l.a.vkey, logKey.vkey, 1)))
	mutate("the durability in source.start", "checkpoint", nil, "seal_mismatch", op("replace", "index", 0, "entry", strings.Replace(l.entries[0], `"others":"before-execute"`, `"others":"before-result"`, 1)))
	end := find(0, `"kind":"session.end"`)
	mutate("the totals of a session.end", "checkpoint", nil, "session_totals", op("replace", "index", end, "entry", strings.Replace(l.entries[end], `"statements":`, `"statements":1`, 1)))
	mutate("a recovered statement that says that it is of this epoch", "checkpoint", nil, "session_break", op("replace", "index", find(0, `"recovered"`), "entry", strings.Replace(l.entries[find(0, `"recovered"`)], `"recovered":{"epoch":1}`, `"recovered":{"epoch":2}`, 1)))
	return list
}

// endsWith says what a changed row count shows first: the end of its session, or the next seal of its source.
func endsWith(l *logged, i int) string {
	e := parse(l.entries[i])
	for _, n := range l.entries[i+1:] {
		m := parse(n)
		if m["source"] == e["source"] && m["seal"] != nil {
			return "seal_mismatch"
		}
		if m["source"] == e["source"] && m["session"] == e["session"] && text(m["kind"]) == "session.end" {
			return "session_totals"
		}
	}
	panic("neither")
}

// flipLetter is a mask that makes another letter of base64url of a letter.
func flipLetter(letter byte) int {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for mask := 1; mask < 128; mask++ {
		if strings.IndexByte(letters, letter^byte(mask)) >= 0 {
			return mask
		}
	}
	panic("no letter")
}

// compactSeal signs the text of an entry's seal with another key.
func compactSeal(entry string, k *key) string {
	old := text(parse(entry)["seal"])
	t := old[:strings.LastIndex(old, "\n\n")+1]
	assert(strings.Count(entry, quote(old)) == 1, "the seal in its entry")
	return strings.Replace(entry, quote(old), quote(k.note(t)), 1)
}

// tolerant is the consistency proof that a log's own tiles give, whatever its tree is.
func tolerant(t *tree, from, to int) [][]byte {
	if from == 0 || from == to {
		return [][]byte{}
	}
	return t.subproof(int64(from), 0, int64(to), true)
}
