package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// The auditor that the expected findings are held against: steps E1 and E2 in part, S1 to S10, S13 and N1 to N4 of proof.md.
// It is written from that page and shares with source.go only the hashes.

type finding struct {
	code     string
	position int
}

func (f finding) fails() bool {
	return !slices.Contains([]string{"unsealed", "silent", "declared_gap", "data_missing"}, f.code)
}

type auditor struct {
	given                         string // the key given for the source, or ""
	verifier                      note.Verifier
	vkey                          string
	keys                          []string
	firstKey                      int // the position of the entry that names the first one
	epoch, next                   int64
	chain                         []byte
	sessions, statements, refused int64
	stopped                       bool
	failed                        bool
	idle                          int64
	last                          time.Time
	lastPosition                  int
	uncovered                     []int
	open                          map[string]*totals
	ended                         map[string]bool
	findings                      []finding
}

type totals struct{ statements, failed, rows, in, out int64 }

func integer(v any) int64 {
	n, ok := v.(json.Number)
	if !ok {
		return -1
	}
	return must(n.Int64())
}

func object(v any) map[string]any { m, _ := v.(map[string]any); return m }
func text(v any) string           { s, _ := v.(string); return s }

var firstSix = []string{`{"v":1,"kind":"`, `,"source":"`, `,"epoch":`, `,"seq":`, `,"time":"`}

// parse is E1 and E2 as far as the mutations of this program go.
func parse(entry string) map[string]any {
	d := json.NewDecoder(strings.NewReader(entry))
	d.UseNumber()
	var m map[string]any
	if !utf8.ValidString(entry) || !json.Valid([]byte(entry)) || d.Decode(&m) != nil || !strings.HasPrefix(entry, firstSix[0]) {
		return nil
	}
	at := 0
	for _, f := range firstSix {
		i := strings.Index(entry[at:], f)
		if i < 0 {
			return nil
		}
		at += i + len(f)
	}
	return m
}

func (a *auditor) fail(code string, position int) {
	a.findings = append(a.findings, finding{code, position})
	a.failed = true
}

func (a *auditor) take(entry string, position int) {
	if a.failed {
		return
	}
	e := parse(entry)
	if e == nil {
		a.fail("entry_malformed", position)
		return
	}
	if code := a.check(e, position); code != "" {
		a.fail(code, position)
		return
	}
	if text(e["kind"]) == "source.start" && text(object(e["previous"])["spool"]) == "lost" {
		a.findings = append(a.findings, finding{"declared_gap", position})
	}
	switch text(e["kind"]) {
	case "session.start":
		a.sessions++
	case "statement":
		a.statements++
	case "access.refused":
		a.refused++
	}
	if e["seal"] != nil {
		a.uncovered = nil
	} else {
		a.uncovered = append(a.uncovered, position)
	}
	a.chain = sum(a.chain, leafHash([]byte(entry)))
	a.next++
	a.last, a.lastPosition = must(time.Parse("2006-01-02T15:04:05.000000Z", text(e["time"]))), position
}

