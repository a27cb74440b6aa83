package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// reject is what golang.org/x/mod says of a note, in our codes; "" is accepted.
func reject(msg string, vkeys []string) string {
	list := []note.Verifier{}
	for _, v := range vkeys {
		list = append(list, must(note.NewVerifier(v)))
	}
	_, err := note.Open([]byte(msg), note.VerifierList(list...))
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &unverified):
		return "signature_missing"
	case errors.As(err, &invalid):
		return "signature_invalid"
	}
	return "note_malformed"
}

// lax marks cases in which golang.org/x/mod accepts what the C2SP text, or the stricter page, does not.
const lax = "lax"

func noteVectors() M {
	cases := []M{}
	a, b, c := testKey("signer.example/a"), testKey("signer.example/b"), testKey("signer.example/c")
	text := "first line\nsecond line\n"
	add := func(desc, msg string, vkeys []*key, wantErr string, how ...string) {
		list := []string{}
		for _, k := range vkeys {
			list = append(list, k.vkey)
		}
		if len(how) == 0 {
			assert(reject(msg, list) == wantErr, "note %q: x/mod says %q", desc, reject(msg, list))
		}
		m := o("desc", desc, "note", shorten(msg), "vkeys", list)
		if wantErr != "" {
			cases = append(cases, m.with("wantErr", wantErr))
			return
		}
		verified := []string{}
		for _, k := range vkeys {
			if strings.Contains(msg, k.line(msg[:strings.LastIndex(msg, "\n\n")+1])) {
				verified = append(verified, k.vkey)
			}
		}
		cases = append(cases, m.with("text", shorten(msg[:strings.LastIndex(msg, "\n\n")+1]), "verified", verified))
	}
	ok := a.note(text)
	sigA, sigB := a.line(text), b.line(text)
	A := []*key{a}
	add("one signature", ok, A, "")
	add("two signatures, both known", ok+sigB, []*key{a, b}, "")
	add("two signatures, the other order of keys", ok+sigB, []*key{b, a}, "")
	add("a signature by an unknown key is ignored", text+"\n"+sigB+sigA, A, "")
	add("the same line twice counts once", ok+sigA, A, "")
	add("a key of the same name and another id is ignored", text+"\n"+line(a.name, append([]byte{1, 2, 3, 4}, a.rawSign(text)...))+sigA, A, "")
	add("a key of the same id and another name is ignored", text+"\n"+line(b.name, append(slices.Clone(a.id), a.rawSign(text)...))+sigA, A, "")
	cosig := append(keyID(a.name, 4, a.pub), append([]byte{0, 0, 0, 0, 0x69, 0x22, 0x33, 0x44}, a.rawSign("cosignature/v1\ntime 1763849028\n"+text)...)...)
	add("a cosignature (type 0x04) by the same key has another id and is ignored", ok+line(a.name, cosig), A, "")
	add("a signature of 5 bytes by an unknown key is ignored", ok+line("x", []byte{1, 2, 3, 4, 5}), A, "")
	add("a long post-quantum signature by an unknown key is ignored", ok+line("pq.example", append([]byte{9, 9, 9, 9}, make([]byte, 2420)...)), A, "")
	t2 := "before\n\nbehind the empty line\n\n\nend\n"
	add("empty lines inside the text", a.note(t2), A, "")
	t3 := ok
	add("a text that is itself a note: split at the last empty line", a.note(t3), A, "")
	add("the text is one newline", a.note("\n"), A, "")
	add("text beyond ASCII, and U+007F, U+0085 and U+FEFF in it", a.note("ü 漢字 🙂 \u007f \u0085 \ufeff\n"), A, "")
	many := text + "\n"
	for i := range 99 {
		k := testKey(fmt.Sprintf("u%d", i))
		many += line(k.name, []byte{0, 0, 0, byte(i), 1})
	}
	add("100 signatures", many+sigA, A, "")
	add("101 signatures", many+line("u99", []byte{0, 0, 0, 99, 1})+sigA, A, "note_malformed")
	name := keyFrom("schlüssel.example/\u200b\ufeff", a.seed)
	add("a key name with U+200B and U+FEFF, which are no white space", name.note(text), []*key{name}, "")
	pad := 65536 - len(a.note("\n"))
	add("65,536 bytes", a.note(strings.Repeat("a", pad)+"\n"), A, "")
	add("65,537 bytes", a.note(strings.Repeat("a", pad+1)+"\n"), A, "note_malformed", lax)

	add("only an unknown key has signed", b.note(text), A, "signature_missing")
	add("no key is known", ok, nil, "signature_missing")
	add("only a cosignature by the same key", text+"\n"+line(a.name, cosig), A, "signature_missing")
	wrong := append(slices.Clone(a.id), flipBit(a.rawSign(text))...)
	add("the signature is changed", text+"\n"+line(a.name, wrong), A, "signature_invalid")
	add("the text is changed", "First line\nsecond line\n\n"+sigA, A, "signature_invalid")
	add("the text lost its last line", "first line\n\n"+sigA, A, "signature_invalid")
	add("an empty line more at the end of the text", text+"\n\n"+sigA, A, "signature_invalid")
	add("the signature covers the empty line too", text+"\n"+line(a.name, append(slices.Clone(a.id), a.rawSign(text+"\n")...)), A, "signature_invalid")
	add("the signature covers the text without its newline", text+"\n"+line(a.name, append(slices.Clone(a.id), a.rawSign(strings.TrimSuffix(text, "\n"))...)), A, "signature_invalid")
	add("one known key's signature is good, another's is wrong", text+"\n"+sigA+line(b.name, append(slices.Clone(b.id), b.rawSign("x\n")...)), []*key{a, b}, "signature_invalid")
	add("a good line of a key, then a wrong one of the same", ok+line(a.name, wrong), A, "signature_invalid", lax)
	add("a wrong line of a key, then a good one of the same", text+"\n"+line(a.name, wrong)+sigA, A, "signature_invalid")
	add("signed by another key under this name and id", text+"\n"+line(a.name, append(slices.Clone(a.id), c.rawSign(text)...)), A, "signature_invalid")
	add("a signature of 63 bytes by a known key", text+"\n"+line(a.name, append(slices.Clone(a.id), a.rawSign(text)[:63]...)), A, "signature_invalid")
	add("a signature of 65 bytes by a known key", text+"\n"+line(a.name, append(append(slices.Clone(a.id), a.rawSign(text)...), 0)), A, "signature_invalid")
	add("S is not below the group order: S + L", text+"\n"+line(a.name, append(slices.Clone(a.id), addOrder(a.rawSign(text))...)), A, "signature_invalid")
	add("the signature is all zero", text+"\n"+line(a.name, append(slices.Clone(a.id), make([]byte, 64)...)), A, "signature_invalid")

	s64 := strings.TrimSuffix(strings.Split(sigA, " ")[2], "\n")
	for _, n := range []struct{ desc, msg string }{
		{"empty", ""},
		{"only a newline", "\n"},
		{"text without signatures", text},
		{"an empty line and no signatures", text + "\n"},
		{"no empty line between text and signature", text + sigA},
		{"no text", "\n" + sigA},
		{"the last newline is missing", strings.TrimSuffix(ok, "\n")},
		{"a newline too many at the end", ok + "\n"},
		{"text behind the signatures", ok + "more\n"},
		{"an empty line between signatures, the last one", ok + "\n" + "no signature\n"},
		{"CR LF", strings.ReplaceAll(ok, "\n", "\r\n")},
		{"CR LF behind the signature only", strings.TrimSuffix(ok, "\n") + "\r\n"},
		{"a tab in the text", a.note("a\tb\n")},
		{"U+0000 in the text", a.note("a\x00b\n")},
		{"U+001F in the text", a.note("a\x1fb\n")},
		{"a hyphen for the dash", strings.Replace(ok, "— ", "- ", 1)},
		{"an en dash for the dash", strings.Replace(ok, "— ", "– ", 1)},
		{"no space behind the dash", strings.Replace(ok, "— ", "—", 1)},
		{"a no-break space behind the dash", strings.Replace(ok, "— ", "—\u00a0", 1)},
		{"two spaces behind the dash", strings.Replace(ok, "— ", "—  ", 1)},
		{"two spaces before the base64", text + "\n— " + a.name + "  " + s64 + "\n"},
		{"a space behind the base64", text + "\n— " + a.name + " " + s64 + " \n"},
		{"no name", text + "\n— " + s64 + "\n"},
		{"an empty name", text + "\n—  " + s64 + "\n"},
		{"no base64", text + "\n— " + a.name + "\n"},
		{"empty base64", text + "\n— " + a.name + " \n"},
		{"a plus in the name of an unknown key", ok + "— x+y " + s64 + "\n"},
		{"U+0085, white space, in the name of an unknown key", ok + "— x\u0085y " + s64 + "\n"},
		{"U+3000, white space, in the name of an unknown key", ok + "— x\u3000y " + s64 + "\n"},
		{"base64 of 4 bytes: a key id and no signature", ok + line("x", []byte{1, 2, 3, 4})},
		{"base64 without padding", text + "\n— " + a.name + " " + strings.TrimRight(s64, "=") + "\n"},
		{"base64 with padding too many", text + "\n— " + a.name + " " + s64 + "=\n"},
		{"base64url letters", text + "\n— " + a.name + " " + "-_-_" + s64 + "\n"},
		{"a letter that is not base64", text + "\n— " + a.name + " " + "!" + s64[1:] + "\n"},
		{"bad base64 on the line of an unknown key", ok + "— unknown.example abc\n"},
	} {
		add(n.desc, n.msg, A, "note_malformed")
	}
	assert(strings.HasSuffix(s64, "="), "68 bytes end in one =")
	loose := s64[:len(s64)-2] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", s64[len(s64)-2])|1]) + "="
	add("base64 that is not canonical: unused bits are set", text+"\n— "+a.name+" "+loose+"\n", A, "note_malformed", lax)
	for _, n := range []struct{ desc, msg string }{
		{"not UTF-8 in the text: a lone 0xFF", a.note("a\xffb\n")},
		{"not UTF-8: a surrogate, ED A0 80", a.note("a\xed\xa0\x80b\n")},
		{"not UTF-8: an overlong slash, C0 AF", a.note("a\xc0\xafb\n")},
		{"not UTF-8 in the name of an unknown key", ok + "— x\xff " + s64 + "\n"},
		{"UTF-16", "\xfe\xff\x00a\x00\n"},
	} {
		add(n.desc, n.msg, A, "note_malformed")
	}
	return o("cases", cases)
}

