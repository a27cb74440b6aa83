package main

import (
	"fmt"
	"slices"
	"strings"
)

func tlogProof(index int64, hashes [][]byte, checkpoint string) string {
	s := fmt.Sprintf("c2sp.org/tlog-proof@v1\nindex %d\n", index)
	for _, h := range hashes {
		s += b64(h) + "\n"
	}
	return s + "\n" + checkpoint
}

func tlogProofVectors() M {
	cases := []M{}
	l := theLog()
	size := int64(len(l.entries))
	cp := checkpoint(size, l.tree.root(size))
	good := func(desc, proof string, index int64, hashes [][]byte, checkpoint string) {
		cases = append(cases, o("desc", desc, "proof", proof, "index", index, "hashes", hashes, "checkpoint", checkpoint))
	}
	p7 := l.tree.inclusion(7, size)
	p := tlogProof(7, p7, cp)
	good("a proof", p, 7, p7, cp)
	good("index 0", tlogProof(0, l.tree.inclusion(0, size), cp), 0, l.tree.inclusion(0, size), cp)
	one := checkpoint(1, l.tree.root(1))
	good("a tree of one entry: no hashes", tlogProof(0, nil, one), 0, [][]byte{}, one)
	good("an extra line", strings.Replace(p, "index", "extra AAEC\nindex", 1), 7, p7, cp)
	witnessed := cp + testKey("witness.example/w").line(checkpointText(origin, size, l.tree.root(size)))
	good("a checkpoint with a witness's line", tlogProof(7, p7, witnessed), 7, p7, witnessed)
	extended := logKey.note(checkpointText(origin, size, l.tree.root(size)) + "extension\n")
	good("a checkpoint with an extension line", tlogProof(7, p7, extended), 7, p7, extended)
	good("a checkpoint that is none is not looked at here", tlogProof(7, p7, "x\n"), 7, p7, "x\n")
	good("index 2^53 − 1", tlogProof(maxSize, p7, cp), maxSize, p7, cp)
	bad := func(desc, proof string) {
		assert(proof != p, "proof %q is the good one", desc)
		cases = append(cases, o("desc", desc, "proof", bytesOf([]byte(proof)), "wantErr", "bundle_malformed"))
	}
	rep := func(from, to string) string {
		assert(strings.Count(p, from) >= 1, "%q in the proof", from)
		return strings.Replace(p, from, to, 1)
	}
	h0 := b64(p7[0])
	bad("empty", "")
	bad("the first line alone", "c2sp.org/tlog-proof@v1\n")
	bad("version 2", rep("@v1", "@v2"))
	bad("an empty line in front", "\n"+p)
	bad("a space behind the first line", rep("@v1\n", "@v1 \n"))
	bad("CR LF", strings.ReplaceAll(p, "\n", "\r\n"))
	bad("a byte order mark", "\ufeff"+p)
	bad("no index", rep("index 7\n", ""))
	bad("index empty", rep("index 7", "index "))
	bad("index without its number", rep("index 7", "index"))
	bad("two spaces before the index", rep("index 7", "index  7"))
	bad("index with a leading zero", rep("index 7", "index 07"))
	bad("index negative", rep("index 7", "index -7"))
	bad("index with a plus", rep("index 7", "index +7"))
	bad("index in hex", rep("index 7", "index 0x7"))
	bad("index 2^53", rep("index 7", "index 9007199254740992"))
	bad("index in upper case", rep("index 7", "Index 7"))
	bad("a space behind the index", rep("index 7", "index 7 "))
	bad("index twice", rep("index 7", "index 7\nindex 7"))
	bad("extra behind index", rep("index 7\n", "index 7\nextra AAEC\n"))
	bad("extra twice", rep("index", "extra AAEC\nextra AAEC\nindex"))
	bad("extra that is not base64", rep("index", "extra !\nindex"))
	bad("extra without padding", rep("index", "extra AAE\nindex"))
	bad("extra without data", rep("index", "extra\nindex"))
	bad("a hash of 31 bytes", rep(h0, b64(p7[0][:31])))
	bad("a hash of 33 bytes", rep(h0, b64(append(slices.Clone(p7[0]), 0))))
	bad("a hash without padding", rep(h0, strings.TrimRight(h0, "=")))
	bad("a hash in hex", rep(h0, hexOf(p7[0])))
	bad("a hash in base64url", rep(h0, "-_"+h0[2:]))
	bad("a hash that is not canonical: unused bits are set", rep(h0, h0[:42]+string(h0[42]+1)+"="))
	bad("a space behind a hash", rep(h0, h0+" "))
	bad("two hashes on a line", rep(h0+"\n", h0))
	bad("65 hashes", rep(h0+"\n", strings.Repeat(h0+"\n", 65-len(p7)+1)))
	bad("no empty line", rep("\n\n"+origin, "\n"+origin))
	bad("no checkpoint", p[:strings.Index(p, "\n\n")+1])
	bad("the empty line and no checkpoint", p[:strings.Index(p, "\n\n")+2])
	bad("an empty line among the hashes", rep(h0+"\n", h0+"\n\n"))
	assert(strings.IndexByte("AEIMQUYcgkosw048", h0[42]) >= 0, "unused bits")
	return o("cases", cases)
}

