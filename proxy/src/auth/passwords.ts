import { ProxyError } from "../errors.ts";
import { readPrivate } from "./users.ts";

const MAX_BYTES = 4 * 1024 * 1024;

/** Passwords of the proxy's own, by server, database and role. */
export class Passwords {
  readonly #lines: readonly (readonly string[])[];

  constructor(lines: readonly (readonly string[])[]) {
    this.#lines = lines;
  }

  /** That of the first line that fits. */
  find(host: string, port: number, database: string, role: string): string | undefined {
    const asked = [host, String(port), database, role];
    return this.#lines.find((line) => asked.every((value, i) => line[i] === "*" || unescaped(line[i]!) === value))?.[4];
  }
}

/**
 * Reads a password file in libpq's form (chapter "The Password File"): `host:port:database:role:password`, `*` for any,
 * `\:` and `\\` for `:` and `\`; lines that begin with `#` do not count.
 * @throws ProxyError `bad_config`, with the line that is wrong
 */
export function parsePasswords(text: string, path: string): Passwords {
  const lines: string[][] = [];
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.replace(/\r$/, "");
    if (line === "" || line.startsWith("#")) continue;
    const match = /^((?:[^\\:]|\\.)+):((?:[^\\:]|\\.)+):((?:[^\\:]|\\.)+):((?:[^\\:]|\\.)+):(.+)$/.exec(line);
    if (match === null) {
      throw new ProxyError("bad_config", `${path}:${index + 1}: the line is not host:port:database:role:password`);
    }
    const [password] = match.slice(5).map(unescaped);
    lines.push([...match.slice(1, 5), password!]);
  }
  return new Passwords(lines);
}

/** @throws ProxyError `bad_config` */
export async function readPasswords(path: string): Promise<Passwords> {
  return parsePasswords(await readPrivate(path, "the password file", MAX_BYTES), path);
}

function unescaped(text: string): string {
  return text.replace(/\\(.)/g, "$1");
}
