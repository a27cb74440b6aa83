package main

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// batch is a submission before it is signed.
type batch struct {
	origin, name string
	epoch, first int64
	entries      []string
	disclosures  [][]string
	count        int64
	digest       []byte // of the payload, unless it is wrong on purpose
	payload      []byte // the same
	signer       *key
}

func payload(entries []string, disclosures [][]string) []byte {
	b := []byte{}
	for i, e := range entries {
		b = binary.BigEndian.AppendUint16(b, uint16(len(e)))
		b = append(b, e...)
		b = binary.BigEndian.AppendUint16(b, uint16(len(disclosures[i])))
		for _, d := range disclosures[i] {
			b = binary.BigEndian.AppendUint32(b, uint32(len(d)))
			b = append(b, d...)
		}
	}
	return b
}

// batch cuts entries from to to (positions in s.entries, of one epoch) out of a source.
func (s *source) batch(from, to int) *batch {
	e := parse(s.entries[from])
	p := payload(s.entries[from:to], s.disclosures[from:to])
	return &batch{origin: origin, name: s.name, epoch: integer(e["epoch"]), first: integer(e["seq"]), entries: s.entries[from:to],
		disclosures: s.disclosures[from:to], count: int64(to - from), payload: p, digest: sum(p), signer: s.key}
}

func (b *batch) text() string {
	return fmt.Sprintf("vitrine/submission/v1\n%s\n%s\n%d\n%d\n%d\n%s\n", b.origin, b.name, b.epoch, b.first, b.count, b64(b.digest))
}

func frame(note string, payload []byte) []byte {
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(note))), note...), payload...)
}

func (b *batch) body() []byte { return frame(b.signer.note(b.text()), b.payload) }

// position is a model of the table in submission.md: where one source stands, and where its entries are in the log.
type position struct {
	epoch, next int64
	chain       []byte
	index       map[[2]int64]int64
	hash        map[[2]int64]string
}

type model struct {
	size    int64
	sources map[string]*position
}

// take gives the status and what the answer says.
func (m *model) take(b *batch) (int, M) {
	p := m.sources[b.name]
	if p == nil {
		p = &position{chain: make([]byte, 32), index: map[[2]int64]int64{}, hash: map[[2]int64]string{}}
		m.sources[b.name] = p
	}
	stands := o("epoch", p.epoch, "seq", p.next)
	refuse := func(code string) (int, M) {
		if code == "epoch_conflict" {
			return 409, o("code", code, "expected", stands.with("chain", b64(p.chain)))
		}
		return 409, o("code", code, "expected", stands)
	}
	known := int64(0)
	switch {
	case b.epoch == p.epoch && b.first > p.next, b.epoch == p.epoch+1 && b.first > 0, b.epoch > p.epoch+1:
		return refuse("sequence_gap")
	case b.epoch == p.epoch+1:
		previous := object(parse(b.entries[0])["previous"])
		if (previous == nil) != (p.epoch == 0) {
			return refuse("epoch_conflict")
		}
		if previous != nil && (integer(previous["epoch"]) != p.epoch || integer(previous["next"]) != p.next || text(previous["chain"]) != b64(p.chain)) {
			return refuse("epoch_conflict")
		}
	default:
		for i, e := range b.entries {
			h, ok := p.hash[[2]int64{b.epoch, b.first + int64(i)}]
			if !ok && b.epoch == p.epoch {
				break
			}
			if h != string(leafHash([]byte(e))) {
				return refuse("sequence_conflict")
			}
			known++
		}
	}
	ranges := []M{}
	begin, last := int64(-1), int64(-1)
	for i, e := range b.entries {
		at := [2]int64{b.epoch, b.first + int64(i)}
		if int64(i) >= known {
			if at[1] == 0 {
				p.chain = make([]byte, 32)
			}
			h := leafHash([]byte(e))
			p.index[at], p.hash[at] = m.size, string(h)
			p.epoch, p.next, p.chain = at[0], at[1]+1, sum(p.chain, h)
			m.size++
		}
		if i > 0 && p.index[at] == last+1 {
			ranges[len(ranges)-1] = ranges[len(ranges)-1].with("count", p.index[at]-begin+1)
		} else {
			begin = p.index[at]
			ranges = append(ranges, o("seq", at[1], "index", begin, "count", 1))
		}
		last = p.index[at]
	}
	return 200, o("source", b.name, "epoch", p.epoch, "next", p.next, "ranges", ranges)
}