func evidence(entry, proof string, disclosures ...string) M {
	list := []string{}
	for _, d := range disclosures {
		list = append(list, b64u([]byte(d)))
	}
	return o("format", "vitrine/evidence/v1", "entry", entry, "proof", proof, "disclosures", list)
}

func bundleVectors() M {
	cases := []M{}
	l := theLog()
	size := int64(len(l.entries))
	cp := checkpoint(size, l.tree.root(size))
	proof := func(i int64) string { return tlogProof(i, l.tree.inclusion(i, size), cp) }
	goodText := func(desc, file string, i int64, t *tree, disclosed M) {
		cases = append(cases, o("desc", desc, "bundle", file, "index", i, "leafHash", hexOf(t.leaf(i)), "disclosed", disclosed))
	}
	good := func(desc string, m M, i int64, t *tree, disclosed M) {
		goodText(desc, compact(m)+"\n", i, t, disclosed)
	}
	st := -1
	for i := 30; st < 0; i++ {
		if strings.Contains(l.entries[i], `"outcome":"failed"`) {
			st = i
		}
	}
	i := int64(st)
	entry, ds, address := l.entries[i], l.disclosures[i], l.addresses[st]
	value := func(d string) any { return raw(strings.TrimSuffix(strings.SplitN(d, ",", 3)[2], "]")) }
	all := o("sql", value(ds[0]), "error", value(ds[1]), "client.address", value(address))
	plain := evidence(entry, proof(i))
	good("a statement without disclosures", plain, i, l.tree, o())
	good("with its text", evidence(entry, proof(i), ds[0]), i, l.tree, o("sql", all.get("sql")))
	good("with everything; the address was disclosed once for the session", evidence(entry, proof(i), ds[0], ds[1], address), i, l.tree, all)
	good("a disclosure twice", evidence(entry, proof(i), ds[0], ds[0]), i, l.tree, o("sql", all.get("sql")))
	good("the first entry", evidence(l.entries[0], proof(0)), 0, l.tree, o())
	good("the last entry", evidence(l.entries[size-1], proof(size-1)), size-1, l.tree, o())
	good("members in another order", o("proof", proof(i), "disclosures", []string{}, "format", "vitrine/evidence/v1", "entry", entry), i, l.tree, o())
	good("a member nobody knows is ignored", plain.with("note", "hello"), i, l.tree, o())
	goodText("indented", "{\n  \"format\": \"vitrine/evidence/v1\",\n  \"entry\": "+quote(entry)+",\n  \"proof\": "+quote(proof(i))+",\n  \"disclosures\": []\n}\n", i, l.tree, o())
	good("an extra line and a witness in the proof", evidence(entry, strings.Replace(proof(i), "index", "extra AAEC\nindex", 1)+testKey("witness.example/w").line(checkpointText(origin, size, l.tree.root(size)))), i, l.tree, o())
	alone := treeOf(l.entries[:1])
	good("a log of one entry", evidence(l.entries[0], tlogProof(0, nil, checkpoint(1, alone.root(1)))), 0, alone, o())
	odd := strings.Replace(l.entries[i], `"database":"shop"`, `"database":"ü🙂\u2028\u0001\"\\ \ud800"`, 1)
	odd = strings.Replace(odd, `\u2028`, "\u2028", 1)
	oddTree := treeOf([]string{odd, "x"})
	good("an entry with escapes of its own, a lone surrogate among them: the string holds the escapes", evidence(odd, tlogProof(0, oddTree.inclusion(0, 2), checkpoint(2, oddTree.root(2)))), 0, oddTree, o())

	bad := func(code, desc string, file string) {
		cases = append(cases, o("desc", desc, "bundle", bytesOf([]byte(file)), "wantErr", code))
	}
	b1 := func(desc, file string) { bad("bundle_malformed", "B1: "+desc, file) }
	b1("empty", "")
	b1("not JSON", "vitrine")
	b1("cut off", compact(plain)[:1000])
	b1("an array", "["+compact(plain)+"]")
	b1("null", "null")
	b1("two objects", compact(plain)+compact(plain))
	b1("a byte order mark", "\ufeff"+compact(plain))
	b1("not UTF-8", strings.Replace(compact(plain), "vitrine/evidence", "vitrine/\xff", 1))
	b1("another format", compact(plain.with("format", "vitrine/evidence/v2")))
	b1("the bare proof", proof(i))
	for _, n := range []string{"format", "entry", "proof", "disclosures"} {
		b1("without "+n, compact(plain.without(n)))
		b1(n+" is null", compact(plain.with(n, nil)))
	}
	b1("entry is an object", compact(plain.with("entry", raw(entry))))
	b1("proof is an object", compact(plain.with("proof", o("index", i))))
	b1("disclosures is a string", compact(plain.with("disclosures", b64u([]byte(ds[0])))))
	b1("a disclosure is an array", compact(plain.with("disclosures", []any{[]any{"a", "sql", "b"}})))
	b1("a lone surrogate in entry, escaped in the file", compact(plain.with("entry", raw(quote(entry)[:20]+`\ud800`+quote(entry)[20:]))))
	b1("the proof has no index", compact(plain.with("proof", strings.Replace(proof(i), fmt.Sprintf("index %d\n", i), "", 1))))
	b1("a hash of the proof has 31 bytes", compact(plain.with("proof", strings.Replace(proof(i), b64(l.tree.inclusion(i, size)[0]), b64(make([]byte, 31)), 1))))

	withCheckpoint := func(c string) string { return compact(plain.with("proof", tlogProof(i, l.tree.inclusion(i, size), c))) }
	cpText := checkpointText(origin, size, l.tree.root(size))
	bad("note_malformed", "C1: the checkpoint has no signature", withCheckpoint(cpText+"\n"))
	bad("note_malformed", "C1: the checkpoint lacks its last newline", withCheckpoint(strings.TrimSuffix(cp, "\n")))
	bad("checkpoint_malformed", "C2: the size has a leading zero", withCheckpoint(logKey.note(strings.Replace(cpText, fmt.Sprintf("\n%d\n", size), fmt.Sprintf("\n0%d\n", size), 1))))
	bad("checkpoint_malformed", "C2: the root has 31 bytes", withCheckpoint(logKey.note(checkpointText(origin, size, l.tree.root(size)[:31]))))
	other := testKey("other.example/log")
	bad("origin_mismatch", "C3: another log's checkpoint", withCheckpoint(other.note(checkpointText(other.name, size, l.tree.root(size)))))
	bad("signature_missing", "C4: signed by another key", withCheckpoint(other.note(cpText)))
	bad("signature_missing", "C4: signed by a witness only", withCheckpoint(testKey("witness.example/w").note(cpText)))
	bad("signature_invalid", "C5: the signature is over another root", withCheckpoint(cpText+"\n"+logKey.line(checkpointText(origin, size, l.tree.root(5)))))

	b3 := func(desc string, m M) { bad("inclusion_invalid", "B3: "+desc, compact(m)) }
	p := l.tree.inclusion(i, size)
	b3("another index", evidence(entry, tlogProof(i+1, p, cp)))
	b3("the index is the size", evidence(entry, tlogProof(size, p, cp)))
	b3("index 2^32 higher", evidence(entry, tlogProof(i+1<<32, p, cp)))
	b3("the proof of another entry", evidence(entry, proof(i+2)))
	b3("a hash changed", evidence(entry, tlogProof(i, append([][]byte{flipBit(p[0])}, p[1:]...), cp)))
	b3("a hash too few", evidence(entry, tlogProof(i, p[:len(p)-1], cp)))
	b3("a hash too many", evidence(entry, tlogProof(i, append(slices.Clone(p), p[0]), cp)))
	b3("no hashes", evidence(entry, tlogProof(i, nil, cp)))
	b3("the checkpoint of an earlier size", evidence(entry, tlogProof(i, p, checkpoint(256, l.tree.root(256)))))
	b3("size 0", evidence(entry, tlogProof(0, nil, checkpoint(0, sum()))))
	b3("a letter of the entry changed", evidence(strings.Replace(entry, `"login":"`, `"login":"x`, 1), proof(i)))
	b3("a space in the entry", evidence(strings.Replace(entry, `"v":1`, `"v": 1`, 1), proof(i)))
	b3("the entry formatted anew, a member at another place", evidence("{"+strings.TrimSuffix(strings.TrimPrefix(entry, `{"v":1,`), "}")+`,"v":1}`, proof(i)))
	b3("a letter of the entry changed, with a disclosure that fits the change", func() M {
		d := strings.Replace(ds[0], "SELECT", "DELETE", 1)
		return evidence(strings.Replace(entry, digest(ds[0]), digest(d), 1), proof(i), d)
	}())

	for _, c := range [][2]string{{"white space", strings.Replace(entry, `"v":1`, `"v": 1`, 1)}, {"a member twice", strings.Replace(entry, `{"v":1`, `{"v":1,"v":1`, 1)}, {"a required member is missing", strings.Replace(entry, `"database":"shop",`, "", 1)}, {"not JSON", "hello"}} {
		t := treeOf([]string{"x", c[1], "y"})
		bad("entry_malformed", "B4: "+c[0]+", though it was logged so", compact(evidence(c[1], tlogProof(1, t.inclusion(1, 3), checkpoint(3, t.root(3))))))
	}

	b5 := func(desc string, m M) { bad("disclosure_mismatch", "B5: "+desc, compact(m)) }
	with := func(texts ...string) M { return evidence(entry, proof(i)).with("disclosures", texts) }
	foreign := l.disclosures[slices.IndexFunc(l.entries, func(e string) bool { return strings.Contains(e, `"kind":"statement"`) })]
	b5("another value", evidence(entry, proof(i), strings.Replace(ds[0], "SELECT", "DELETE", 1)))
	b5("another salt", evidence(entry, proof(i), `["AAAAAAAAAAAAAAAAAAAAAA"`+ds[0][strings.Index(ds[0], ","):]))
	b5("another member named", evidence(entry, proof(i), strings.Replace(ds[0], `"sql"`, `"error"`, 1)))
	b5("the disclosure of another entry", evidence(entry, proof(i), foreign[0]))
	b5("a good one, then a bad one", evidence(entry, proof(i), ds[0], strings.Replace(ds[1], "acounts", "accounts", 1)))
	b5("empty", with(""))
	b5("padding", with(b64([]byte(ds[0]))+"="))
	b5("not base64url", with("!"))
	b5("not an array", with(b64u([]byte(`{"sql":"SELECT 1"}`))))
	b5("the array itself, not its base64url", with(ds[0]))
	b5("white space in the array", evidence(entry, proof(i), strings.Replace(ds[0], ",", ", ", 1)))
	return o("vkey", logKey.vkey, "cases", cases)
}
