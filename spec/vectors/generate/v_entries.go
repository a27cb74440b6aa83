package main

import (
	"fmt"
	"strings"
)

// kinds makes one good entry of each kind.
func kinds() map[string]M {
	s := newSource("proxy-a.example")
	s.epoch = 2
	r := map[string]M{}
	with := func(kind string, seq int, m M) { r[kind] = append(s.head(kind).with("seq", seq), m...) }
	with("source.start", 0, s.startMembers(o("epoch", 1, "next", 812, "chain", b64(sum([]byte("chain"))), "clean", false, "spool", "kept")))
	s.seq = 5
	with("source.seal", 5, o("seal", s.note(s.sealText())))
	with("source.stop", 5, o("reason", "shutdown", "seal", s.note(s.sealText())))
	c := s.connect("alice", "shop")
	with("session.start", 5, c.startMembers())
	with("statement", 6, s.statementMembers(c, "SELECT balance FROM accounts WHERE id = 7"))
	with("session.end", 7, s.endMembers(c))
	with("access.refused", 8, o("actor", o("login", "mallory"), "database", "shop", "client", o("address", s.sealed("client.address", "192.0.2.99:50123", 16), "tls", false),
		"by", "server", "sqlstate", "28P01", "error", s.sealed("error", "no", 2)))
	next := keyFrom(s.name, sum([]byte("next")))
	with("source.key", 9, o("vkey", next.vkey, "proof", s.note(s.handoverText(next))+next.line(s.handoverText(next))))
	named := o("name", s.name, "vkey", s.vkey)
	with("source.registered", 10, o("registered", named, "by", "ada", "reason", s.sealed("reason", "the new shop", 12)))
	with("source.retired", 11, o("retired", named, "by", "ada", "reason", s.sealed("reason", "the old shop", 12)))
	with("disclosure.read", 12, o("reader", "bob@example.org", "index", 7, "names", []string{"client.address", "sql"}, "reason", s.sealed("reason", "case 4711", 9)))
	with("erasure.ordered", 13, o("scope", o("login", "alice"), "by", "ada", "reason", s.sealed("reason", "request of 1 November", 21)))
	with("erasure.done", 14, o("ordered", 13, "entries", 7, "values", 15))
	with("log.keys", 15, o("keys", []string{testKey(origin).vkey}))
	with("rules.change", 16, o("rules", hexOf(sum([]byte("new rules"))), "previous_rules", hexOf(sum([]byte("rules")))))
	with("users.change", 17, o("users", hexOf(sum([]byte("new users"))), "previous_users", hexOf(sum([]byte("users")))))
	with("config.change", 9, o("config", hexOf(sum([]byte("new"))), "previous_config", hexOf(sum([]byte("config")))))
	return r
}