// shorten writes a long run of the letter a at the beginning as a repetition.
func shorten(msg string) any {
	rest := strings.TrimLeft(msg, "a")
	if len(msg)-len(rest) < 1000 {
		return bytesOf([]byte(msg))
	}
	return []any{o("repeat", "a", "times", len(msg)-len(rest)), rest}
}

// addOrder adds the order of Ed25519's group to S: the same scalar, in a spelling that RFC 8032 forbids.
func addOrder(sig []byte) []byte {
	l, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := slices.Clone(sig[32:])
	slices.Reverse(s)
	n := new(big.Int).Add(new(big.Int).SetBytes(s), l).FillBytes(make([]byte, 32))
	slices.Reverse(n)
	return append(slices.Clone(sig[:32]), n...)
}

func vkeyVectors() M {
	cases := []M{}
	good := func(desc string, k *key) {
		cases = append(cases, o("desc", desc, "vkey", k.vkey, "name", k.name, "keyId", hexOf(k.id), "publicKey", hexOf(k.pub)))
	}
	bad := func(desc, vkey string, how ...string) {
		_, err := note.NewVerifier(vkey)
		assert(err != nil || len(how) > 0, "x/mod takes the key of %q", desc)
		cases = append(cases, o("desc", desc, "vkey", vkey, "wantErr", "usage"))
	}
	a := testKey("signer.example/a")
	good("a key", a)
	good("a log's key", logKey)
	good("the shortest name", testKey("x"))
	good("a name beyond ASCII", testKey("schlüssel.example/漢字"))
	good("a name with U+200B and U+FEFF, which are no white space", testKey("x\u200b\ufeff"))
	plus := 0
	for ; !strings.Contains(b64(append([]byte{1}, testKey(fmt.Sprintf("plus%d.example", plus)).pub...)), "+"); plus++ {
	}
	good("base64 with a plus in it: cut at the first two only", testKey(fmt.Sprintf("plus%d.example", plus)))
	foo := "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
	must(note.NewVerifier(foo))
	cases = append(cases, o("desc", "the example of C2SP signed-note", "vkey", foo, "name", "example.com/foo", "keyId", "530d903a",
		"publicKey", hexOf(must(decode64("AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"))[1:])))
	id, key64 := hexOf(a.id), b64(append([]byte{1}, a.pub...))
	assert(strings.ToUpper(id) != id, "an id with a letter")
	bad("empty", "")
	bad("no plus", "name")
	bad("one plus", "name+"+id)
	bad("no name", vkeyText("", keyID("", 1, a.pub), append([]byte{1}, a.pub...)))
	bad("a space in the name", vkeyText("a b", keyID("a b", 1, a.pub), append([]byte{1}, a.pub...)))
	bad("U+00A0 in the name", vkeyText("a\u00a0b", keyID("a\u00a0b", 1, a.pub), append([]byte{1}, a.pub...)))
	bad("U+0085 in the name", vkeyText("a\u0085b", keyID("a\u0085b", 1, a.pub), append([]byte{1}, a.pub...)))
	bad("U+2028 in the name", vkeyText("a\u2028b", keyID("a\u2028b", 1, a.pub), append([]byte{1}, a.pub...)))
	bad("a newline in the name", vkeyText("a\nb", keyID("a\nb", 1, a.pub), append([]byte{1}, a.pub...)))
	bad("U+0001 in the name", vkeyText("a\x01b", keyID("a\x01b", 1, a.pub), append([]byte{1}, a.pub...)), lax)
	bad("another key's id", a.name+"+"+hexOf(logKey.id)+"+"+key64)
	bad("the name changed", "signer.example/b+"+id+"+"+key64)
	bad("the id in upper case", a.name+"+"+strings.ToUpper(id)+"+"+key64, lax)
	bad("the id has 7 digits", a.name+"+"+id[1:]+"+"+key64)
	bad("the id has 9 digits", a.name+"+0"+id+"+"+key64)
	bad("the id is not hex", a.name+"+zzzzzzzz+"+key64)
	bad("a newline behind the key", a.vkey+"\n", lax)
	bad("a space behind the key", a.vkey+" ")
	bad("base64 without its padding", vkeyText(a.name, keyID(a.name, 1, a.pub[:30]), append([]byte{1}, a.pub[:30]...)))
	bad("a public key of 31 bytes", vkeyText(a.name, keyID(a.name, 1, a.pub[:31]), append([]byte{1}, a.pub[:31]...)))
	bad("a public key of 33 bytes", vkeyText(a.name, keyID(a.name, 1, append(slices.Clone(a.pub), 0)), append(append([]byte{1}, a.pub...), 0)))
	bad("type 0x02", vkeyText(a.name, keyID(a.name, 2, a.pub), append([]byte{2}, a.pub...)))
	bad("type 0x04, a cosignature key", vkeyText(a.name, keyID(a.name, 4, a.pub), append([]byte{4}, a.pub...)))
	bad("no type byte", vkeyText(a.name, sum([]byte(a.name+"\n"), a.pub)[:4], a.pub))
	bad("base64url letters", a.name+"+"+id+"+"+strings.NewReplacer("A", "-", "a", "_").Replace(key64))
	bad("a signing key", a.skey())

	keys := []M{}
	signing := func(desc, file string) {
		keys = append(keys, o("desc", desc, "file", file, "name", a.name, "seed", hexOf(a.seed), "vkey", a.vkey))
	}
	signing("a signing key", a.skey()+"\n")
	signing("without a newline", a.skey())
	for _, c := range [][2]string{
		{"empty", ""},
		{"a verifier key", a.vkey + "\n"},
		{"another prefix", strings.Replace(a.skey(), "PRIVATE", "SECRET", 1) + "\n"},
		{"the key id of another key", strings.Replace(a.skey(), id, hexOf(logKey.id), 1) + "\n"},
		{"another seed: the key id is not its own", strings.Replace(a.skey(), b64(append([]byte{1}, a.seed...)), b64(append([]byte{1}, logKey.seed...)), 1) + "\n"},
		{"a seed of 31 bytes", strings.Replace(a.skey(), b64(append([]byte{1}, a.seed...)), b64(append([]byte{1}, a.seed[:31]...)), 1) + "\n"},
		{"type 0x04", strings.Replace(a.skey(), b64(append([]byte{1}, a.seed...)), b64(append([]byte{4}, a.seed...)), 1) + "\n"},
		{"two lines", a.skey() + "\n" + a.skey() + "\n"},
		{"CR LF", a.skey() + "\r\n"},
		{"a space in front", " " + a.skey() + "\n"},
	} {
		keys = append(keys, o("desc", c[0], "file", c[1], "wantErr", "bad_key"))
	}
	return o("cases", cases, "signingKeys", keys)
}

