package main

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// cosigner is a test key of type 0x04.
type cosigner struct {
	name, vkey    string
	seed, pub, id []byte
}

func testCosigner(name string) *cosigner {
	return cosignerFrom(name, sum([]byte("vitrine test seed: "+name)))
}

func cosignerFrom(name string, seed []byte) *cosigner {
	pub := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	c := &cosigner{name: name, seed: seed, pub: pub, id: keyID(name, 4, pub)}
	c.vkey = vkeyText(name, c.id, append([]byte{4}, pub...))
	return c
}

func cosignatureMessage(text string, time uint64) string {
	return fmt.Sprintf("cosignature/v1\ntime %d\n%s", time, text)
}

func (c *cosigner) sign(msg string) []byte {
	return ed25519.Sign(ed25519.NewKeyFromSeed(c.seed), []byte(msg))
}

// blob is what a line holds: key id, time, signature.
func (c *cosigner) blob(time uint64, signature []byte) []byte {
	return append(binary.BigEndian.AppendUint64(slices.Clone(c.id), time), signature...)
}

func (c *cosigner) line(text string, time uint64) string {
	return line(c.name, c.blob(time, c.sign(cosignatureMessage(text, time))))
}

// verifier makes golang.org/x/mod open a note by a cosignature: the second opinion on the cases below.
type cosignatureVerifier struct {
	*cosigner
	times *[]uint64
}

func (v cosignatureVerifier) Name() string    { return v.name }
func (v cosignatureVerifier) KeyHash() uint32 { return binary.BigEndian.Uint32(v.id) }
func (v cosignatureVerifier) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	time := binary.BigEndian.Uint64(sig)
	*v.times = append(*v.times, time)
	return ed25519.Verify(v.pub, []byte(cosignatureMessage(string(msg), time)), sig[8:])
}

