package main

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

// key is a test key; its seed is the SHA-256 of "vitrine test seed: " and the key's name.
type key struct {
	name, vkey string
	seed, pub  []byte
	id         []byte
	note.Signer
}

func testKey(name string) *key { return keyFrom(name, sum([]byte("vitrine test seed: "+name))) }

func keyFrom(name string, seed []byte) *key {
	pub := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	k := &key{name: name, seed: seed, pub: pub, id: keyID(name, 1, pub)}
	k.vkey = vkeyText(name, k.id, append([]byte{1}, pub...))
	assert(k.vkey == must(note.NewEd25519VerifierKey(name, pub)), "vkey of %s", name)
	k.Signer = must(note.NewSigner(k.skey()))
	return k
}

func keyID(name string, kind byte, pub []byte) []byte {
	return sum([]byte(name), []byte{'\n', kind}, pub)[:4]
}

func vkeyText(name string, id, material []byte) string {
	return fmt.Sprintf("%s+%08x+%s", name, binary.BigEndian.Uint32(id), b64(material))
}

func (k *key) skey() string {
	return fmt.Sprintf("PRIVATE+KEY+%s+%s+%s", k.name, hexOf(k.id), b64(append([]byte{1}, k.seed...)))
}

// line is one signature line of a note, made without golang.org/x/mod so that bad ones can be made as well.
func line(name string, blob []byte) string { return "— " + name + " " + b64(blob) + "\n" }

func (k *key) rawSign(text string) []byte {
	return ed25519.Sign(ed25519.NewKeyFromSeed(k.seed), []byte(text))
}

func (k *key) line(text string) string {
	return line(k.name, append(append([]byte{}, k.id...), k.rawSign(text)...))
}

func (k *key) note(text string) string {
	s := text + "\n" + k.line(text)
	assert(s == string(must(note.Sign(&note.Note{Text: text}, k.Signer))), "note by %s", k.name)
	return s
}

const origin = "log.example/vitrine"

var logKey = testKey(origin)

func checkpointText(origin string, size int64, root []byte) string {
	return fmt.Sprintf("%s\n%d\n%s\n", origin, size, b64(root))
}

func checkpoint(size int64, root []byte) string {
	return logKey.note(checkpointText(origin, size, root))
}
