package main

import (
	"fmt"
	"strings"
	"time"
)

func sealVectors() M {
	cases := []M{}
	s := newSource("proxy-a.example")
	s.first()
	c := s.connect("alice", "shop")
	s.run(c, "SELECT 1")
	s.refuse("mallory")
	good := s.sealText()
	other := testKey("proxy-b.example")
	base := o("desc", "", "vkey", s.vkey, "kind", "source.seal", "source", s.name, "epoch", s.epoch, "next", s.seq, "chain", b64(s.chain), "sessions", s.sessions, "statements", s.statements, "refused", s.refused)
	add := func(desc, seal, wantErr string) {
		m := base.with("desc", desc, "seal", bytesOf([]byte(seal)))
		if wantErr != "" {
			m = m.with("wantErr", wantErr)
		}
		cases = append(cases, m)
	}
	edit := func(from, to string) string {
		assert(strings.Count(good, from) == 1, "%q in the seal", from)
		return s.note(strings.Replace(good, from, to, 1))
	}
	add("a seal", s.note(good), "")
	add("signed by somebody else too", s.note(good)+other.line(good), "")
	stop := s.note(s.sealTextOf("stop"))
	add("that of a source.stop", stop, "seal_mismatch")
	cases = append(cases, base.with("desc", "in a source.stop", "kind", "source.stop", "seal", bytesOf([]byte(stop))))
	cases = append(cases, base.with("desc", "in a source.stop, that of a source.seal", "kind", "source.stop", "seal", bytesOf([]byte(s.note(good))), "wantErr", "seal_mismatch"))
	invalid := func(desc, seal string) { add(desc, seal, "seal_invalid") }
	invalid("empty", "")
	invalid("the text alone", good)
	invalid("signed by another source's key", other.note(good))
	invalid("signed by a key of the same name", keyFrom(s.name, sum([]byte("another"))).note(good))
	invalid("the signature is over another text", good+"\n"+s.line(strings.Replace(good, "sessions 1", "sessions 2", 1)))
	invalid("the last newline is missing", strings.TrimSuffix(s.note(good), "\n"))
	invalid("another first line", edit("vitrine/seal/v1", "vitrine/seal/v2"))
	invalid("a checkpoint signed by the source's key", s.note(checkpointText(s.name, 4, s.chain)))
	invalid("a line more", s.note(good+"more\n"))
	invalid("an empty line more", s.note(good+"\n"))
	invalid("a line less", edit("refused 1\n", ""))
	invalid("lines in another order", edit("sessions 1\nstatements 1\n", "statements 1\nsessions 1\n"))
	invalid("a leading zero in the epoch", edit("\n1\n4\n", "\n01\n4\n"))
	invalid("a leading zero in a count", edit("sessions 1", "sessions 01"))
	invalid("two spaces before a count", edit("sessions 1", "sessions  1"))
	invalid("no count", edit("sessions 1", "sessions "))
	invalid("a negative count", edit("sessions 1", "sessions -1"))
	invalid("a count of 2^53", edit("sessions 1", "sessions 9007199254740992"))
	invalid("the chain in hex", edit(b64(s.chain), hexOf(s.chain)))
	invalid("a chain of 31 bytes", edit(b64(s.chain), b64(s.chain[:31])))
	mismatch := func(desc, from, to string) { add(desc, edit(from, to), "seal_mismatch") }
	mismatch("another source", "\n"+s.name+"\n", "\nproxy-c.example\n")
	mismatch("another epoch", "\n1\n4\n", "\n2\n4\n")
	mismatch("a number of entries one too high", "\n1\n4\n", "\n1\n5\n")
	mismatch("a number of entries one too low", "\n1\n4\n", "\n1\n3\n")
	mismatch("another chain value", b64(s.chain), b64(flipBit(s.chain)))
	mismatch("the chain value one entry earlier", b64(s.chain), b64(s.chains[len(s.chains)-2]))
	mismatch("a session too many", "sessions 1", "sessions 2")
	mismatch("a statement too few", "statements 1", "statements 0")
	mismatch("a refusal too few", "refused 1", "refused 0")
	return o("cases", cases)
}

