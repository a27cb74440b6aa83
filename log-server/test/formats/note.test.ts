import t from "tap";
import { parseCheckpointText } from "../../src/formats/checkpoint.ts";
import {
  checkNote,
  generateKey,
  parseNote,
  parseSignerKey,
  parseVerifierKey,
  signNote,
} from "../../src/formats/note.ts";
import { type Bytes, bytesOf, vectors } from "../support/vectors.ts";

t.test("the published example of a signed note verifies", async (t) => {
  const key = parseVerifierKey("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")!;
  const signature = "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=";
  const note = parseNote(Buffer.from(`This is an example message.\n\n\u2014 example.com/foo ${signature}\n`))!;
  t.equal(note.text, "This is an example message.\n");
  t.equal(checkNote(note, key), "good");
});

t.test("a note signed with a new key verifies with its verifier key, and no other text does", async (t) => {
  const { skey, vkey } = generateKey("log.example");
  const signer = parseSignerKey(skey)!;
  t.equal(signer.vkey, vkey);
  const signed = signNote("a\n\nb\n", signer);
  const note = parseNote(Buffer.from(signed))!;
  t.equal(note.text, "a\n\nb\n");
  t.equal(checkNote(note, parseVerifierKey(vkey)!), "good");
  t.equal(checkNote({ ...note, text: "a\n\nc\n" }, signer), "invalid");
  t.equal(checkNote(note, parseSignerKey(generateKey("log.example").skey)!), "missing");
});

t.test("notes: vectors", async (t) => {
  interface Case {
    desc: string;
    note: Bytes;
    vkeys: string[];
    text?: Bytes;
    verified?: string[];
    wantErr?: string;
  }
  for (const { desc, note: bytes, vkeys, text, verified, wantErr } of vectors<{ cases: Case[] }>("notes.json").cases) {
    // The limit on a note's bytes is its receiver's, who knows the length before the bytes.
    if (bytesOf(bytes).length > 65_536) {
      t.equal(wantErr, "note_malformed", desc);
      continue;
    }
    const note = parseNote(bytesOf(bytes));
    if (wantErr === "note_malformed") {
      t.equal(note, undefined, desc);
      continue;
    }
    const results = vkeys.map((vkey) => checkNote(note!, parseVerifierKey(vkey)!));
    if (wantErr === "signature_invalid") t.ok(results.includes("invalid"), desc);
    else if (wantErr === "signature_missing")
      t.ok(
        results.every((result) => result === "missing"),
        desc,
      );
    else {
      t.same(Buffer.from(note!.text), bytesOf(text!), desc);
      t.same(
        vkeys.filter((_, i) => results[i] === "good"),
        verified,
        desc,
      );
      t.notOk(results.includes("invalid"), desc);
    }
  }
});

t.test("keys: vectors", async (t) => {
  interface File {
    cases: { desc: string; vkey: string; name?: string; keyId?: string; publicKey?: string; wantErr?: string }[];
    signingKeys: { desc: string; file: string; name?: string; vkey?: string; wantErr?: string }[];
  }
  const { cases, signingKeys } = vectors<File>("vkeys.json");
  for (const { desc, vkey, name, keyId, publicKey, wantErr } of cases) {
    const key = parseVerifierKey(vkey);
    if (wantErr !== undefined) {
      t.equal(key, undefined, desc);
      continue;
    }
    t.match(key, { name, vkey }, desc);
    t.equal(key!.id.toString("hex"), keyId, desc);
    const der = key!.publicKey.export({ format: "der", type: "spki" });
    t.equal(der.subarray(-32).toString("hex"), publicKey, desc);
  }
  for (const { desc, file, name, vkey, wantErr } of signingKeys) {
    const key = parseSignerKey(file.endsWith("\n") ? file.slice(0, -1) : file);
    if (wantErr !== undefined) t.equal(key, undefined, desc);
    else t.match(key, { name, vkey }, desc);
  }
});

t.test("checkpoints: vectors", async (t) => {
  interface Case {
    desc: string;
    note: Bytes;
    vkey: string;
    origin?: string;
    size?: number;
    root?: string;
    wantErr?: string;
  }
  // In the order of spec/proof.md, C1 to C5.
  const verify = (bytes: Buffer, vkey: string): string | { origin: string; size: number; root: string } => {
    const note = bytes.length > 65_536 ? undefined : parseNote(bytes);
    if (note === undefined) return "note_malformed";
    const checkpoint = parseCheckpointText(note.text);
    if (checkpoint === undefined) return "checkpoint_malformed";
    const key = parseVerifierKey(vkey)!;
    if (checkpoint.origin !== key.name) return "origin_mismatch";
    const signature = checkNote(note, key);
    if (signature !== "good") return `signature_${signature}`;
    return { ...checkpoint, root: checkpoint.root.toString("hex") };
  };
  for (const { desc, note, vkey, wantErr, ...expected } of vectors<{ cases: Case[] }>("checkpoints.json").cases) {
    t.same(verify(bytesOf(note), vkey), wantErr ?? expected, desc);
  }
});