func submissionVectors() M {
	scenarios := []M{}
	var steps []M
	var m *model
	begin := func() { steps, m = []M{}, &model{sources: map[string]*position{}} }
	end := func(desc string) { scenarios = append(scenarios, o("desc", desc, "steps", steps)) }
	where := func() []M {
		r, names := []M{}, []string{}
		for n, p := range m.sources {
			if p.epoch > 0 {
				names = append(names, n)
			}
		}
		slices.Sort(names)
		for _, n := range names {
			p := m.sources[n]
			r = append(r, o("name", n, "epoch", p.epoch, "next", p.next, "chain", b64(p.chain)))
		}
		return r
	}
	// send is a step that the model judges; code is what it must say, "" for accepted.
	send := func(desc string, b *batch, code string) {
		status, answer := m.take(b)
		said, _ := answer.get("code").(string)
		assert(said == code, "submission %q: wanted %q, the model says %q", desc, code, said)
		step := o("desc", desc, "body", bytesOf(b.body()), "status", status)
		if status == 200 {
			step = step.with("answer", answer)
		} else {
			step = step.with("error", answer)
		}
		steps = append(steps, step.with("sources", where()))
	}
	// refuse is a step that does not come as far as the position.
	refuse := func(desc string, body []byte, status int, code string, more ...any) {
		steps = append(steps, o("desc", desc, "body", bytesOf(body), "status", status, "error", o("code", code).with(more...), "sources", where()))
	}

	s := newSource("proxy-a.example")
	s.first()
	c := s.connect("alice", "shop")
	s.run(c, "SELECT 1")
	s.run(c, "UPDATE accounts SET balance = 0 WHERE id = 7")
	s.seal()
	s.run(c, "SELECT 2", s.fail)
	s.end(c)
	s.stop()
	n1 := len(s.entries)
	s.restart(true)
	s.refuse("mallory")
	s.seal()
	n2 := len(s.entries)
	b := newSource("proxy-b.example")
	b.first()
	b.refuse("eve")
	b.seal()

	begin()
	send("the first three entries", s.batch(0, 3), "")
	send("the next", s.batch(3, 4), "")
	send("another source", b.batch(0, 1), "")
	send("the rest of the epoch", s.batch(4, n1), "")
	send("the next epoch", s.batch(n1, n2), "")
	send("the other source goes on", b.batch(1, 3), "")
	end("two sources in order")

	begin()
	send("four entries", s.batch(0, 4), "")
	send("the same once more", s.batch(0, 4), "")
	send("the first of them alone", s.batch(0, 1), "")
	send("two from the middle", s.batch(1, 3), "")
	send("another source", b.batch(0, 2), "")
	send("two known ones and two new ones: two ranges, for another source's entries stand between", s.batch(2, 6), "")
	send("all six: two ranges", s.batch(0, 6), "")
	send("five known ones and the last two", s.batch(1, n1), "")
	send("the next epoch", s.batch(n1, n2-1), "")
	send("all of the old epoch once more: the answer says where the source stands now", s.batch(0, n1), "")
	send("the first of the old epoch", s.batch(0, 1), "")
	send("a known one and a new one of the new epoch", s.batch(n1+1, n2), "")
	end("repetitions")

	begin()
	send("the first is missing", s.batch(1, 3), "sequence_gap")
	send("an epoch that is not the first", s.batch(n1, n2), "sequence_gap")
	send("two entries", s.batch(0, 2), "")
	send("one is missing", s.batch(3, 5), "sequence_gap")
	send("the next epoch without the end of this one", s.batch(n1, n2), "epoch_conflict")
	send("the next epoch, and not from its start", s.batch(n1+1, n2), "sequence_gap")
	far := newSource("proxy-a.example")
	far.epoch = 6
	far.begin(s.previous(false))
	send("an epoch far ahead", far.batch(0, 1), "sequence_gap")
	send("what is missing", s.batch(2, n1), "")
	send("the next epoch", s.batch(n1, n2), "")
	end("gaps")

	other := newSource("proxy-a.example")
	other.tick(1)
	other.first()
	d := other.connect("alice", "shop")
	other.run(d, "SELECT 1")
	other.run(d, "SELECT 9")
	other.end(d)
	other.stop()
	o1 := len(other.entries)
	other.restart(true)
	mixed := newSource("proxy-a.example")
	mixed.first()
	e := mixed.connect("alice", "shop")
	mixed.run(e, "SELECT 1")
	mixed.run(e, "SELECT 7")
	mixed.run(e, "SELECT 8")
	assert(slices.Equal(mixed.entries[:3], s.entries[:3]) && mixed.entries[3] != s.entries[3], "the same first three")
	begin()
	send("four entries", s.batch(0, 4), "")
	send("other entries under the same numbers", other.batch(0, 4), "sequence_conflict")
	send("the first three are the same, the fourth is not", mixed.batch(0, 4), "sequence_conflict")
	send("the first three are the same, the fourth is not, a fifth is new: nothing is taken", mixed.batch(0, 5), "sequence_conflict")
	send("the fourth is not the same, a fifth is new", mixed.batch(3, 5), "sequence_conflict")
	send("the next epoch of another history", other.batch(o1, o1+1), "epoch_conflict")
	send("the right ones go on", s.batch(4, n1), "")
	bare := newSource("proxy-a.example")
	bare.epoch = 1
	bare.begin(nil)
	send("the next epoch without previous", bare.batch(0, 1), "epoch_conflict")
	send("the next epoch", s.batch(n1, n2), "")
	extended := newSource("proxy-a.example")
	extended.entries, extended.disclosures = slices.Clone(s.entries[:n1]), slices.Clone(s.disclosures[:n1])
	extended.epoch, extended.seq = 1, n1
	extended.refuse("late")
	send("the old epoch gets an entry more", extended.batch(n1, n1+1), "sequence_conflict")
	send("known ones of the old epoch and one more", extended.batch(n1-1, n1+1), "sequence_conflict")
	send("other entries under numbers of the old epoch", other.batch(1, 3), "sequence_conflict")
	end("two histories")

	r := newSource("proxy-a.example")
	r.first()
	rc := r.connect("alice", "shop")
	r.run(rc, "SELECT 1")
	r.rotate(keyFrom(r.name, sum([]byte("next"))))
	r1 := len(r.entries)
	r.seal()
	r.end(rc)
	r.stop()
	r2 := len(r.entries)
	r.restart(true)
	signed := func(k *key, from, to int) *batch {
		b := r.batch(from, to)
		b.signer = k
		return b
	}
	old := testKey(r.name)
	badKey := func(desc string, b *batch) { refuse(desc, b.body(), 403, "bad_signature") }
	badProof := func(desc string, next *key, proof string) {
		x := newSource("proxy-a.example")
		x.entries, x.disclosures = slices.Clone(r.entries[:r1-1]), slices.Clone(r.disclosures[:r1-1])
		x.epoch, x.seq = 1, r1-1
		b := x.add("source.key", o("vkey", next.vkey, "proof", proof))
		p := payload([]string{b}, [][]string{nil})
		refuse(desc, (&batch{origin: origin, name: x.name, epoch: 1, first: int64(r1 - 1), count: 1, payload: p, digest: sum(p), signer: old}).body(), 400, "bad_entry", "entry", 0)
	}
	begin()
	send("two entries", signed(old, 0, 2), "")
	badKey("by the new key, which is not in force yet", signed(r.key, 2, r1))
	refuse("an entry behind source.key in the same batch", signed(old, 2, r1+1).body(), 400, "bad_entry", "entry", r1-1-2)
	there := newSource("proxy-a.example")
	there.epoch, there.seq = 1, r1-1
	text := there.handoverText(r.key)
	badProof("only the old key has signed", r.key, old.note(text))
	badProof("only the new key has signed", r.key, r.key.note(text))
	badProof("the proof is of another sequence", r.key, old.note(strings.Replace(text, fmt.Sprintf("\n%d\n", r1-1), "\n9\n", 1)))
	badProof("the new key is the one in force", old, old.note(there.handoverText(old)))
	badProof("the new key is another source's", b.key, old.note(there.handoverText(b.key))+b.key.line(there.handoverText(b.key)))
	send("up to source.key, by the old key", signed(old, 2, r1), "")
	badKey("behind it, by the old key", signed(old, r1, r1+1))
	send("behind it, by the new key", signed(r.key, r1, r1+1), "")
	send("a repetition up to source.key, by the old key", signed(old, 1, r1), "")
	badKey("a repetition of known entries, one of them behind source.key, by the old key", signed(old, 1, r1+1))
	send("known ones on both sides and new ones, by the new key", signed(r.key, 0, r2), "")
	badKey("the next epoch, by the old key", signed(old, r2, r2+1))
	send("the next epoch, by the new key", signed(r.key, r2, r2+1), "")
	send("source.key alone once more, by the old key", signed(old, r1-1, r1), "")
	end("a change of the source's key")

	good := s.batch(0, 3)
	change := func(f func(*batch)) []byte {
		c := *good
		f(&c)
		return c.body()
	}
	resign := func(payload []byte) []byte {
		return change(func(c *batch) { c.payload, c.digest = payload, sum(payload) })
	}
	note := func(text string) []byte { return frame(s.note(text), good.payload) }
	swap := func(from, to string) []byte {
		assert(strings.Count(good.text(), from) == 1, "%q once in the text", from)
		return note(strings.Replace(good.text(), from, to, 1))
	}
	begin()
	bad := func(desc string, body []byte) { refuse(desc, body, 400, "bad_submission") }
	bad("empty", nil)
	bad("three bytes", []byte{0, 0, 1})
	bad("a note of length 0", frame("", good.payload))
	bad("the note is longer than the body", append([]byte{0, 0, 0xff, 0xff}, good.body()[4:]...))
	bad("the note's length has its highest bit set", append([]byte{0x80, 0, 0, 0}, good.body()[4:]...))
	bad("the note is longer than 65,536 bytes", append([]byte{0, 1, 0, 1}, good.body()[4:]...))
	bad("the note is cut", frame(s.note(good.text())[:100], good.payload))
	bad("the note is not UTF-8", frame(strings.Replace(s.note(good.text()), "vitrine", "vitr\xff", 1), good.payload))
	bad("the note has no signature", frame(good.text()+"\n", good.payload))
	bad("another first line", swap("vitrine/submission/v1", "vitrine/submission/v2"))
	bad("a seal instead", note(s.sealText()))
	bad("a line less", note(strings.Replace(good.text(), origin+"\n", "", 1)))
	bad("a line more", note(good.text()+"more\n"))
	bad("an empty line more", note(good.text()+"\n"))
	bad("epoch 0", swap("\n1\n0\n3\n", "\n0\n0\n3\n"))
	bad("epoch with a leading zero", swap("\n1\n0\n3\n", "\n01\n0\n3\n"))
	bad("epoch 2^53", swap("\n1\n0\n3\n", "\n9007199254740992\n0\n3\n"))
	bad("sequence negative", swap("\n1\n0\n3\n", "\n1\n-1\n3\n"))
	bad("sequence empty", swap("\n1\n0\n3\n", "\n1\n\n3\n"))
	bad("the last sequence is above 2^53 − 1", swap("\n1\n0\n3\n", "\n1\n9007199254740990\n3\n"))
	bad("no entries", change(func(c *batch) { c.count, c.payload, c.digest = 0, nil, sum() }))
	bad("4097 entries", swap("\n1\n0\n3\n", "\n1\n0\n4097\n"))
	bad("the digest is not base64", swap(b64(good.digest), strings.Repeat("!", 44)))
	bad("the digest in hex", swap(b64(good.digest), hexOf(good.digest)))
	refuse("a source nobody registered", func() []byte {
		u := newSource("proxy-c.example")
		u.first()
		return u.batch(0, 1).body()
	}(), 403, "unknown_source")
	sig := func(desc string, body []byte) { refuse(desc, body, 403, "bad_signature") }
	sig("signed by another registered source", change(func(c *batch) { c.signer = b.key }))
	sig("signed by a key of the same name", change(func(c *batch) { c.signer = keyFrom(s.name, sum([]byte("another"))) }))
	sig("the signature is over another text", frame(good.text()+"\n"+s.line("x"+good.text()), good.payload))
	sig("made for another log", change(func(c *batch) { c.origin = "other.example/log" }))
	bad("the payload has a byte changed", frame(s.note(good.text()), flipBit(good.payload)))
	bad("the payload lacks its last byte", frame(s.note(good.text()), good.payload[:len(good.payload)-1]))
	bad("no payload", frame(s.note(good.text()), nil))
	bad("signed as it is, the payload lacks its last byte", resign(good.payload[:len(good.payload)-1]))
	bad("signed as it is, a byte behind the last entry", resign(append(slices.Clone(good.payload), 0)))
	bad("signed as it is, an entry's length without the entry", resign(append(slices.Clone(good.payload), 0, 9)))
	bad("fewer entries than stated", change(func(c *batch) { c.count = 4 }))
	bad("more entries than stated", change(func(c *batch) { c.count = 2 }))
	bad("a disclosure is longer than the payload", resign(append(payload(good.entries, [][]string{nil, nil, nil})[:len(payload(good.entries, [][]string{nil, nil, nil}))-2], 0, 1, 0xff, 0xff, 0xff, 0xff)))
	bad("more disclosures are stated than there are", resign(append(payload(good.entries, [][]string{nil, nil, nil})[:len(payload(good.entries, [][]string{nil, nil, nil}))-2], 0xff, 0xff)))

	with := func(entries []string, disclosures [][]string) []byte {
		p := payload(entries, disclosures)
		return change(func(c *batch) { c.payload, c.digest, c.count = p, sum(p), int64(len(entries)) })
	}
	second := func(e string) []byte {
		return with([]string{good.entries[0], e, good.entries[2]}, [][]string{nil, nil, nil})
	}
	at := func(desc string, body []byte, entry int) { refuse(desc, body, 400, "bad_entry", "entry", entry) }
	e1 := good.entries[1]
	at("an empty entry", second(""), 1)
	at("not JSON", second("x"), 1)
	at("white space", second(e1+"\n"), 1)
	at("a member twice", second(strings.Replace(e1, `{"v":1,`, `{"v":1,"v":1,`, 1)), 1)
	at("a required member is missing", second(strings.Replace(e1, `,"protocol":"3.0"`, "", 1)), 1)
	at("another source's entry", second(strings.Replace(e1, s.name, b.name, 1)), 1)
	at("another epoch", second(strings.Replace(e1, `"epoch":1`, `"epoch":2`, 1)), 1)
	at("a sequence too high", second(strings.Replace(e1, `"seq":1`, `"seq":2`, 1)), 1)
	at("a sequence twice", second(strings.Replace(e1, `"seq":1`, `"seq":0`, 1)), 1)
	at("the last one is bad", with([]string{good.entries[0], e1, "{}"}, [][]string{nil, nil, nil}), 2)
	at("sequence 0 is not source.start", with([]string{strings.Replace(s.entries[4], `"seq":4`, `"seq":0`, 1)}, [][]string{nil}), 0)
	at("source.start is not sequence 0", with([]string{good.entries[0], strings.Replace(good.entries[0], `"seq":0`, `"seq":1`, 1)}, [][]string{nil, nil}), 1)
	disc := func(desc string, ds ...string) {
		refuse(desc, with(good.entries, [][]string{nil, good.disclosures[1], ds}), 400, "bad_disclosure", "entry", 2)
	}
	sql := good.disclosures[2][0]
	disc("an empty disclosure", "")
	disc("a disclosure that is not JSON", "x")
	disc("a disclosure with white space", strings.Replace(sql, ",", ", ", 1))
	disc("a disclosure with two elements", `["AAAAAAAAAAAAAAAAAAAAAA","sql"]`)
	disc("a salt of 15 bytes", compact([]any{b64u(make([]byte, 15)), "sql", "SELECT 1"}))
	disc("another value", strings.Replace(sql, "SELECT 1", "SELECT 2", 1))
	disc("a disclosure of another entry", s.disclosures[3][0])
	disc("a disclosure that names another member", strings.Replace(sql, `"sql"`, `"error"`, 1))
	disc("a good one and a bad one", sql, strings.Replace(sql, "SELECT 1", "SELECT 2", 1))
	disc("a disclosure in base64url", b64u([]byte(sql)))
	steps = append(steps, func() M {
		bd := *good
		bd.disclosures = [][]string{nil, nil, {sql, sql}}
		bd.payload = payload(bd.entries, bd.disclosures)
		bd.digest = sum(bd.payload)
		status, answer := m.take(&bd)
		return o("desc", "after all that nothing has changed: accepted, with disclosures missing and one twice", "body", bytesOf(bd.body()), "status", status, "answer", answer, "sources", where())
	}())
	b2 := s.batch(3, 5)
	status, answer := m.take(b2)
	steps = append(steps, o("desc", "another source has signed as well: ignored", "body", bytesOf(frame(s.note(b2.text())+testKey("nobody.example").line(b2.text()), b2.payload)), "status", status, "answer", answer, "sources", where()))
	again := *good
	again.payload = payload(good.entries, [][]string{nil, nil, {strings.Replace(sql, "SELECT 1", "SELECT 2", 1)}})
	again.digest = sum(again.payload)
	refuse("known entries with a wrong disclosure", again.body(), 400, "bad_disclosure", "entry", 2)
	end("refusals")

	list := []M{}
	for _, k := range []*key{s.key, b.key} {
		list = append(list, o("name", k.name, "vkey", k.vkey, "seed", hexOf(k.seed)))
	}
	return o("origin", origin, "sources", list, "scenarios", scenarios)
}