// twoEpochs is a source that crashed in the middle of a session, and what came behind.
func twoEpochs() (*source, *session) {
	s := newSource("proxy-a.example")
	s.first()
	c := s.connect("alice", "shop")
	s.run(c, "SELECT 1")
	s.run(c, "UPDATE accounts SET balance = 0 WHERE id = 7")
	return s, c
}

// started is an epoch with one session that has run one statement.
func started() (*source, *session) {
	s := newSource("proxy-a.example")
	s.first()
	c := s.connect("alice", "shop")
	s.run(c, "SELECT 1")
	return s, c
}

func chainVectors() M {
	cases := []M{}
	add := func(desc, want string, s *source, later time.Duration, vkey any, at ...int) {
		now := s.now.Add(later)
		given := map[string]string{}
		if v, ok := vkey.(string); ok {
			given[s.name] = v
		}
		v, list := verdict(audit(s.entries, given, now))
		codes := []string{}
		findings := []M{}
		for _, f := range list {
			codes = append(codes, f.code)
			findings = append(findings, o("code", f.code, "position", f.position))
		}
		assert(strings.Join(codes, " ") == want, "chain %q: wanted %q, the auditor says %v", desc, want, list)
		if len(at) > 0 {
			assert(list[0].position == at[0], "chain %q: at %d, the auditor says %d", desc, at[0], list[0].position)
		}
		m := o("desc", desc, "source", s.name, "vkey", vkey, "entries", s.entries, "now", stamp(now))
		if v != "FAIL" {
			chains := []string{}
			for _, c := range s.chains {
				chains = append(chains, b64(c))
			}
			m = m.with("chain", chains)
		}
		cases = append(cases, m.with("verdict", v, "findings", findings))
	}
	const soon, years = time.Second, 24 * 365 * 5 * time.Hour
	pass := func(desc string, s *source) { add(desc, "", s, years, nil) }
	// fail expects the finding at the last entry but those behind it.
	fail := func(desc, code string, s *source, behind int) {
		add(desc, code, s, soon, nil, len(s.entries)-1-behind)
	}

	s := newSource("proxy-a.example")
	s.first()
	s.stop()
	pass("an epoch of start and stop", s)
	s, c := started()
	s.run(c, "SELECT 2", s.fail)
	s.refuse("mallory")
	s.seal()
	s.add("config.change", o("config", hexOf(sum([]byte("new"))), "previous_config", hexOf(sum([]byte("config")))))
	d := s.connect("bob", "shop")
	s.run(d, "SELECT 3")
	s.run(c, "SELECT 4")
	s.seal()
	s.seal()
	s.end(c)
	s.run(d, "SELECT 5")
	s.add("future.kind", o("x", 1))
	s.end(d)
	s.stop()
	pass("an epoch with every kind, several seals, two sessions side by side, and a kind nobody knows", s)
	add("the same, with the source's key given", "", s, years, s.vkey)
	s, c = started()
	s.end(c)
	s.stop()
	s.restart(true)
	s.stop()
	s.restart(true)
	c = s.connect("alice", "shop")
	s.end(c)
	s.stop()
	pass("three epochs that ended in order", s)
	s, c = twoEpochs()
	s.restart(false)
	s.recover(c, 1, "SELECT 3")
	s.recover(c, 1, "SELECT 4")
	d = s.connect("bob", "shop")
	s.run(d, "SELECT 5")
	s.end(d)
	s.stop()
	pass("a crash with a session open, and two recovered statements: the tail is covered by previous", s)
	s, c = twoEpochs()
	s.restart(false)
	s.restart(false)
	s.recover(c, 1, "SELECT 3")
	s.stop()
	pass("two crashes in a row, recovered after the second", s)
	s, c = started()
	s.seal()
	add("still running, sealed", "", s, soon, nil)
	add("still running, sealed, a second less than one and a half idle intervals ago", "", s, 89*time.Second, nil)
	add("still running, sealed, a second more than that ago", "silent", s, 91*time.Second, nil, len(s.entries)-1)
	add("still running, sealed, five minutes ahead of the clock", "", s, -5*time.Minute, nil)
	add("still running, sealed, a second more than that ahead", "silent", s, -5*time.Minute-time.Second, nil, len(s.entries)-1)

	s, _ = started()
	add("nothing sealed yet", "unsealed", s, soon, nil, 0)
	s, c = started()
	s.seal()
	s.run(c, "SELECT 2")
	s.run(c, "SELECT 3")
	add("two entries behind the last seal", "unsealed", s, soon, nil, 4)
	add("the same, long ago", "unsealed silent", s, time.Hour, nil, 4)
	s.restart(false)
	add("the same, and an epoch behind them that has no seal yet", "unsealed", s, soon, nil, 4)
	s.seal()
	add("the same, with a seal", "", s, soon, nil)
	s, _ = twoEpochs()
	s.begin(s.previous(false).with("spool", "lost"))
	s.stop()
	add("the spool was lost", "declared_gap", s, years, nil, 4)
	s, c = started()
	s.end(c)
	s.stop()
	s.begin(s.previous(true).with("spool", "lost"))
	s.stop()
	add("the spool was lost after an orderly stop", "declared_gap", s, years, nil, 5)

	// S1
	s = newSource("proxy-a.example")
	s.epoch = 1
	s.connect("alice", "shop")
	s.seal()
	fail("S1: the first entry is not source.start", "epoch_break", s, 1)
	s = newSource("proxy-a.example")
	s.epoch = 1
	s.begin(nil)
	s.seal()
	fail("S1: the first epoch is 2", "epoch_break", s, 1)
	s = newSource("proxy-a.example")
	s.begin(o("epoch", 1, "next", 3, "chain", b64(sum()), "clean", true, "spool", "kept"))
	s.seal()
	fail("S1: epoch 1 has a previous", "epoch_break", s, 1)
	s, c = started()
	p := s.previous(false)
	s.epoch++
	s.begin(p)
	fail("S1: an epoch is left out", "epoch_break", s, 0)
	s, c = twoEpochs()
	s.restart(false)
	s.restart(false)
	s.epoch = 2
	s.add("source.seal", o("seal", s.note(s.sealText())))
	fail("S1: back to an earlier epoch", "epoch_break", s, 0)
	s, c = started()
	s.add("source.start", s.startMembers(nil))
	fail("S1: source.start in the middle of an epoch", "epoch_break", s, 0)
	s, c = started()
	s.epoch++
	s.reset()
	s.connect("bob", "shop")
	fail("S1: a new epoch begins with session.start", "epoch_break", s, 0)
	// S2
	s, c = started()
	s.seq++
	s.run(c, "SELECT 2")
	fail("S2: a sequence number is left out", "sequence_gap", s, 0)
	s, c = started()
	s.seq--
	s.run(c, "SELECT 2")
	fail("S2: a sequence number twice", "sequence_repeat", s, 0)
	s, c = started()
	p = s.previous(false)
	s.epoch++
	s.reset()
	s.seq = 1
	s.add("source.start", s.startMembers(p))
	fail("S1: a new epoch begins with sequence 1", "epoch_break", s, 0)
	// S3
	s = newSource("proxy-a.example")
	s.epoch = 1
	s.add("source.start", s.startMembers(nil).with("vkey", "proxy-a.example+00000000+AA=="))
	fail("S3: vkey is malformed", "source_key_mismatch", s, 0)
	s = newSource("proxy-a.example")
	s.epoch = 1
	s.add("source.start", s.startMembers(nil).with("vkey", testKey("proxy-b.example").vkey))
	fail("S3: vkey has another name", "source_key_mismatch", s, 0)
	s, c = twoEpochs()
	p = s.previous(false)
	s.epoch++
	s.reset()
	s.key = keyFrom(s.name, sum([]byte("another")))
	s.add("source.start", s.startMembers(p))
	s.seal()
	fail("S3: another key in the second epoch", "source_key_mismatch", s, 1)
	s, c = started()
	s.seal()
	add("S13: another key than the one given", "source_key_mismatch", s, soon, keyFrom(s.name, sum([]byte("another"))).vkey, 0)
	rotated := func(proof func(s *source, next *key, text string) string) *source {
		s, c := started()
		next := keyFrom(s.name, sum([]byte("next")))
		if proof == nil {
			s.rotate(next)
		} else {
			s.rotate(next, proof(s, next, s.handoverText(next)))
		}
		s.end(c)
		return s
	}
	s = rotated(nil)
	s.seal()
	s.stop()
	first, next := testKey(s.name).vkey, s.vkey
	add("S3: the key changes; seals behind it are by the new one", "", s, years, nil)
	add("S13: the key given is the first of two", "", s, years, first)
	add("S13: the key given is the second of two", "", s, years, next)
	add("S13: the key given is neither of the two", "source_key_mismatch", s, soon, keyFrom(s.name, sum([]byte("another"))).vkey, 0)
	s.restart(true)
	s.rotate(keyFrom(s.name, sum([]byte("third"))))
	s.stop()
	pass("S3: a new epoch names the new key, and the key changes once more", s)
	s = rotated(nil)
	s.restart(false)
	s.stop()
	pass("S3: the key changed in an epoch that ended unclean", s)
	s = rotated(nil)
	s.key = testKey(s.name)
	s.seal()
	fail("S6: a seal behind the change is by the old key", "seal_invalid", s, 0)
	s = rotated(nil)
	s.stop()
	s.key = testKey(s.name)
	s.restart(true)
	s.stop()
	fail("S3: a new epoch names the old key behind a change", "source_key_mismatch", s, 1)
	s = rotated(nil)
	s.rotate(testKey(s.name))
	fail("S3: back to a key that it had before", "source_key_mismatch", s, 0)
	s, c = started()
	s.rotate(s.key)
	fail("S3: the new key is the one in force", "source_key_mismatch", s, 0)
	s, c = started()
	s.rotate(testKey("proxy-b.example"))
	s.key = testKey("proxy-a.example")
	fail("S3: the new key has another name", "source_key_mismatch", s, 0)
	for _, x := range []struct {
		desc  string
		proof func(s *source, next *key, text string) string
	}{
		{"the proof is not a note", func(s *source, next *key, t string) string { return t }},
		{"the new key did not sign", func(s *source, next *key, t string) string { return s.note(t) }},
		{"the old key did not sign", func(s *source, next *key, t string) string { return next.note(t) }},
		{"the old key's signature is over another text", func(s *source, next *key, t string) string { return next.note(t) + s.line(t+"x\n") }},
		{"the text has another first line", func(s *source, next *key, t string) string { return s.note("x"+t) + next.line("x"+t) }},
		{"the text has a line more", func(s *source, next *key, t string) string { return s.note(t+"more\n") + next.line(t+"more\n") }},
		{"the proof is of another place", func(s *source, next *key, t string) string {
			t = strings.Replace(t, "\n1\n3\n", "\n1\n4\n", 1)
			return s.note(t) + next.line(t)
		}},
		{"the proof is of another epoch", func(s *source, next *key, t string) string {
			t = strings.Replace(t, "\n1\n3\n", "\n2\n3\n", 1)
			return s.note(t) + next.line(t)
		}},
		{"the proof hands over to a third key", func(s *source, next *key, t string) string {
			t = strings.Replace(t, next.vkey, keyFrom(s.name, sum([]byte("third"))).vkey, 1)
			return s.note(t) + next.line(t)
		}},
		{"the proof hands over from a third key", func(s *source, next *key, t string) string {
			t = strings.Replace(t, s.vkey, keyFrom(s.name, sum([]byte("third"))).vkey, 1)
			return s.note(t) + next.line(t)
		}},
	} {
		fail("S3: "+x.desc, "source_key_mismatch", rotated(x.proof), 1)
	}
	// S4
	for _, x := range []struct {
		desc  string
		clean bool
		set   []any
	}{
		{"previous names another epoch", false, []any{"epoch", 7}},
		{"previous has an entry too few: the last one is disowned", false, []any{"next", 3}},
		{"previous has an entry too many: one is missing from the log", false, []any{"next", 5}},
		{"previous has another chain value", false, []any{"chain", b64(sum())}},
		{"clean, and there was no source.stop", false, []any{"clean", true}},
		{"not clean, and there was a source.stop", true, []any{"clean", false}},
		{"an entry too few, and the spool was lost", false, []any{"next", 3, "spool", "lost"}},
	} {
		s, c = twoEpochs()
		if x.clean {
			s.end(c)
			s.stop()
		}
		p := s.previous(x.clean).with(x.set...)
		s.begin(p)
		s.stop()
		fail("S4: "+x.desc, "epoch_break", s, 1)
	}
	s, c = twoEpochs()
	s.begin(nil)
	s.stop()
	fail("S4: epoch 2 has no previous", "epoch_break", s, 1)
	// S5
	s, c = started()
	s.end(c)
	s.stop()
	s.refuse("mallory")
	fail("S5: an entry behind source.stop", "epoch_break", s, 0)
	s, c = started()
	s.end(c)
	s.stop()
	s.seal()
	fail("S5: a seal behind source.stop", "epoch_break", s, 0)
	s, c = started()
	s.end(c)
	s.add("source.stop", o("reason", "shutdown", "seal", s.note(s.sealText())))
	fail("S7: a source.stop with the seal of a source.seal", "seal_mismatch", s, 0)
	s, c = started()
	s.end(c)
	s.sealWith(s.note(s.sealTextOf("stop")))
	fail("S7: a source.seal with the seal of a source.stop", "seal_mismatch", s, 0)
	// S6 to S8
	for _, x := range []struct {
		desc, code string
		seal       func(s *source, text string) string
	}{
		{"S6: not a note", "seal_invalid", func(s *source, t string) string { return t }},
		{"S6: signed by another key", "seal_invalid", func(s *source, t string) string { return testKey("proxy-b.example").note(t) }},
		{"S6: the signature is wrong", "seal_invalid", func(s *source, t string) string { return t + "\n" + s.line(t+"x\n") }},
		{"S6: the text has another first line", "seal_invalid", func(s *source, t string) string { return s.note("x" + t) }},
		{"S7: another source", "seal_mismatch", func(s *source, t string) string { return s.note(strings.Replace(t, s.name, "proxy-b.example", 1)) }},
		{"S7: another epoch", "seal_mismatch", func(s *source, t string) string { return s.note(strings.Replace(t, "\n1\n", "\n2\n", 1)) }},
		{"S7: another sequence", "seal_mismatch", func(s *source, t string) string { return s.note(strings.Replace(t, "\n3\n", "\n2\n", 1)) }},
		{"S7: another chain value", "seal_mismatch", func(s *source, t string) string { return s.note(strings.Replace(t, b64(s.chain), b64(sum()), 1)) }},
		{"S8: a session too many", "seal_mismatch", func(s *source, t string) string { return s.note(strings.Replace(t, "sessions 1", "sessions 2", 1)) }},
		{"S8: a statement too few", "seal_mismatch", func(s *source, t string) string { return s.note(strings.Replace(t, "statements 1", "statements 0", 1)) }},
		{"S8: a refusal too many", "seal_mismatch", func(s *source, t string) string { return s.note(strings.Replace(t, "refused 0", "refused 1", 1)) }},
	} {
		s, c = started()
		s.sealWith(x.seal(s, s.sealText()))
		fail(x.desc, x.code, s, 0)
	}
	s, c = started()
	old := s.note(s.sealText())
	s.run(c, "SELECT 2")
	s.sealWith(old)
	fail("S7: an older seal once more", "seal_mismatch", s, 0)
	s, c = started()
	s.end(c)
	s.add("source.stop", o("reason", "shutdown", "seal", old))
	fail("S7: the seal in source.stop is an older one", "seal_mismatch", s, 0)
	// N1
	s, c = started()
	s.add("session.start", c.startMembers())
	fail("N1: a session starts twice", "session_break", s, 0)
	s, c = started()
	s.end(c)
	s.add("session.start", c.startMembers())
	fail("N1: a session starts again after its end", "session_break", s, 0)
	s, c = started()
	s.run(&session{id: "1.9", actor: c.actor, database: "shop", address: c.address}, "SELECT 2")
	fail("N1: a statement without session.start", "session_break", s, 0)
	s, c = started()
	s.end(c)
	s.run(c, "SELECT 2")
	fail("N1: a statement behind session.end", "session_break", s, 0)
	s, c = started()
	s.add("session.start", append(M{}, (&session{id: "2.9", actor: c.actor, database: "shop", address: c.address}).startMembers()...))
	fail("N1: the session's id has another epoch", "session_break", s, 0)
	s, c = started()
	s.add("session.end", s.endMembers(&session{id: "1.9", actor: c.actor, database: "shop", start: s.now}))
	fail("N1: session.end without session.start", "session_break", s, 0)
	s, c = started()
	s.end(c)
	s.end(c)
	fail("N1: session.end twice", "session_break", s, 0)
	s, c = twoEpochs()
	s.restart(false)
	s.run(c, "SELECT 2")
	fail("N1: a session goes on in the next epoch", "session_break", s, 0)
	s, c = twoEpochs()
	s.restart(false)
	s.end(c)
	fail("N1: a session of the last epoch ends in the next", "session_break", s, 0)
	// N2
	s = newSource("proxy-a.example")
	s.first()
	c = s.connect("alice", "shop")
	c.n = 1
	s.run(c, "SELECT 2")
	fail("N2: the first statement has number 2", "session_break", s, 0)
	s, c = started()
	c.n++
	s.run(c, "SELECT 2")
	fail("N2: a number is left out", "session_break", s, 0)
	s, c = started()
	c.n--
	s.run(c, "SELECT 2")
	fail("N2: a number twice", "session_break", s, 0)
	s, c = twoEpochs()
	s.recover(c, 1, "SELECT 3")
	fail("N2: recovered in the session's own epoch", "session_break", s, 0)
	s, c = twoEpochs()
	s.restart(false)
	s.recover(c, 2, "SELECT 3")
	fail("N2: recovered names the epoch it stands in", "session_break", s, 0)
	s, c = twoEpochs()
	s.restart(false)
	s.restart(false)
	s.recover(c, 2, "SELECT 3")
	fail("N2: recovered names an epoch that is not the session's", "session_break", s, 0)
	s, c = twoEpochs()
	s.restart(false)
	s.recover(c, 3, "SELECT 3")
	fail("N2: recovered names a later epoch", "session_break", s, 0)
	// N3, N4
	for _, name := range []string{"statements", "failed", "rows", "bytes_in", "bytes_out"} {
		for _, by := range []int{1, -1} {
			s, c = started()
			s.run(c, "SELECT 2", s.fail)
			m := s.endMembers(c)
			s.add("session.end", m.with(name, m.get(name).(int)+by))
			fail(fmt.Sprintf("N3: %s off by %d", name, by), "session_totals", s, 0)
		}
	}
	s, c = started()
	s.stop()
	fail("N4: source.stop with a session open", "session_break", s, 0)
	return o("cases", cases)
}