func checkpointVectors() M {
	cases := []M{}
	t := numbered(300)
	root := t.root(300)
	good := func(desc, text string, size int64, root []byte, more string) {
		msg := logKey.note(text) + more
		assert(reject(msg, []string{logKey.vkey}) == "", "checkpoint %q", desc)
		cases = append(cases, o("desc", desc, "note", msg, "vkey", logKey.vkey, "origin", origin, "size", size, "root", hexOf(root)))
	}
	bad := func(desc, msg, vkey, wantErr string) {
		cases = append(cases, o("desc", desc, "note", bytesOf([]byte(msg)), "vkey", vkey, "wantErr", wantErr))
	}
	text := checkpointText(origin, 300, root)
	good("size 300", text, 300, root, "")
	good("size 0", checkpointText(origin, 0, sum()), 0, sum(), "")
	good("size 1", checkpointText(origin, 1, t.root(1)), 1, t.root(1), "")
	good("size 2^32 + 5", checkpointText(origin, 1<<32+5, root), 1<<32+5, root, "")
	good("size 2^53 − 1", checkpointText(origin, maxSize, root), maxSize, root, "")
	good("extension lines are ignored", text+"extension\nanother one\n", 300, root, "")
	good("a witness has signed too", text, 300, root, testKey("witness.example/w").line(text))
	for _, c := range [][2]string{
		{"no root", origin + "\n300\n"},
		{"one line", origin + "\n"},
		{"origin empty", "\n300\n" + b64(root) + "\n"},
		{"size empty", origin + "\n\n" + b64(root) + "\n"},
		{"root empty", origin + "\n300\n\n"},
		{"size with a leading zero", origin + "\n0300\n" + b64(root) + "\n"},
		{"size with a sign", origin + "\n+300\n" + b64(root) + "\n"},
		{"size negative", origin + "\n-300\n" + b64(root) + "\n"},
		{"size in hex", origin + "\n0x12c\n" + b64(root) + "\n"},
		{"size with an exponent", origin + "\n3e2\n" + b64(root) + "\n"},
		{"size with a fraction", origin + "\n300.0\n" + b64(root) + "\n"},
		{"a space before the size", origin + "\n 300\n" + b64(root) + "\n"},
		{"a space behind the size", origin + "\n300 \n" + b64(root) + "\n"},
		{"digits that are not ASCII", origin + "\n３００\n" + b64(root) + "\n"},
		{"size 00", origin + "\n00\n" + b64(sum()) + "\n"},
		{"size 2^53", checkpointText(origin, 1<<53, root)},
		{"size 2^53 + 1, which a double cannot hold", checkpointText(origin, 1<<53+1, root)},
		{"size 2^64", origin + "\n18446744073709551616\n" + b64(root) + "\n"},
		{"a root of 31 bytes", checkpointText(origin, 300, root[:31])},
		{"a root of 33 bytes", checkpointText(origin, 300, append(slices.Clone(root), 0))},
		{"the root in hex", origin + "\n300\n" + hexOf(root) + "\n"},
		{"the root without padding", origin + "\n300\n" + strings.TrimRight(b64(root), "=") + "\n"},
		{"the root in base64url", origin + "\n300\n" + strings.NewReplacer("+", "-", "/", "_").Replace(b64(t.root(260))) + "\n"},
		{"the root not canonical: unused bits are set", origin + "\n300\n" + b64(root)[:42] + string(b64(root)[42]+1) + "=\n"},
		{"a space behind the root", origin + "\n300\n" + b64(root) + " \n"},
		{"an empty extension line", text + "\nextension\n"},
		{"an empty line behind the root", text + "\n"},
		{"size 0 with the root of another tree", checkpointText(origin, 0, root)},
		{"size 0 with 32 zero bytes", checkpointText(origin, 0, make([]byte, 32))},
		{"the lines swapped", "300\n" + origin + "\n" + b64(root) + "\n"},
	} {
		bad(c[0], logKey.note(c[1]), logKey.vkey, "checkpoint_malformed")
	}
	assert(strings.ContainsAny(b64(t.root(260)), "+/"), "a root with + or /")
	assert(strings.IndexByte("AEIMQUYcgkosw048", b64(root)[42]) >= 0 && b64(root)[42] != 'Z', "the last letter of a root has two unused bits")
	other := testKey("other.example/log")
	bad("another log's checkpoint", other.note(checkpointText(other.name, 300, root)), logKey.vkey, "origin_mismatch")
	bad("another origin, signed by the given key", logKey.note(checkpointText(other.name, 300, root)), logKey.vkey, "origin_mismatch")
	bad("the origin in upper case", logKey.note(checkpointText(strings.ToUpper(origin), 300, root)), logKey.vkey, "origin_mismatch")
	bad("the origin with a slash more", logKey.note(checkpointText(origin+"/", 300, root)), logKey.vkey, "origin_mismatch")
	bad("signed by another key only", other.note(text), logKey.vkey, "signature_missing")
	same := keyFrom(origin, sum([]byte("another seed")))
	bad("signed by a key of the same name with another id", same.note(text), logKey.vkey, "signature_missing")
	bad("the right key's signature over another size", checkpointText(origin, 301, root)+"\n"+logKey.line(text), logKey.vkey, "signature_invalid")
	bad("the right key's signature over another root", checkpointText(origin, 300, flipBit(root))+"\n"+logKey.line(text), logKey.vkey, "signature_invalid")
	bad("an extension line added behind the signature's back", text+"extension\n\n"+logKey.line(text), logKey.vkey, "signature_invalid")
	blob := append(slices.Clone(logKey.id), ed25519.Sign(ed25519.NewKeyFromSeed(same.seed), []byte(text))...)
	bad("another key's signature under the right name and id", text+"\n"+line(origin, blob), logKey.vkey, "signature_invalid")
	bad("no signature", text+"\n", logKey.vkey, "note_malformed")
	bad("the checkpoint's text alone", text, logKey.vkey, "note_malformed")
	bad("an error page", "<!doctype html>\n<title>502 Bad Gateway</title>\n", logKey.vkey, "note_malformed")

	kept := []M{}
	fork := numbered(300)
	fork.leaves[100] = leafHash([]byte("another entry"))
	keep := func(desc string, from *tree, size1 int64, to *tree, size2 int64, p [][]byte, wantErr string) {
		m := o("desc", desc, "vkey", logKey.vkey, "kept", checkpoint(size1, from.root(size1)), "new", checkpoint(size2, to.root(size2)), "proof", p)
		if size1 < size2 {
			assert(checkConsistency(p, size1, from.root(size1), size2, to.root(size2)) == (wantErr == ""), "kept %q", desc)
		}
		if wantErr != "" {
			m = m.with("wantErr", wantErr)
		}
		kept = append(kept, m)
	}
	keep("grown", t, 200, t, 300, t.consistency(200, 300), "")
	keep("unchanged", t, 300, t, 300, [][]byte{}, "")
	keep("grown from empty", t, 0, t, 300, [][]byte{}, "")
	keep("forked behind the kept size: no contradiction yet", fork, 100, t, 300, t.consistency(100, 300), "")
	keep("smaller", t, 300, t, 299, [][]byte{}, "rolled_back")
	keep("back to empty", t, 300, t, 0, [][]byte{}, "rolled_back")
	keep("smaller, of another tree", t, 300, fork, 200, [][]byte{}, "rolled_back")
	keep("the same size, another root", t, 300, fork, 300, [][]byte{}, "split_view")
	keep("grown from another tree", t, 200, fork, 300, fork.consistency(200, 300), "inconsistent")
	keep("grown from another tree, its old proof shown", fork, 200, t, 300, fork.consistency(200, 300), "inconsistent")
	return o("cases", cases, "kept", kept)
}