// check is S1 to S8 and N1 to N4.
func (a *auditor) check(e map[string]any, position int) string {
	kind, epoch := text(e["kind"]), integer(e["epoch"])
	begins := epoch == a.epoch+1
	switch {
	case !begins && epoch != a.epoch, begins != (kind == "source.start"), begins && integer(e["seq"]) != 0:
		return "epoch_break" // S1
	}
	previous, next := object(e["previous"]), a.next
	if begins {
		if (epoch == 1) != (e["previous"] == nil) {
			return "epoch_break" // S1, S4
		}
		next = 0
	}
	if seq := integer(e["seq"]); seq > next {
		return "sequence_gap" // S2
	} else if seq < next {
		return "sequence_repeat"
	}
	if begins {
		vkey := text(e["vkey"])
		v, err := note.NewVerifier(vkey)
		if err != nil || v.Name() != text(e["source"]) || (a.vkey != "" && a.vkey != vkey) {
			return "source_key_mismatch" // S3
		}
		if a.vkey == "" {
			a.keys, a.firstKey = []string{vkey}, position
		}
		a.vkey, a.verifier = vkey, v
		if epoch > 1 && (integer(previous["epoch"]) != a.epoch || integer(previous["next"]) != a.next || text(previous["chain"]) != b64(a.chain) || previous["clean"] != a.stopped) {
			return "epoch_break" // S4
		}
		a.epoch, a.next, a.chain, a.stopped = epoch, 0, make([]byte, 32), false
		a.sessions, a.statements, a.refused = 0, 0, 0
		a.open, a.ended = map[string]*totals{}, map[string]bool{}
		a.idle = integer(object(e["seals"])["idle_ms"])
		return ""
	}
	if a.stopped {
		return "epoch_break" // S5
	}
	if kind == "source.key" {
		next, err := note.NewVerifier(text(e["vkey"]))
		if err != nil || next.Name() != text(e["source"]) || slices.Contains(a.keys, text(e["vkey"])) {
			return "source_key_mismatch" // S3
		}
		for _, v := range []note.Verifier{a.verifier, next} {
			n, err := note.Open([]byte(text(e["proof"])), note.VerifierList(v))
			if err != nil || n.Text != fmt.Sprintf("vitrine/source-key/v1\n%s\n%d\n%d\n%s\n%s\n", next.Name(), a.epoch, a.next, a.vkey, text(e["vkey"])) {
				return "source_key_mismatch"
			}
		}
		a.vkey, a.verifier, a.keys = text(e["vkey"]), next, append(a.keys, text(e["vkey"]))
	}
	if e["seal"] != nil {
		n, err := note.Open([]byte(text(e["seal"])), note.VerifierList(a.verifier))
		if err != nil {
			return "seal_invalid" // S6
		}
		lines := strings.Split(n.Text, "\n")
		form := len(lines) == 9 && (lines[0] == "vitrine/seal/v1" || lines[0] == "vitrine/stop/v1")
		for i, name := range []string{"sessions ", "statements ", "refused "} {
			form = form && strings.HasPrefix(lines[5+i], name)
		}
		if !form {
			return "seal_invalid"
		}
		if n.Text != fmt.Sprintf("vitrine/%s/v1\n%s\n%d\n%d\n%s\nsessions %d\nstatements %d\nrefused %d\n", strings.TrimPrefix(kind, "source."), text(e["source"]), a.epoch, a.next, b64(a.chain), a.sessions, a.statements, a.refused) {
			return "seal_mismatch" // S7, S8
		}
	}
	id := text(e["session"])
	own := strings.HasPrefix(id, fmt.Sprintf("%d.", a.epoch))
	switch kind {
	case "source.stop":
		a.stopped = true
		if len(a.open) > 0 {
			return "session_break" // N4
		}
	case "session.start":
		if !own || a.open[id] != nil || a.ended[id] {
			return "session_break" // N1
		}
		a.open[id] = &totals{}
	case "statement":
		if r := object(e["recovered"]); r != nil {
			if n := integer(r["epoch"]); n >= a.epoch || !strings.HasPrefix(id, fmt.Sprintf("%d.", n)) {
				return "session_break" // N2
			}
			break
		}
		t := a.open[id]
		if t == nil || integer(e["n"]) != t.statements+1 {
			return "session_break" // N1, N2
		}
		t.statements++
		if text(e["outcome"]) != "completed" {
			t.failed++
		}
		t.rows, t.in, t.out = t.rows+integer(e["rows"]), t.in+integer(e["bytes_in"]), t.out+integer(e["bytes_out"])
	case "session.end":
		t := a.open[id]
		if t == nil {
			return "session_break" // N1
		}
		if *t != (totals{integer(e["statements"]), integer(e["failed"]), integer(e["rows"]), integer(e["bytes_in"]), integer(e["bytes_out"])}) {
			return "session_totals" // N3
		}
		delete(a.open, id)
		a.ended[id] = true
	}
	return ""
}

// close is S9, S10 and S13.
func (a *auditor) close(now time.Time) {
	if a.failed || a.epoch == 0 {
		return
	}
	if a.given != "" && !slices.Contains(a.keys, a.given) {
		a.fail("source_key_mismatch", a.firstKey)
	}
	if len(a.uncovered) > 0 {
		a.findings = append(a.findings, finding{"unsealed", a.uncovered[0]})
	}
	if !a.stopped && (now.Sub(a.last) > time.Duration(a.idle)*time.Millisecond*3/2 || a.last.Sub(now) > 5*time.Minute) {
		a.findings = append(a.findings, finding{"silent", a.lastPosition})
	}
}

// audit judges a list of entries of any number of sources. given are keys by source.
func audit(entries []string, given map[string]string, now time.Time) []finding {
	sources, names, findings := map[string]*auditor{}, []string{}, []finding{}
	for i, e := range entries {
		m := parse(e)
		if m == nil {
			findings = append(findings, finding{"entry_malformed", i})
			continue
		}
		name := text(m["source"])
		if sources[name] == nil {
			sources[name] = &auditor{given: given[name]}
			names = append(names, name)
		}
		sources[name].take(e, i)
	}
	for _, n := range names {
		sources[n].close(now)
		findings = append(findings, sources[n].findings...)
	}
	slices.SortStableFunc(findings, func(a, b finding) int { return a.position - b.position })
	return findings
}

// verdict reduces findings to what the vectors state: the first FAIL, or all that is not proven.
func verdict(findings []finding) (string, []finding) {
	for _, f := range findings {
		if f.fails() {
			return "FAIL", []finding{f}
		}
	}
	if len(findings) > 0 {
		return "NOT PROVEN", findings
	}
	return "PASS", findings
}