func cosignatureVectors() M {
	w, other := testCosigner("witness.example/w1"), testCosigner("witness.example/w2")
	root := numbered(300).root(300)
	text := checkpointText(origin, 300, root)
	signed := logKey.note(text)
	const when = 1763849028

	cases := []M{}
	add := func(desc, msg string, want any, how ...string) {
		m := o("desc", desc, "note", msg, "vkey", w.vkey)
		times := []uint64{}
		_, err := note.Open([]byte(msg), note.VerifierList(cosignatureVerifier{w, &times}))
		if len(how) == 0 {
			_, unverified := err.(*note.UnverifiedNoteError)
			_, invalid := err.(*note.InvalidSignatureError)
			switch want := want.(type) {
			case int64:
				assert(err == nil && times[0] == uint64(want), "cosignature %q: x/mod says %v", desc, err)
			case nil:
				assert(unverified, "cosignature %q: x/mod says %v", desc, err)
			case string:
				assert(invalid, "cosignature %q: x/mod says %v", desc, err)
			}
		}
		if code, ok := want.(string); ok {
			cases = append(cases, m.with("wantErr", code))
		} else {
			cases = append(cases, m.with("timestamp", want))
		}
	}
	const wrong = "cosignature_invalid"
	good := w.line(text, when)
	add("a cosignature", signed+good, int64(when))
	add("a cosignature before the log's signature", text+"\n"+good+logKey.line(text), int64(when))
	add("a cosignature alone: whether the log has signed is not its subject", text+"\n"+good, int64(when))
	add("time 0", signed+w.line(text, 0), int64(0))
	add("time 2^32 + 1: all eight bytes count", signed+w.line(text, 1<<32+1), int64(1<<32+1))
	add("time 2^53 − 1", signed+w.line(text, maxSize), int64(maxSize))
	add("the cosignature of another beside it", signed+other.line(text, 5)+good, int64(when))
	add("the same line twice", signed+good+good, int64(when))
	add("an earlier one behind a later one: the latest is the time", signed+good+w.line(text, when-60), int64(when))
	add("a later one behind an earlier one", signed+w.line(text, when-60)+good, int64(when), lax)
	extended := text + "extension\n"
	add("extension lines are signed along", logKey.note(extended)+w.line(extended, when), int64(when))

	add("no cosignature", signed, nil)
	add("the cosignature of another only", signed+other.line(text, when), nil)
	add("a plain signature (type 0x01) by the same key is none", signed+line(w.name, append(keyID(w.name, 1, w.pub), w.sign(text)...)), nil)
	add("its id under another name", signed+line(other.name, w.blob(when, w.sign(cosignatureMessage(text, when)))), nil)
	add("its name with another id", signed+line(w.name, append(slices.Clone(other.id), w.blob(when, w.sign(cosignatureMessage(text, when)))[4:]...)), nil)

	with := func(desc string, time uint64, msg string) {
		add(desc, signed+line(w.name, w.blob(time, w.sign(msg))), wrong)
	}
	with("signed for another time", when, cosignatureMessage(text, when+1))
	with("signed without the time line", when, "cosignature/v1\n"+text)
	with("signed without the header", when, fmt.Sprintf("time %d\n%s", when, text))
	with("signed with another header", when, fmt.Sprintf("cosignature/v2\ntime %d\n%s", when, text))
	with("signed with a time of a leading zero", when, fmt.Sprintf("cosignature/v1\ntime 0%d\n%s", when, text))
	with("signed over the checkpoint alone, as a note", when, text)
	with("signed over another size", when, cosignatureMessage(checkpointText(origin, 301, root), when))
	with("signed over another root", when, cosignatureMessage(checkpointText(origin, 300, flipBit(root)), when))
	with("signed over another origin", when, cosignatureMessage(checkpointText("other.example/log", 300, root), when))
	with("signed over the checkpoint without its last newline", when, cosignatureMessage(strings.TrimSuffix(text, "\n"), when))
	with("signed over the empty line too", when, cosignatureMessage(text+"\n", when))
	with("signed over the whole note", when, cosignatureMessage(signed, when))
	add("an extension line that was not signed", logKey.note(extended)+good, wrong)
	add("an extension line that was signed and is gone", signed+w.line(extended, when), wrong)
	little := binary.LittleEndian.AppendUint64(slices.Clone(w.id), when)
	add("the time little-endian", signed+line(w.name, append(little, w.sign(cosignatureMessage(text, when))...)), wrong)
	add("the time changed behind the signature", signed+line(w.name, w.blob(when+1, w.sign(cosignatureMessage(text, when)))), wrong)
	add("the signature changed", signed+line(w.name, w.blob(when, flipBit(w.sign(cosignatureMessage(text, when))))), wrong)
	add("another cosigner's signature under its name and id", signed+line(w.name, w.blob(when, other.sign(cosignatureMessage(text, when)))), wrong)
	add("time 2^53, which a double cannot tell from the next", signed+w.line(text, 1<<53), wrong, lax)
	add("time 2^63 − 1", signed+w.line(text, 1<<63-1), wrong, lax)
	add("time 2^64 − 1", signed+w.line(text, 1<<64-1), wrong, lax)
	blob := w.blob(when, w.sign(cosignatureMessage(text, when)))
	add("75 bytes", signed+line(w.name, blob[:75]), wrong)
	add("77 bytes", signed+line(w.name, append(slices.Clone(blob), 0)), wrong)
	add("68 bytes: a plain signature under the cosigner's id", signed+line(w.name, append(slices.Clone(w.id), w.sign(text)...)), wrong)
	add("5 bytes", signed+line(w.name, append(slices.Clone(w.id), 0)), wrong)
	add("a good line, then a wrong one", signed+good+line(w.name, w.blob(when, flipBit(w.sign(cosignatureMessage(text, when))))), wrong, lax)
	add("a wrong line, then a good one", signed+line(w.name, w.blob(when, flipBit(w.sign(cosignatureMessage(text, when)))))+good, wrong)

	messages := []M{}
	for _, time := range []uint64{0, when, 1 << 32, maxSize} {
		msg := cosignatureMessage(text, time)
		messages = append(messages, o("desc", fmt.Sprintf("time %d", time), "vkey", w.vkey, "seed", hexOf(w.seed), "text", text,
			"timestamp", int64(time), "message", msg, "signature", hexOf(w.sign(msg)), "line", w.line(text, time)))
	}

	keys := []M{}
	for _, k := range []*cosigner{w, other, testCosigner("x"), testCosigner("zeuge.example/漢字")} {
		keys = append(keys, o("desc", "a key of "+k.name, "vkey", k.vkey, "name", k.name, "keyId", hexOf(k.id), "publicKey", hexOf(k.pub)))
	}
	typed := append([]byte{4}, w.pub...)
	for _, c := range [][2]string{
		{"empty", ""},
		{"the key id of type 0x01", vkeyText(w.name, keyID(w.name, 1, w.pub), typed)},
		{"type 0x01, a key that signs notes", vkeyText(w.name, keyID(w.name, 1, w.pub), append([]byte{1}, w.pub...))},
		{"type 0x01 with the key id of type 0x04", vkeyText(w.name, w.id, append([]byte{1}, w.pub...))},
		{"type 0x06, ML-DSA-44", vkeyText(w.name, keyID(w.name, 6, make([]byte, 1312)), append([]byte{6}, make([]byte, 1312)...))},
		{"no type byte", vkeyText(w.name, sum([]byte(w.name+"\n"), w.pub)[:4], w.pub)},
		{"the name changed", vkeyText(other.name, w.id, typed)},
		{"a public key of 31 bytes", vkeyText(w.name, keyID(w.name, 4, w.pub[:31]), typed[:32])},
		{"a public key of 33 bytes", vkeyText(w.name, keyID(w.name, 4, append(slices.Clone(w.pub), 0)), append(slices.Clone(typed), 0))},
		{"a space in the name", vkeyText("a b", keyID("a b", 4, w.pub), typed)},
		{"a newline behind the key", w.vkey + "\n"},
	} {
		keys = append(keys, o("desc", c[0], "vkey", c[1], "wantErr", "usage"))
	}
	return o("cases", cases, "messages", messages, "keys", keys)
}
