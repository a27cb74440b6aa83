package main

import (
	"fmt"
	"strings"
	"time"
)

// source writes entries as entry.md and submission.md say, and can be told to go wrong.
type source struct {
	*key
	epoch, seq   int
	chain        []byte
	sessions     int
	statements   int
	refused      int
	entries      []string
	disclosures  [][]string // by entry: the JSON arrays
	chains       [][]byte
	now          time.Time
	pending      []string
	salts        int
	lastSeal     int
	open         map[string]*session
	sessionCount int
	idle         int
}

type session struct {
	id                       string
	actor                    M
	database                 string
	address                  any
	start                    time.Time
	n, failed, rows, in, out int
	disclosure               string
}

func newSource(name string) *source {
	s := &source{key: testKey(name), now: time.Date(2026, 11, 22, 22, 10, 0, 0, time.UTC), open: map[string]*session{}, idle: 60000}
	s.reset()
	return s
}

func (s *source) reset() {
	s.seq, s.chain, s.sessions, s.statements, s.refused, s.lastSeal, s.sessionCount = 0, make([]byte, 32), 0, 0, 0, 0, 0
	s.open = map[string]*session{}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

func (s *source) tick(us int) { s.now = s.now.Add(time.Duration(us) * time.Microsecond) }

// head are the members of every kind.
func (s *source) head(kind string) M {
	return o("v", 1, "kind", kind, "source", s.name, "epoch", s.epoch, "seq", s.seq, "time", stamp(s.now))
}

// add appends an entry and carries the chain and the counts on.
func (s *source) add(kind string, members M) string {
	s.tick(1013)
	return s.put(kind, compact(append(s.head(kind), members...)))
}

func (s *source) put(kind, e string) string {
	s.entries = append(s.entries, e)
	s.disclosures = append(s.disclosures, s.pending)
	s.pending = nil
	if s.seq == 0 && s.epoch == 1 {
		s.chains = [][]byte{s.chain}
	}
	s.chain = sum(s.chain, leafHash([]byte(e)))
	if s.epoch == 1 {
		s.chains = append(s.chains, s.chain)
	}
	s.seq++
	switch kind {
	case "session.start":
		s.sessions++
	case "statement":
		s.statements++
	case "access.refused":
		s.refused++
	}
	return e
}

// disclosure makes the array for a value, with a salt that depends on the source's name and a counter only.
func (s *source) disclosure(name string, value any) string {
	s.salts++
	salt := sum(fmt.Appendf(nil, "salt %s %d", s.name, s.salts))[:16]
	return compact([]any{b64u(salt), name, value})
}

func digest(disclosure string) string { return b64u(sum([]byte(b64u([]byte(disclosure))))) }

func sealedAs(disclosure string, bytes int) M { return o("sealed", digest(disclosure), "bytes", bytes) }

func (s *source) sealed(name string, value any, bytes int) M {
	d := s.disclosure(name, value)
	s.pending = append(s.pending, d)
	return sealedAs(d, bytes)
}

func (s *source) startMembers(previous any) M {
	return o("vkey", s.vkey, "software", o("name", "vitrine-proxy", "version", "0.1.0"), "config", hexOf(sum([]byte("config"))),
		"durability", o("reads", "before-result", "others", "before-execute", "window_ms", 0),
		"seals", o("every_entries", 1000, "every_ms", 10000, "idle_ms", s.idle), "previous", previous)
}

// previous describes the current epoch as the one that ended.
func (s *source) previous(clean bool) M {
	return o("epoch", s.epoch, "next", s.seq, "chain", b64(s.chain), "clean", clean, "spool", "kept")
}

// begin starts the next epoch with this previous.
func (s *source) begin(previous any) string {
	s.epoch++
	s.reset()
	return s.add("source.start", s.startMembers(previous))
}

func (s *source) first() string { return s.begin(nil) }

func (s *source) restart(clean bool) string { return s.begin(s.previous(clean)) }

// sealText is the text of a seal over what there is now.
func (s *source) sealText() string { return s.sealTextOf("seal") }

// sealTextOf is the same for a source.stop.
func (s *source) sealTextOf(what string) string {
	return fmt.Sprintf("vitrine/"+what+"/v1\n%s\n%d\n%d\n%s\nsessions %d\nstatements %d\nrefused %d\n", s.name, s.epoch, s.seq, b64(s.chain), s.sessions, s.statements, s.refused)
}

func (s *source) seal() string { return s.sealWith(s.note(s.sealText())) }

func (s *source) sealWith(note string) string { return s.add("source.seal", o("seal", note)) }

func (s *source) stop() string {
	return s.add("source.stop", o("reason", "shutdown", "seal", s.note(s.sealTextOf("stop"))))
}

// handoverText is what the key in force and the next one sign, for an entry at this place.
func (s *source) handoverText(next *key) string {
	return fmt.Sprintf("vitrine/source-key/v1\n%s\n%d\n%d\n%s\n%s\n", s.name, s.epoch, s.seq, s.vkey, next.vkey)
}

// rotate changes the key. The proof is as the page says unless one is given.
func (s *source) rotate(next *key, proof ...string) string {
	text := s.handoverText(next)
	p := s.note(text) + next.line(text)
	if len(proof) > 0 {
		p = proof[0]
	}
	e := s.add("source.key", o("vkey", next.vkey, "proof", p))
	s.key = next
	return e
}

// connect opens a session.
func (s *source) connect(login, database string) *session {
	s.sessionCount++
	c := &session{id: fmt.Sprintf("%d.%d", s.epoch, s.sessionCount), actor: o("login", login, "auth", "scram-sha-256"), database: database}
	address := fmt.Sprintf("192.0.2.%d:%d", 10+s.sessionCount%200, 40000+s.salts%20000)
	c.disclosure = s.disclosure("client.address", address)
	c.address = sealedAs(c.disclosure, len(address))
	s.pending = append(s.pending, c.disclosure)
	s.add("session.start", c.startMembers())
	c.start = s.now
	s.open[c.id] = c
	return c
}

func (c *session) startMembers() M {
	return o("session", c.id, "actor", c.actor, "database", c.database, "client", o("address", c.address, "application", "psql", "tls", false),
		"server", o("version", "18.1", "pid", 4711), "protocol", "3.0")
}

// statementMembers are those of a SELECT that completed.
func (s *source) statementMembers(c *session, sql string) M {
	op, class, access := "SELECT", "read", "read"
	if strings.HasPrefix(sql, "UPDATE") {
		op, class, access = "UPDATE", "write", "write"
	}
	return o("session", c.id, "actor", c.actor, "database", c.database, "n", c.n+1, "client", o("address", c.address, "application", "psql"),
		"protocol", "simple", "operation", op, "class", class, "relations", []M{o("name", "accounts", "access", access)}, "functions", []string{},
		"fingerprint", hexOf(sum([]byte(op)))[:16], "complete", true, "sql", s.sealed("sql", sql, len(sql)), "tx", "I",
		"start", stamp(s.now.Add(-737*time.Microsecond)), "duration_us", 1750, "outcome", "completed", "tag", op+" 1", "rows", 1, "bytes_in", len(sql)+6, "bytes_out", 60)
}

// run writes a statement; change may alter its members before it is written.
func (s *source) run(c *session, sql string, change ...func(M) M) string {
	m := s.statementMembers(c, sql)
	for _, f := range change {
		m = f(m)
	}
	return s.statement(c, m)
}

func (s *source) statement(c *session, m M) string {
	c.n++
	if m.get("outcome") != "completed" {
		c.failed++
	}
	c.rows += m.get("rows").(int)
	c.in += m.get("bytes_in").(int)
	c.out += m.get("bytes_out").(int)
	return s.add("statement", m)
}

// fail is a change for run.
func (s *source) fail(m M) M {
	text := `relation "acounts" does not exist`
	return m.without("tag").with("outcome", "failed", "sqlstate", "42P01", "error", s.sealed("error", text, len(text)), "rows", 0, "bytes_out", 0)
}

func (s *source) endMembers(c *session) M {
	return o("session", c.id, "actor", c.actor, "database", c.database, "start", stamp(c.start), "duration_us", s.now.Sub(c.start).Microseconds(),
		"statements", c.n, "failed", c.failed, "rows", c.rows, "bytes_in", c.in, "bytes_out", c.out, "reason", "client-terminated")
}

func (s *source) end(c *session) string {
	delete(s.open, c.id)
	return s.add("session.end", s.endMembers(c))
}

func (s *source) refuse(login string) string {
	text := `password authentication failed for user "` + login + `"`
	address := "192.0.2.99:50123"
	return s.add("access.refused", o("actor", o("login", login), "database", "shop",
		"client", o("address", s.sealed("client.address", address, len(address)), "tls", false), "by", "server", "sqlstate", "28P01", "error", s.sealed("error", text, len(text))))
}

// recover writes what an intent of an earlier epoch becomes after a crash.
func (s *source) recover(c *session, epoch int, sql string) string {
	return s.add("statement", s.recoveredMembers(c, epoch, sql))
}

func (s *source) recoveredMembers(c *session, epoch int, sql string) M {
	return s.statementMembers(c, sql).without("n", "tx", "duration_us", "tag", "rows", "bytes_in", "bytes_out").
		with("start", stamp(s.now.Add(-time.Minute)), "outcome", "unknown", "recovered", o("epoch", epoch))
}
