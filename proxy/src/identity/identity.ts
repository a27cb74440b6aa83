import { readComment } from "./comment.ts";
import type { IdentityRule } from "./rules.ts";

/** What a longer name says is not recorded. Bytes. */
const MAX_NAME_BYTES = 256;
/** W3C Trace Context, section 3.2: version, trace id, parent id, flags; later versions may have more behind it. */
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:$|-)/;

/** What the authentication has shown of a client. */
export interface Shown {
  readonly login: string;
  /** The names in the certificate that it showed and that was verified, the subject's first; empty without one. */
  readonly certificate: readonly string[];
}

interface Reading {
  readonly rule: IdentityRule;
  readonly pattern: RegExp | undefined;
}

/**
 * Reads who stands behind a login, by the configuration's key `identity`. What the authentication has shown and what a
 * client merely says are told apart here, and never meet: the one becomes `actor.identity`, the other `claimed`.
 */
export class Identity {
  readonly #authenticated: readonly Reading[];
  readonly #claimed: readonly Reading[];
  readonly #traces: boolean;
  readonly #readsText: boolean;

  constructor(rules: readonly IdentityRule[]) {
    const readings = rules.map((rule): Reading => {
      const pattern = rule.from === "traceparent" ? undefined : rule.pattern;
      return { rule, pattern: pattern === undefined ? undefined : new RegExp(pattern, "u") };
    });
    const isShown = ({ rule }: Reading): boolean => rule.from === "login" || rule.from === "certificate";
    this.#authenticated = readings.filter(isShown);
    this.#claimed = readings.filter((one) => !isShown(one) && one.rule.from !== "traceparent");
    this.#traces = rules.some(({ from }) => from === "traceparent");
    this.#readsText = this.#traces || rules.some(({ from }) => from === "comment");
  }

  /** @returns who it is by what was authenticated, by the first source that tells */
  authenticated({ login, certificate }: Shown): string | undefined {
    for (const { rule, pattern } of this.#authenticated) {
      const texts = rule.from === "login" ? [login] : certificate;
      for (const text of texts) {
        const name = nameIn(text, pattern);
        if (name !== undefined) return name;
      }
    }
    return undefined;
  }

  /**
   * The member `claimed` of a statement (spec/entry.md), behind a comma; empty where nothing is claimed.
   * @param sql the statement's text; undefined where it has none, or its bytes are not UTF-8 in this session
   */
  claimed(application: string | undefined, sql: Uint8Array | undefined): string {
    const said = this.#readsText && sql !== undefined ? readComment(sql) : undefined;
    const user = this.#user(application, said);
    const trace = this.#traces ? traceOf(said?.get("traceparent")) : undefined;
    if (user === undefined && trace === undefined) return "";
    return `,"claimed":${JSON.stringify({ user, trace })}`;
  }

  #user(
    application: string | undefined,
    said: ReadonlyMap<string, string> | undefined,
  ): { name: string; from: "application_name" | "comment" } | undefined {
    for (const { rule, pattern } of this.#claimed) {
      const from = rule.from === "comment" ? "comment" : "application_name";
      const text = rule.from === "comment" ? said?.get(rule.key) : application;
      const name = text === undefined ? undefined : nameIn(text, pattern);
      if (name !== undefined) return { name, from };
    }
    return undefined;
  }
}

/** @returns the group `user` of the pattern, or all of the text without one; undefined when that cannot be a name */
function nameIn(text: string, pattern: RegExp | undefined): string | undefined {
  if (text.length > MAX_NAME_BYTES * 4) return undefined;
  const name = pattern === undefined ? text : pattern.exec(text)?.groups?.user;
  // Control characters would make a name that cannot be shown out of one that can.
  if (name === undefined || name === "" || /[\p{Cc}\p{Cs}]/u.test(name)) return undefined;
  return Buffer.byteLength(name) > MAX_NAME_BYTES ? undefined : name;
}

function traceOf(text: string | undefined): { id: string; span: string } | undefined {
  const found = text === undefined ? null : TRACEPARENT.exec(text);
  // Version 00 has nothing behind its flags.
  if (found === null || (found[1] === "00" && text!.length !== 55)) return undefined;
  return { id: found[2]!, span: found[3]! };
}
