/** What a file turns out to be, by its content alone: people rename files. */
export type Dropped = { kind: "key"; vkey: string } | { kind: "evidence"; bytes: Uint8Array };

/** A key file is one line; anything much longer is not looked at as one. */
const longestKeyFile = 1024;

/** @returns the text if it is one line that may be a verifier key */
function keyLine(bytes: Uint8Array): string | undefined {
  if (bytes.length > longestKeyFile) return undefined;
  const line = new TextDecoder().decode(bytes).trim();
  return /^[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+$/.test(line) ? line : undefined;
}

export function recognize(bytes: Uint8Array): Dropped {
  const vkey = keyLine(bytes);
  return vkey === undefined ? { kind: "evidence", bytes } : { kind: "key", vkey };
}