func entryVectors() M {
	cases := []M{}
	e := kinds()
	good := func(desc string, m any) {
		text, ok := m.(string)
		if !ok {
			text = compact(m)
		}
		kind := strings.SplitN(strings.SplitN(text, `"kind":"`, 2)[1], `"`, 2)[0]
		cases = append(cases, o("desc", desc, "entry", bytesOf([]byte(text)), "leafHash", hexOf(leafHash([]byte(text))), "kind", kind))
	}
	bad := func(step, desc, text string, blind ...bool) {
		m := o("desc", desc, "entry", bytesOf([]byte(text)), "step", step, "wantErr", "entry_malformed")
		if len(blind) > 0 {
			m = m.with("schema", true)
		}
		cases = append(cases, m)
	}
	st, sess, start := e["statement"], e["session.start"], e["source.start"]
	for _, k := range []string{"source.start", "source.seal", "source.stop", "session.start", "session.end", "access.refused", "statement", "config.change", "source.key", "source.registered", "source.retired", "disclosure.read", "erasure.ordered", "erasure.done", "log.keys", "rules.change", "users.change"} {
		good(k, e[k])
	}
	good("source.start of epoch 1", start.with("epoch", 1, "previous", nil))
	good("source.start, spool lost", start.with("previous", start.get("previous").(M).with("spool", "lost")))
	good("source.start, relaxed", start.with("durability", o("reads", "relaxed", "others", "relaxed", "window_ms", 1000)))
	read, order, keys := e["disclosure.read"], e["erasure.ordered"], e["log.keys"]
	good("disclosure.read, nothing was there, the reason in the clear", read.with("names", []string{}, "reason", "case 4711"))
	good("erasure.ordered, one entry", order.with("scope", o("index", 7)))
	good("erasure.ordered, before a time", order.with("scope", o("before", "2026-11-22T22:10:00.000000Z")))
	good("erasure.ordered, a member of the scope that nobody knows", order.with("scope", o("login", "alice", "future", 1)))
	good("log.keys, two", keys.with("keys", []string{testKey(origin).vkey, keyFrom(origin, sum([]byte("next"))).vkey}))
	client := sess.get("client").(M)
	good("session.start, the address in the clear", sess.with("client", client.with("address", "192.0.2.10:40001")))
	good("session.start without application, server version and pid", sess.with("client", client.without("application"), "server", o()))
	for _, encrypted := range []bool{true, false} {
		good(fmt.Sprintf("session.start, encrypted to the server: %t", encrypted), sess.with("server", o("version", "18.1", "tls", encrypted)))
	}
	good("session.start, the client showed a certificate", sess.with("client", client.with("tls", true).with("certificate", hexOf(sum([]byte("a certificate"))))))
	for _, a := range []string{"trust", "password", "md5", "scram-sha-256-plus", "certificate", "other:7"} {
		good("session.start, auth "+a, sess.with("actor", o("login", "alice", "auth", a)))
	}
	for _, r := range []string{"client-closed", "server-closed", "shutdown", "protocol-error", "spool-full", "idle-timeout", "transaction-timeout", "statement-timeout", "killed"} {
		good("session.end, reason "+r, e["session.end"].with("reason", r))
	}
	good("access.refused by the proxy, in the clear", e["access.refused"].with("by", "proxy", "sqlstate", "0A000", "error", "replication", "client", o("address", "/run/s", "tls", true)))
	x := st.get("sql").(M)
	failed := st.without("tag").with("outcome", "failed", "sqlstate", "42P01", "error", x, "rows", 0)
	good("statement, failed", failed)
	good("statement, failed without an SQLSTATE reported", failed.without("sqlstate"))
	good("statement, cancelled", failed.with("outcome", "cancelled", "sqlstate", "57014"))
	good("statement, denied by a rule", failed.with("outcome", "denied", "sqlstate", "42501", "rule", "no-cards"))
	good("statement, allowed, with a rule on trial", st.with("rule", "default", "would_deny", "trial"))
	good("statement, sent three times", st.with("attempts", 3))
	good("session.start, settings", sess.with("settings", []M{o("name", "client_encoding", "value", "UTF8"), o("name", "options", "value", "-c search_path=a")}))
	good("session.start, no settings, as nobody should write it", sess.with("settings", []M{}))
	good("session.start, settings by their digest", sess.with("settings", o("bytes", 20000, "sha256", hexOf(sum()))))
	known := o("login", "app", "auth", "scram-sha-256", "identity", "ann@example.org", "groups", []string{"staff", "on-call"})
	for _, kind := range []string{"session.start", "session.end", "statement"} {
		good(kind+", identity and groups", e[kind].with("actor", known))
	}
	for _, kind := range []string{"session.start", "session.end", "statement"} {
		good(kind+", authenticated by the proxy", e[kind].with("actor", known.with("by", "proxy")))
	}
	good("statement, identity and no groups", st.with("actor", known.with("groups", []string{})))
	says, trace := o("name", "ann", "from", "comment"), o("id", strings.Repeat("4b", 16), "span", strings.Repeat("0a", 8))
	good("statement, claimed user and trace", st.with("claimed", o("user", says, "trace", trace)))
	good("statement, claimed user alone", st.with("claimed", o("user", says.with("from", "application_name"))))
	good("statement, claimed trace alone", st.with("claimed", o("trace", trace)))
	good("statement, claimed, members nobody knows", st.with("claimed", o("user", says.with("future", 1), "future", nil)))
	good("session.end, pinned", e["session.end"].with("pins", []string{"listen", "temporary"}))
	good("session.end, pinned for a reason nobody knows", e["session.end"].with("pins", []string{"future"}))
	good("session.start, one of several hosts, after eleven attempts", sess.with("server", sess.get("server").(M).with("host", "[2001:db8::5]:5433"), "attempts", 11))
	good("rules.change, the first of an epoch", e["rules.change"].without("previous_rules"))
	good("users.change, the first of an epoch", e["users.change"].without("previous_users"))
	good("statement, denied, without sql", failed.without("sql").with("outcome", "denied", "sqlstate", "54000"))
	good("statement, unknown outcome, with a duration", st.without("tag").with("outcome", "unknown"))
	recovered := st.without("n", "tx", "duration_us", "tag", "rows", "bytes_in", "bytes_out").with("outcome", "unknown", "recovered", o("epoch", 1), "session", "1.7")
	good("statement, recovered", recovered)
	good("statement, recovered, with the sizes that were known", recovered.with("rows", 0, "bytes_in", 70, "bytes_out", 0))
	good("statement, sql in the clear", st.with("sql", "SELECT 1"))
	good("statement, sql in the clear that is not UTF-8", st.with("sql", o("base64", "U0VMRUNUICf/Jw==")))
	good("statement, sql by its digest", st.with("sql", o("bytes", 99999999, "sha256", hexOf(sum()))))
	good("statement with parameters", st.with("protocol", "extended", "params", x, "params_count", 3))
	good("statement with parameters in the clear", st.with("protocol", "extended", "params", []any{nil, "7", o("base64", "AAAABw==")}, "params_count", 3))
	good("statement, parameters by their digest", st.with("protocol", "extended", "params", o("bytes", 99999999, "sha256", hexOf(sum())), "params_count", 3))
	good("statement of protocol function", st.without("sql", "tag", "fingerprint").with("protocol", "function", "operation", "FUNCTION CALL", "class", "function", "complete", false, "incomplete", "opaque", "relations", []M{}, "function_oid", 1234, "params", x, "params_count", 1))
	for _, i := range []string{"syntax", "too-large", "encoding", "opaque", "analysis"} {
		good("statement, incomplete: "+i, st.without("fingerprint").with("complete", false, "incomplete", i, "operation", "UNKNOWN", "class", "unknown", "relations", []M{}))
	}
	for _, c := range []string{"write", "ddl", "role", "function", "copy", "admin", "session"} {
		good("statement, class "+c, st.with("class", c))
	}
	good("statement, relations with and without schema, functions, role", st.with("relations", []M{o("name", "a", "access", "read"), o("schema", "s", "name", "a", "access", "write")}, "functions", []string{"lower", "now"}, "role", "bob"))
	good("statement, tx E", st.with("tx", "E"))
	good("statement, digest and size in the other order", st.with("sql", o("bytes", 41, "sealed", x.get("sealed"))))
	good("members behind the first six in another order", append(append(M{}, e["config.change"][:6]...), e["config.change"][7], e["config.change"][6]))
	good("a kind nobody knows", e["config.change"].with("kind", "future.kind", "x", o("a", []any{true, nil, "s"})))
	good("a kind nobody knows, with no member of its own", e["config.change"].with("kind", "future.kind").without("config", "previous_config"))
	good("members nobody knows", st.with("future", o("a", nil, "b", []any{}), "client", st.get("client").(M).with("future", true)))
	good("a member named __proto__", st.with("__proto__", o("v", 2)))
	good("a member named constructor", st.with("constructor", 1, "toString", 2, "hasOwnProperty", 3))
	good("names that are array indexes, in front and ascending, in an object nobody knows", st.with("future", o("0", 1, "17", 2, "4294967294", 3, "a", 4)))
	good("names that only look like array indexes may stand anywhere", st.with("future", o("a", 1, "00", 2, "01", 3, "-1", 4, "4294967295", 5, "1.5", 6, "", 7)))
	good("two names that differ in case", st.with("Future", 1, "future", 2))
	good("two names that differ in normalization only", st.with("\u00e9", 1, "e\u0301", 2))
	good("the largest number", st.with("rows", int64(maxSize)))
	good("seq 2^32 + 1", st.with("seq", int64(1<<32+1)))
	all := ""
	for r := rune(1); r < 0x80; r++ {
		all += string(r)
	}
	good("every ASCII character in a string, shortest escapes", st.with("sql", "\x00"+all))
	good("U+2028, U+2029, U+FEFF and an emoji stand as themselves", st.with("sql", "\u2028\u2029\ufeff🙂\u0085"))
	good("a lone surrogate, escaped in lower case", st.with("sql", raw(`"\ud800 and \udfff"`)))
	good("surrogates in the wrong order, escaped", st.with("sql", raw(`"\ude42\ud83d"`)))
	good("an empty string where a name may be empty", st.with("database", ""))
	good("nested 64 deep", st.with("future", raw(strings.Repeat("[", 63)+strings.Repeat("]", 63))))
	good("29 February of a leap year", st.with("time", "2028-02-29T23:59:59.999999Z"))
	good("a source's name beyond ASCII", st.with("source", "schlüssel.example/漢字"))
	good("statement, bound and not executed", st.without("tag").with("rows", 0, "executed", false))
	pad := 65535 - len(compact(st.with("future", "")))
	long := func(n int) []any {
		t := compact(st.with("future", ""))
		return []any{t[:len(t)-2], o("repeat", "a", "times", n), `"}`}
	}
	text := compact(st.with("future", strings.Repeat("a", pad)))
	assert(len(text) == 65535, "longest entry has %d", len(text))
	cases = append(cases, o("desc", "65,535 bytes", "entry", long(pad), "leafHash", hexOf(leafHash([]byte(text))), "kind", "statement"))
	cases = append(cases, o("desc", "65,536 bytes", "entry", long(pad+1), "step", "E1", "wantErr", "entry_malformed"))

	t := compact(st)
	sub := func(from, to string) string {
		assert(strings.Count(t, from) == 1, "%d of %s", strings.Count(t, from), from)
		return strings.Replace(t, from, to, 1)
	}
	bytesLevel := [][2]string{
		{"empty", ""}, {"only white space", " "}, {"null", "null"}, {"a string", `"statement"`}, {"a number", "1"}, {"an array", "[" + t + "]"}, {"not JSON", "SELECT 1"}, {"two objects", t + t}, {"cut off", t[:len(t)-1]}, {"a bracket too many", t + "}"},
		{"a newline behind", t + "\n"}, {"a space in front", " " + t}, {"a space behind a colon", sub(`"v":1`, `"v": 1`)}, {"a space behind a comma", sub(`,"kind"`, `, "kind"`)}, {"a newline within", sub(`,"kind"`, ",\n"+`"kind"`)}, {"a tab within", sub(`,"kind"`, ",\t"+`"kind"`)}, {"indented", "{\n  " + t[1:len(t)-1] + "\n}"},
		{"a byte order mark in front", "\ufeff" + t}, {"UTF-16", "\x7b\x00\x7d\x00"},
		{"a comma behind the last member", t[:len(t)-1] + ",}"}, {"a comment", sub(`,"kind"`, `/**/,"kind"`)}, {"single quotes", sub(`"kind"`, `'kind'`)}, {"a name without quotes", sub(`"kind"`, `kind`)}, {"NaN", sub(`"rows":1`, `"rows":NaN`)},
		{"a member twice, the same value", sub(`"rows":1`, `"rows":1,"rows":1`)}, {"a member twice, another value", sub(`"rows":1`, `"rows":2,"rows":1`)}, {"a member twice, far apart", t[:len(t)-1] + `,"v":1}`}, {"a member twice, once escaped", sub(`"rows":1`, `"rows":1,"\u0072ows":1`)}, {"a member twice in an inner object", sub(`"application":"psql"`, `"application":"psql","application":"psql"`)}, {"__proto__ twice", t[:len(t)-1] + `,"__proto__":1,"__proto__":1}`},
		{"a name that is an array index, behind others", t[:len(t)-1] + `,"0":1}`}, {"a name that is an array index, 17, behind others", t[:len(t)-1] + `,"17":1}`}, {"array indexes descending in an object nobody knows", t[:len(t)-1] + `,"future":{"2":1,"1":1}}`}, {"an array index behind a name", t[:len(t)-1] + `,"future":{"a":1,"0":1}}`}, {"the largest array index behind a name", t[:len(t)-1] + `,"future":{"a":1,"4294967294":1}}`}, {"array indexes ordered as text", t[:len(t)-1] + `,"future":{"10":1,"9":1}}`},
		{"a float", sub(`"rows":1`, `"rows":1.5`)}, {"an integer with a fraction", sub(`"rows":1`, `"rows":1.0`)}, {"an exponent", sub(`"rows":1`, `"rows":1e2`)}, {"an exponent in upper case", sub(`"rows":1`, `"rows":1E2`)}, {"an exponent that ECMAScript writes", sub(`"rows":1`, `"rows":1e+21`)}, {"minus zero", sub(`"rows":1`, `"rows":-0`)}, {"negative", sub(`"rows":1`, `"rows":-1`)}, {"a plus sign", sub(`"rows":1`, `"rows":+1`)}, {"a leading zero", sub(`"rows":1`, `"rows":01`)}, {"hex", sub(`"rows":1`, `"rows":0x1`)},
		{"2^53", sub(`"rows":1`, `"rows":9007199254740992`)}, {"2^53 + 1, which a double cannot hold", sub(`"rows":1`, `"rows":9007199254740993`)}, {"a number too large for a double", sub(`"rows":1`, `"rows":1`+strings.Repeat("0", 400))}, {"a float in a member nobody knows", t[:len(t)-1] + `,"future":[0.5]}`}, {"negative in a member nobody knows", t[:len(t)-1] + `,"future":{"a":-1}}`}, {"2^53 in a member nobody knows", t[:len(t)-1] + `,"future":9007199254740992}`}, {"a small float in a member nobody knows", t[:len(t)-1] + `,"future":1e-7}`},
		{"an escaped slash", sub(`"psql"`, `"ps\/ql"`)}, {"an escaped letter", sub(`"psql"`, `"\u0070sql"`)}, {"an escaped letter beyond ASCII", sub(`"psql"`, `"\u00fc"`)}, {"an escape in upper case", sub(`"psql"`, `"\u001F"`)}, {"a long escape for a newline", sub(`"psql"`, `"\u000a"`)}, {"a long escape for a backspace", sub(`"psql"`, `"\u0008"`)}, {"an escaped U+007F", sub(`"psql"`, `"\u007f"`)}, {"an escaped U+2028", sub(`"psql"`, `"\u2028"`)}, {"an escaped name", sub(`"rows"`, `"\u0072ows"`)},
		{"a pair of surrogates, escaped", sub(`"psql"`, `"\ud83d\ude42"`)}, {"a lone surrogate, escaped in upper case", sub(`"psql"`, `"\uD800"`)}, {"a bare newline in a string", sub(`"psql"`, "\"a\nb\"")}, {"U+0000 in a string", sub(`"psql"`, "\"a\x00b\"")}, {"U+001F in a string", sub(`"psql"`, "\"a\x1fb\"")}, {"an escape that JSON does not have", sub(`"psql"`, `"\x41"`)},
		{"a lone surrogate, not escaped: ED A0 80", sub(`"psql"`, "\"\xed\xa0\x80\"")}, {"a pair of surrogates, not escaped (CESU-8)", sub(`"psql"`, "\"\xed\xa0\xbd\xed\xb9\x82\"")}, {"an overlong slash, C0 AF", sub(`"psql"`, "\"\xc0\xaf\"")}, {"a lone 0xFF", sub(`"psql"`, "\"\xff\"")}, {"a cut sequence", sub(`"psql"`, "\"\xe2\x82\"")}, {"beyond U+10FFFF: F4 90 80 80", sub(`"psql"`, "\"\xf4\x90\x80\x80\"")}, {"Latin-1", sub(`"psql"`, "\"\xfc\"")},
		{"nested 65 deep", t[:len(t)-1] + `,"future":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + "}"},
	}
	for _, c := range bytesLevel {
		bad("E1", c[0], c[1])
	}
	cases = append(cases,
		o("desc", "nested 10,000 deep", "entry", []any{t[:len(t)-1] + `,"future":`, o("repeat", "[", "times", 10000), o("repeat", "]", "times", 10000), "}"}, "step", "E1", "wantErr", "entry_malformed"),
		o("desc", "objects nested 5,000 deep", "entry", []any{t[:len(t)-1] + `,"future":`, o("repeat", `{"a":`, "times", 5000), "0", o("repeat", "}", "times", 5000), "}"}, "step", "E1", "wantErr", "entry_malformed"))

	for i, name := range []string{"v", "kind", "source", "epoch", "seq", "time"} {
		bad("E2", "without "+name, compact(st.without(name)))
		m := append(M{}, st...)
		j := (i + 1) % 6
		m[i], m[j] = m[j], m[i]
		bad("E2", fmt.Sprintf("%s and %s in the other order", st[i].k, st[j].k), compact(m), true)
	}
	for _, c := range []struct {
		desc string
		m    M
		set  []any
	}{
		{"v 2", st, []any{"v", 2}}, {"v 0", st, []any{"v", 0}}, {"v a string", st, []any{"v", "1"}}, {"kind a number", st, []any{"kind", 1}}, {"kind null", st, []any{"kind", nil}}, {"kind empty", st, []any{"kind", ""}}, {"source empty", st, []any{"source", ""}}, {"source a number", st, []any{"source", 1}}, {"source with a plus", st, []any{"source", "a+b"}}, {"source with a space", st, []any{"source", "a b"}}, {"source with U+3000", st, []any{"source", "a\u3000b"}}, {"source with U+0085", st, []any{"source", "a\u0085b"}},
		{"epoch 0", st, []any{"epoch", 0}}, {"epoch a string", st, []any{"epoch", "1"}}, {"seq a string", st, []any{"seq", "1"}}, {"seq null", st, []any{"seq", nil}}, {"seq true", st, []any{"seq", true}},
		{"time without fraction", st, []any{"time", "2026-11-22T22:10:00Z"}}, {"time in milliseconds", st, []any{"time", "2026-11-22T22:10:00.123Z"}}, {"time in nanoseconds", st, []any{"time", "2026-11-22T22:10:00.123456789Z"}}, {"time with an offset", st, []any{"time", "2026-11-22T22:10:00.123456+00:00"}}, {"time with a space", st, []any{"time", "2026-11-22 22:10:00.123456Z"}}, {"time in lower case", st, []any{"time", "2026-11-22t22:10:00.123456z"}}, {"time a number", st, []any{"time", 1763849400}}, {"time with a comma", st, []any{"time", "2026-11-22T22:10:00,123456Z"}}, {"time of five digits of year", st, []any{"time", "12026-11-22T22:10:00.123456Z"}},
		{"statement: session with a leading zero", st, []any{"session", "01.1"}}, {"statement: session without a dot", st, []any{"session", "1"}}, {"statement: session of epoch 0", st, []any{"session", "0.1"}}, {"statement: session whose number is 2^53", st, []any{"session", "1.9007199254740992"}}, {"statement: session a number", st, []any{"session", 1}}, {"statement: n 0", st, []any{"n", 0}}, {"statement: protocol not in the list", st, []any{"protocol", "binary"}}, {"statement: class not in the list", st, []any{"class", "dml"}}, {"statement: outcome not in the list", st, []any{"outcome", "ok"}}, {"statement: tx not in the list", st, []any{"tx", "X"}}, {"statement: complete a string", st, []any{"complete", "true"}}, {"statement: complete null", st, []any{"complete", nil}},
		{"statement: relations an object", st, []any{"relations", o()}}, {"statement: a relation without name", st, []any{"relations", []M{o("access", "read")}}}, {"statement: a relation's access not in the list", st, []any{"relations", []M{o("name", "a", "access", "execute")}}}, {"statement: a relation's schema null", st, []any{"relations", []M{o("schema", nil, "name", "a", "access", "read")}}}, {"statement: functions with a number", st, []any{"functions", []any{1}}}, {"statement: fingerprint of 15 digits", st, []any{"fingerprint", "0123456789abcde"}}, {"statement: fingerprint in upper case", st, []any{"fingerprint", "0123456789ABCDEF"}},
		{"statement: complete and incomplete", st, []any{"incomplete", "syntax"}}, {"statement: neither complete nor why", st, []any{"complete", false}}, {"statement: incomplete not in the list", st, []any{"complete", false, "incomplete", "lazy"}}, {"statement: function_oid with protocol simple", st, []any{"function_oid", 1}}, {"statement: protocol function with sql", st, []any{"protocol", "function", "function_oid", 1}}, {"statement: params without params_count", st, []any{"params", x}}, {"statement: params_count without params", st, []any{"params_count", 1}}, {"statement: params a string", st, []any{"params", "7", "params_count", 1}}, {"statement: a parameter is a number", st, []any{"params", []any{7}, "params_count", 1}},
		{"statement: start null", st, []any{"start", nil}}, {"statement: rows a string", st, []any{"rows", "1"}}, {"statement: duration_us a string", st, []any{"duration_us", "1"}}, {"statement: sqlstate of four characters", failed, []any{"sqlstate", "42P0"}}, {"statement: sqlstate in lower case", failed, []any{"sqlstate", "42p01"}}, {"statement: completed with an sqlstate", st, []any{"sqlstate", "00000"}}, {"statement: completed with an error", st, []any{"error", x}}, {"statement: tag null", st, []any{"tag", nil}}, {"statement: role null", st, []any{"role", nil}},
		{"statement: sql null", st, []any{"sql", nil}}, {"statement: sql a number", st, []any{"sql", 1}}, {"statement: sealed with a member too many", st, []any{"sql", x.with("name", "sql")}}, {"statement: sealed without bytes", st, []any{"sql", x.without("bytes")}}, {"statement: sealed without sealed", st, []any{"sql", x.without("sealed")}}, {"statement: sealed in base64, with padding", st, []any{"sql", x.with("sealed", x.get("sealed").(string)+"=")}}, {"statement: sealed of 31 bytes", st, []any{"sql", x.with("sealed", b64u(sum()[:31]))}}, {"statement: sealed in hex", st, []any{"sql", x.with("sealed", hexOf(sum()))}}, {"statement: sealed not canonical: unused bits are set", st, []any{"sql", x.with("sealed", b64u(make([]byte, 32))[:42]+"B")}}, {"statement: sealed a number", st, []any{"sql", x.with("sealed", 1)}}, {"statement: sealed null", st, []any{"sql", x.with("sealed", nil)}}, {"statement: bytes a string", st, []any{"sql", x.with("bytes", "41")}}, {"statement: sql in base64url", st, []any{"sql", o("base64", "_w")}}, {"statement: sql by a digest in upper case", st, []any{"sql", o("bytes", 1, "sha256", strings.ToUpper(hexOf(sum())))}}, {"statement: a member sealed that may not be", st, []any{"database", x}}, {"statement: client a string", st, []any{"client", "psql"}}, {"statement: client without address", st, []any{"client", o("application", "psql")}}, {"statement: address null", st, []any{"client", o("address", nil)}}, {"statement: application sealed", st, []any{"client", o("address", "a", "application", x)}},
		{"statement: actor without auth", st, []any{"actor", o("login", "alice")}}, {"statement: auth not in the list", st, []any{"actor", o("login", "alice", "auth", "kerberos")}}, {"statement: auth other without a code", st, []any{"actor", o("login", "alice", "auth", "other:")}}, {"statement: login a number", st, []any{"actor", o("login", 1, "auth", "trust")}}, {"statement: actor an array", st, []any{"actor", []any{}}},
		{"recovered, with n", recovered, []any{"n", 1}}, {"recovered, with tx", recovered, []any{"tx", "I"}}, {"recovered, with duration_us", recovered, []any{"duration_us", 1}}, {"recovered, completed", recovered, []any{"outcome", "completed"}}, {"recovered a number", recovered, []any{"recovered", 1}}, {"recovered null", recovered, []any{"recovered", nil}}, {"recovered without epoch", recovered, []any{"recovered", o()}}, {"recovered epoch 0", recovered, []any{"recovered", o("epoch", 0)}},
		{"source.start: config in upper case", start, []any{"config", strings.ToUpper(hexOf(sum()))}}, {"source.start: config of 63 digits", start, []any{"config", hexOf(sum())[1:]}}, {"source.start: vkey a number", start, []any{"vkey", 1}}, {"source.start: software a string", start, []any{"software", "x"}}, {"source.start: software without version", start, []any{"software", o("name", "x")}}, {"source.start: durability not in the list", start, []any{"durability", o("reads", "never", "others", "relaxed", "window_ms", 0)}}, {"source.start: durability without window_ms", start, []any{"durability", o("reads", "relaxed", "others", "relaxed")}}, {"source.start: seals without idle_ms", start, []any{"seals", o("every_entries", 1, "every_ms", 1)}}, {"source.start: previous a string", start, []any{"previous", "none"}}, {"source.start: previous without spool", start, []any{"previous", start.get("previous").(M).without("spool")}}, {"source.start: spool not in the list", start, []any{"previous", start.get("previous").(M).with("spool", "gone")}}, {"source.start: clean a string", start, []any{"previous", start.get("previous").(M).with("clean", "no")}}, {"source.start: chain in hex", start, []any{"previous", start.get("previous").(M).with("chain", hexOf(sum()))}}, {"source.start: chain of 31 bytes", start, []any{"previous", start.get("previous").(M).with("chain", b64(sum()[:31]))}}, {"source.start: chain not canonical: unused bits are set", start, []any{"previous", start.get("previous").(M).with("chain", b64(make([]byte, 32))[:42]+"B=")}}, {"source.start: previous epoch 0", start, []any{"previous", start.get("previous").(M).with("epoch", 0)}},
		{"source.key: proof null", e["source.key"], []any{"proof", nil}}, {"source.key: vkey a number", e["source.key"], []any{"vkey", 1}}, {"source.registered: a string", e["source.registered"], []any{"registered", "proxy-a"}}, {"source.registered: a name with a space", e["source.registered"], []any{"registered", o("name", "a b", "vkey", "x")}}, {"source.registered: without vkey in it", e["source.registered"], []any{"registered", o("name", "a")}}, {"source.retired: by null", e["source.retired"], []any{"by", nil}}, {"source.retired: reason a number", e["source.retired"], []any{"reason", 1}},
		{"disclosure.read: index a string", read, []any{"index", "7"}}, {"disclosure.read: names a string", read, []any{"names", "sql"}}, {"disclosure.read: names with a number", read, []any{"names", []any{1}}}, {"disclosure.read: reader sealed", read, []any{"reader", x}},
		{"erasure.ordered: an empty scope", order, []any{"scope", o()}}, {"erasure.ordered: a scope of two", order, []any{"scope", o("login", "alice", "index", 7)}}, {"erasure.ordered: a scope nobody knows", order, []any{"scope", o("table", "a")}}, {"erasure.ordered: before a day", order, []any{"scope", o("before", "2026-11-22")}}, {"erasure.ordered: index a string", order, []any{"scope", o("index", "7")}}, {"erasure.ordered: login null", order, []any{"scope", o("login", nil)}}, {"erasure.ordered: scope an array", order, []any{"scope", []any{}}}, {"erasure.done: values null", e["erasure.done"], []any{"values", nil}},
		{"statement: claimed a string", st, []any{"claimed", "ann"}}, {"statement: claimed user a string", st, []any{"claimed", o("user", "ann")}}, {"statement: claimed user without from", st, []any{"claimed", o("user", o("name", "ann"))}}, {"statement: claimed user from nowhere known", st, []any{"claimed", o("user", o("name", "ann", "from", "oracle"))}}, {"statement: claimed trace in upper case", st, []any{"claimed", o("trace", o("id", strings.Repeat("4B", 16), "span", strings.Repeat("0a", 8)))}}, {"statement: claimed trace without span", st, []any{"claimed", o("trace", o("id", strings.Repeat("4b", 16)))}},
		{"statement: actor by the server", st, []any{"actor", o("login", "app", "auth", "trust", "by", "server")}}, {"session.start: actor by null", sess, []any{"actor", o("login", "app", "auth", "trust", "by", nil)}},
		{"session.start: settings a string", sess, []any{"settings", "search_path=a"}}, {"session.start: a setting without value", sess, []any{"settings", []M{o("name", "a")}}}, {"session.start: settings with a digest in upper case", sess, []any{"settings", o("bytes", 1, "sha256", strings.ToUpper(hexOf(sum())))}},
		{"statement: identity null", st, []any{"actor", o("login", "app", "auth", "trust", "identity", nil)}}, {"statement: groups a string", st, []any{"actor", o("login", "app", "auth", "trust", "groups", "staff")}},
		{"statement: rule null", st, []any{"rule", nil}}, {"statement: rule an object", st, []any{"rule", o("name", "x")}}, {"statement: would_deny true", st, []any{"would_deny", true}},
		{"statement: executed true", st, []any{"executed", true}}, {"statement: executed null", st, []any{"executed", nil}},
		{"statement: attempts 1", st, []any{"attempts", 1}}, {"statement: attempts a string", st, []any{"attempts", "2"}}, {"session.start: attempts 0", sess, []any{"attempts", 0}}, {"session.start: attempts null", sess, []any{"attempts", nil}}, {"session.start: host a number", sess, []any{"server", o("host", 5432)}},
		{"session.end: pins a string", e["session.end"], []any{"pins", "listen"}}, {"session.end: pins null", e["session.end"], []any{"pins", nil}}, {"session.end: pins with a number", e["session.end"], []any{"pins", []any{"listen", 1}}},
		{"rules.change: rules of 63 digits", e["rules.change"], []any{"rules", hexOf(sum())[1:]}}, {"rules.change: previous_rules null", e["rules.change"], []any{"previous_rules", nil}},
		{"users.change: users in capitals", e["users.change"], []any{"users", strings.ToUpper(hexOf(sum()))}}, {"users.change: previous_users null", e["users.change"], []any{"previous_users", nil}},
		{"log.keys: none", keys, []any{"keys", []any{}}}, {"log.keys: a string", keys, []any{"keys", "x"}}, {"log.keys: a number in it", keys, []any{"keys", []any{1}}},
		{"source.seal: seal null", e["source.seal"], []any{"seal", nil}}, {"source.stop: reason not in the list", e["source.stop"], []any{"reason", "crash"}}, {"session.start: tls a string", sess, []any{"client", client.with("tls", "no")}}, {"session.start: pid a string", sess, []any{"server", o("pid", "1")}}, {"session.start: tls of the server a string", sess, []any{"server", o("tls", "yes")}}, {"session.start: certificate in upper case", sess, []any{"client", client.with("certificate", strings.ToUpper(hexOf(sum([]byte("a certificate")))))}}, {"session.start: certificate of 31 bytes", sess, []any{"client", client.with("certificate", hexOf(sum()[:31]))}}, {"session.start: certificate null", sess, []any{"client", client.with("certificate", nil)}}, {"session.start: version null", sess, []any{"server", o("version", nil)}}, {"session.start: protocol a number", sess, []any{"protocol", 3}}, {"session.end: reason not in the list", e["session.end"], []any{"reason", "bored"}}, {"access.refused: by not in the list", e["access.refused"], []any{"by", "firewall"}}, {"access.refused: error an array", e["access.refused"], []any{"error", []any{}}}, {"config.change: previous_config null", e["config.change"], []any{"previous_config", nil}},
	} {
		bad("E2", c.desc, compact(c.m.with(c.set...)))
	}
	for _, d := range []string{"2026-02-29", "2026-13-01", "2026-00-10", "2026-04-31", "2026-01-00", "1900-02-29"} {
		bad("E2", "a date that does not exist: "+d, compact(st.with("time", d+"T00:00:00.000000Z")), inRange(d)...)
	}
	for _, h := range []string{"24:00:00", "23:60:00", "23:59:60"} {
		bad("E2", "a time that does not exist: "+h, compact(st.with("time", "2026-11-22T"+h+".000000Z")))
	}
	required := map[string]string{
		"source.start": "vkey software config durability seals previous", "source.seal": "seal", "source.stop": "reason seal",
		"session.start": "session actor database client server protocol", "session.end": "session actor database start duration_us statements failed rows bytes_in bytes_out reason",
		"source.key": "vkey proof", "source.registered": "registered by reason", "source.retired": "retired by reason", "disclosure.read": "reader index names reason", "erasure.ordered": "scope by reason", "erasure.done": "ordered entries values", "log.keys": "keys", "rules.change": "rules", "users.change": "users",
		"access.refused": "actor database client by sqlstate error", "config.change": "config previous_config",
		"statement": "session actor database n client protocol operation class relations functions complete tx start duration_us outcome rows bytes_in bytes_out",
	}
	for _, kind := range []string{"source.start", "source.seal", "source.stop", "session.start", "session.end", "access.refused", "statement", "config.change", "source.key", "source.registered", "source.retired", "disclosure.read", "erasure.ordered", "erasure.done", "log.keys", "rules.change", "users.change"} {
		for _, name := range strings.Fields(required[kind]) {
			bad("E2", kind+" without "+name, compact(e[kind].without(name)))
		}
	}
	return o("cases", cases)
}

func disclosureVectors() M {
	cases, matches := []M{}, []M{}
	salt := b64u(sum([]byte("salt"))[:16])
	good := func(desc, name string, value any) {
		j := compact([]any{salt, name, value})
		cases = append(cases, o("desc", desc, "disclosure", b64u([]byte(j)), "json", bytesOf([]byte(j)), "salt", salt, "name", name, "value", value, "digest", digest(j)))
	}
	good("sql", "sql", "SELECT 1")
	good("sql, empty", "sql", "")
	good("sql beyond ASCII, with controls and quotes", "sql", "SELECT 'ü漢🙂', \"a\"\n\t\u0001\u2028")
	good("sql with a lone surrogate, escaped", "sql", raw(`"\ud800"`))
	good("sql that is not UTF-8", "sql", o("base64", "U0VMRUNUICf/Jw=="))
	good("sql by its digest", "sql", o("bytes", 99999999, "sha256", hexOf(sum())))
	good("params", "params", []any{nil, "7", o("base64", "AAAABw=="), ""})
	good("params, none of them", "params", []any{})
	good("params by their digest", "params", o("bytes", 99999999, "sha256", hexOf(sum())))
	good("error", "error", "relation \"acounts\" does not exist\nhint: look again")
	good("client.address", "client.address", "[2001:db8::1]:40001")
	good("client.address, a Unix socket", "client.address", "/run/postgresql/.s.PGSQL.5432")
	good("reason", "reason", "case 4711")
	good("a name nobody knows, any value", "future.member", o("a", []any{true, nil}))
	bad := func(desc, j string) {
		cases = append(cases, o("desc", desc, "disclosure", b64u([]byte(j)), "json", bytesOf([]byte(j)), "wantErr", "disclosure_mismatch"))
	}
	arr := func(v ...any) string { return compact(v) }
	d := arr(salt, "sql", "SELECT 1")
	for _, c := range [][2]string{
		{"empty", ""}, {"not JSON", "SELECT 1"}, {"an object", compact(o("salt", salt, "name", "sql", "value", "x"))}, {"a string", `"x"`}, {"two elements", arr(salt, "SELECT 1")}, {"four elements", arr(salt, "sql", "SELECT 1", 1)}, {"no elements", "[]"},
		{"a salt of 15 bytes", arr(b64u(make([]byte, 15)), "sql", "x")}, {"a salt of 17 bytes", arr(b64u(make([]byte, 17)), "sql", "x")}, {"an empty salt", arr("", "sql", "x")}, {"a salt with padding", arr(salt+"==", "sql", "x")}, {"a salt that is not canonical: unused bits are set", arr(b64u(make([]byte, 16))[:21]+"B", "sql", "x")}, {"a salt with letters of base64, not base64url", arr("++++"+b64u(make([]byte, 16))[4:], "sql", "x")}, {"a salt that is a number", arr(1, "sql", "x")},
		{"a name that is a number", arr(salt, 1, "x")},
		{"white space", strings.Replace(d, ",", ", ", 1)}, {"a newline behind", d + "\n"}, {"a byte order mark", "\ufeff" + d}, {"an escape too many", strings.Replace(d, "SELECT", `\u0053ELECT`, 1)}, {"not UTF-8", strings.Replace(d, "SELECT", "\xff", 1)}, {"a member twice in the value", `["` + salt + `","sql",{"base64":"AA==","base64":"AA=="}]`},
		{"sql is a number", arr(salt, "sql", 1)}, {"sql is null", arr(salt, "sql", nil)}, {"sql: base64 that is not strict", arr(salt, "sql", o("base64", "AB=="))}, {"sql: base64 and another member", arr(salt, "sql", o("base64", "AA==", "x", 1))}, {"sql: a digest without bytes", arr(salt, "sql", o("sha256", hexOf(sum())))}, {"sql: a digest of minus one bytes", arr(salt, "sql", o("bytes", -1, "sha256", hexOf(sum())))}, {"params: a digest of 2^53 bytes", arr(salt, "params", o("bytes", 9007199254740992, "sha256", hexOf(sum())))}, {"params is a string", arr(salt, "params", "7")}, {"params has a number", arr(salt, "params", []any{7})}, {"params: base64 that is not strict", arr(salt, "params", []any{o("base64", "AA")})}, {"error is null", arr(salt, "error", nil)}, {"reason is a number", arr(salt, "reason", 1)}, {"client.address is an object", arr(salt, "client.address", o("host", "a"))},
		{"nested 65 deep", `["` + salt + `","future",` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + "]"},
	} {
		bad(c[0], c[1])
	}
	for _, c := range [][2]string{
		{"base64 with padding", b64([]byte(arr(salt, "sql", "SELECT 11")))}, {"a letter that is not base64url", "!" + b64u([]byte(d))[1:]}, {"white space in it", b64u([]byte(d)) + "\n"},
		{"not canonical: unused bits are set", loose(arr(salt, "sql", "SELECT 1"))},
	} {
		cases = append(cases, o("desc", c[0], "disclosure", c[1], "wantErr", "disclosure_mismatch"))
	}

	e := kinds()["statement"]
	sql := arr(salt, "sql", "SELECT 1")
	addr := arr(salt, "client.address", "192.0.2.1:5")
	entry := e.with("sql", sealedAs(sql, 8), "client", o("address", sealedAs(addr, 11)))
	match := func(desc string, m M, j string, ok bool) {
		c := o("desc", desc, "entry", compact(m), "disclosure", b64u([]byte(j)))
		if !ok {
			c = c.with("wantErr", "disclosure_mismatch")
		}
		matches = append(matches, c)
	}
	match("sql", entry, sql, true)
	match("client.address, an inner member", entry, addr, true)
	match("a member nobody knows that is sealed", entry.with("future", o("x", sealedAs(arr(salt, "future.x", 1), 1))), arr(salt, "future.x", 1), true)
	match("another value", entry, arr(salt, "sql", "SELECT 2"), false)
	match("another salt", entry, arr(b64u(make([]byte, 16)), "sql", "SELECT 1"), false)
	match("the digest stands in another member than the one named", entry.with("sql", sealedAs(addr, 11), "client", o("address", sealedAs(sql, 8))), sql, false)
	match("named error, the digest stands as sql", entry.with("sql", sealedAs(arr(salt, "error", "x"), 1)), arr(salt, "error", "x"), false)
	match("the member is in the clear", entry.with("sql", "SELECT 1"), sql, false)
	match("the member is in the clear and its text is the digest", entry.with("sql", digest(sql)), sql, false)
	match("the member is not there", entry.without("sql"), sql, false)
	match("named address, without the object it stands in", entry.with("client", o("address", sealedAs(arr(salt, "address", "x"), 1))), arr(salt, "address", "x"), false)
	match("a name that every object inherits", entry, arr(salt, "constructor.name", "x"), false)
	match("a name that goes on behind the sealed value", entry.with("sql", sealedAs(arr(salt, "sql.sealed", "x"), 1)), arr(salt, "sql.sealed", "x"), false)
	return o("cases", cases, "matches", matches)
}

// inRange says for a date that does not exist whether a pattern can see that: month and day are not out of range.
func inRange(date string) []bool {
	month, day := date[5:7], date[8:]
	if month >= "01" && month <= "12" && day >= "01" && day <= "31" {
		return []bool{true}
	}
	return nil
}

// loose sets unused bits in the last letter of a base64url text.
func loose(j string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	t := b64u([]byte(j))
	assert(len(t)%4 != 0, "%q has no unused bits", j)
	return t[:len(t)-1] + string(letters[strings.IndexByte(letters, t[len(t)-1])|1])
}
