import { isIP } from "node:net";
import type { Entry } from "../../src/index.ts";
import type { Row } from "./row.ts";

/** What is known of a member that may be sealed (spec/entry.md, sealed values). */
export type Known = { value: unknown; digest?: undefined } | { value?: undefined; digest: string };

/**
 * @param name the member's path
 * @param member as it stands in the entry
 * @returns its value, when it is in the clear or disclosed; else its digest; undefined when there is no such member
 */
export function knownValue({ disclosed }: Row, name: string, member: unknown): Known | undefined {
  if (member === undefined) return undefined;
  if (disclosed.has(name)) return { value: disclosed.get(name) };
  const digest = (member as { sealed?: unknown } | null)?.sealed;
  return typeof digest === "string" ? { digest } : { value: member };
}

/** @returns the value when it is known and a text; values by digest, or not UTF-8, are none */
export function knownText(row: Row, name: string, member: unknown): string | undefined {
  const value = knownValue(row, name, member)?.value;
  return typeof value === "string" ? value : undefined;
}

/** Where a client is. */
export type Address = { ip: string; port: number } | { hostname: string; port: number } | { path: string };

/** @param text `host:port`, or the path of a Unix socket */
export function parseAddress(text: string): Address {
  const parts = /^\[?([^[\]]*?)\]?:([0-9]{1,5})$/.exec(text);
  const [, host = "", digits = ""] = parts ?? [];
  const port = Number(digits);
  if (parts === null || host === "" || port > 65_535) return { path: text };
  return isIP(host) === 0 ? { hostname: host, port } : { ip: host, port };
}

/** Who acts, as far as it was authenticated (spec/entry.md, `actor`). */
export type Actor = { login: string; auth?: string; identity?: string; groups?: readonly string[] };

/** What the client says of whom it works for, and nobody has checked. */
export type Claimed = { user?: { name: string; from: string }; trace?: { id: string; span: string } };

/** Longer lists stand in the entry alone: as objects or values of their own they could make a row several times as long. */
const longestList = 64;

/** @returns the list, when it is there and short */
export function shortList(list: unknown): readonly string[] | undefined {
  return Array.isArray(list) && list.length > 0 && list.length <= longestList ? list : undefined;
}

/** @returns what the client claims; empty when it claims nothing */
export function claimedOf({ claimed }: Entry): Claimed {
  return (claimed ?? {}) as Claimed;
}

/** @returns milliseconds since 1970 of a timestamp of an entry; what is below a millisecond is cut off */
export function milliseconds(time: string): number {
  return Date.parse(`${time.slice(0, 23)}Z`);
}

/**
 * @returns nanoseconds since 1970 as OTLP has them, a decimal text; `0`, which means unknown there, for a time before
 * 1970 or beyond 64 bits
 */
export function nanoseconds(time: string): string {
  const seconds = Date.parse(`${time.slice(0, 19)}Z`) / 1000;
  const text = `${seconds}${time.slice(20, 26)}000`;
  return seconds >= 0 && BigInt(text) < 1n << 64n ? BigInt(text).toString() : "0";
}

/** @returns the relations of a statement as `schema.name`, those written first, each once */
export function relationNames(relations: unknown): string[] {
  const list = relations as readonly { schema?: string; name: string; access: string }[];
  const sorted = [...list.filter(({ access }) => access === "write"), ...list];
  return [...new Set(sorted.map(({ schema, name }) => (schema === undefined ? name : `${schema}.${name}`)))];
}
