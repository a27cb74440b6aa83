package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// M is a JSON object whose members keep their order.
type M []kv

type kv struct {
	k string
	v any
}

// o makes an object from names and values in turn.
func o(pairs ...any) M {
	m := M{}
	for i := 0; i < len(pairs); i += 2 {
		m = append(m, kv{pairs[i].(string), pairs[i+1]})
	}
	return m
}

// with returns a copy that has the members replaced, or added at the end.
func (m M) with(pairs ...any) M {
	r := append(M{}, m...)
next:
	for i := 0; i < len(pairs); i += 2 {
		for j := range r {
			if r[j].k == pairs[i].(string) {
				r[j].v = pairs[i+1]
				continue next
			}
		}
		r = append(r, kv{pairs[i].(string), pairs[i+1]})
	}
	return r
}

// without returns a copy that lacks the members.
func (m M) without(names ...string) M {
	r := M{}
next:
	for _, e := range m {
		for _, n := range names {
			if e.k == n {
				continue next
			}
		}
		r = append(r, e)
	}
	return r
}

func (m M) get(name string) any {
	for _, e := range m {
		if e.k == name {
			return e.v
		}
	}
	return nil
}

// compact writes a value in the compact form of entry.md.
func compact(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case int:
		return strconv.Itoa(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case string:
		return quote(v)
	case raw:
		return string(v)
	case M:
		parts := []string{}
		for _, e := range v {
			parts = append(parts, quote(e.k)+":"+compact(e.v))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case []any:
		return list(v)
	case []string:
		return list(v)
	case []M:
		return list(v)
	case [][]byte:
		parts := []any{}
		for _, h := range v {
			parts = append(parts, hex.EncodeToString(h))
		}
		return list(parts)
	}
	panic(fmt.Sprintf("no JSON for %T", v))
}

// raw is JSON text that stands as it is.
type raw string

func list[T any](v []T) string {
	parts := []string{}
	for _, e := range v {
		parts = append(parts, compact(e))
	}
	return "[" + strings.Join(parts, ",") + "]"
}

func quote(s string) string {
	if !utf8.ValidString(s) {
		panic("not UTF-8: " + strconv.Quote(s))
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\f':
			b.WriteString(`\f`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < 0x20:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// file lays out a vector file: each element of a list on a line of its own.
func file(m M) []byte {
	var b bytes.Buffer
	b.WriteString("{")
	for i, e := range m {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString("\n" + quote(e.k) + ": ")
		switch v := e.v.(type) {
		case []M:
			lines(&b, v)
		case []string:
			lines(&b, v)
		default:
			b.WriteString(compact(v))
		}
	}
	b.WriteString("\n}\n")
	if !json.Valid(b.Bytes()) {
		panic("not JSON")
	}
	return b.Bytes()
}

func lines[T any](b *bytes.Buffer, v []T) {
	b.WriteString("[")
	for i, e := range v {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString("\n  " + compact(e))
	}
	b.WriteString("\n]")
}

// bytesOf is the "bytes" value of README.md for b: text where it can be read as such.
func bytesOf(b []byte) any {
	if utf8.Valid(b) && !bytes.ContainsFunc(b, func(r rune) bool { return r < 0x20 && r != '\n' || r == 0xfeff || r == 0x7f }) {
		return string(b)
	}
	return o("base64", base64.StdEncoding.EncodeToString(b))
}

func b64(b []byte) string   { return base64.StdEncoding.EncodeToString(b) }
func b64u(b []byte) string  { return base64.RawURLEncoding.EncodeToString(b) }
func hexOf(b []byte) string { return hex.EncodeToString(b) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func assert(ok bool, format string, args ...any) {
	if !ok {
		panic(fmt.Sprintf(format, args...))
	}
}
