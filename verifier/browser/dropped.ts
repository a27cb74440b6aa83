/** What a file turns out to be, by its content alone: people rename files. */
export type Dropped =
  | { kind: "key"; vkey: string }
  | { kind: "secret" }
  | { kind: "policy"; bytes: Uint8Array }
  | { kind: "checkpoint"; bytes: Uint8Array }
  | { kind: "proof"; bytes: Uint8Array }
  | { kind: "bundle"; bytes: Uint8Array };

/** A key file is one line; anything much longer is not looked at as one. */
const longestKeyFile = 1024;
/** As much of a file as tells a policy or a checkpoint from a bundle, which begins with a brace. */
const looked = 262_144;

export function recognize(bytes: Uint8Array): Dropped {
  const text = new TextDecoder().decode(bytes.subarray(0, looked));
  const line = text.trim();
  if (line.startsWith("PRIVATE+KEY+")) return { kind: "secret" };
  if (bytes.length <= longestKeyFile && /^[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+$/.test(line)) {
    return { kind: "key", vkey: line };
  }
  // A bare proof has a checkpoint in it, and says nothing without its entry.
  if (text.startsWith("c2sp.org/tlog-proof@")) return { kind: "proof", bytes };
  if (line.startsWith("{")) return { kind: "bundle", bytes };
  // Exactly one line of a policy says what quorum it wants (C2SP tlog-policy).
  if (/^[ \t]*quorum[ \t]/m.test(text)) return { kind: "policy", bytes };
  return { kind: /^\u2014 /m.test(text) ? "checkpoint" : "bundle", bytes };
}
