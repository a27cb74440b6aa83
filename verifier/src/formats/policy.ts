import { VerifierError } from "../errors.ts";
import { encodeBase64 } from "./base64.ts";
import { type CosignerKey, parseCosignerKey, parseVerifierKey, type VerifierKey } from "./key.ts";
import { decodeUtf8, encodeHex, parseDecimal } from "./text.ts";

/** A C2SP tlog-policy file (spec/policy.md, policies): which witnesses must have cosigned a checkpoint. */
export type Policy = {
  logs: readonly PolicyLog[];
  witnesses: readonly PolicyWitness[];
  quorum: PolicyMember | "none";
};

/** `url` is as the file has it, and undefined when it has none. */
export type PolicyLog = { key: VerifierKey; url: string | undefined };

/** `name` is the one that the file gives it; the witness itself is known by its key. */
export type PolicyWitness = { name: string; key: CosignerKey; url: string | undefined };

/** Has witnessed what at least `threshold` of its members have. */
export type PolicyGroup = { name: string; threshold: number; members: readonly PolicyMember[] };

export type PolicyMember = PolicyWitness | PolicyGroup;

/** A policy's file is at most this long, in bytes. */
export const maxPolicyLength = 262144;

/** Of logs, of witnesses, and of groups, each. C2SP wants 32 at least; a note has at most 100 signature lines. */
const maxOfEach = 256;

/** A part of a line: its octets, as a string of U+0000 to U+00FF, and what they say as UTF-8. */
type Item = { octets: string; text: string };

/**
 * @param bytes the file
 * @throws VerifierError `usage`, with the number of the line
 */
export function parsePolicy(bytes: Uint8Array): Policy {
  if (bytes.length > maxPolicyLength) throw bad(`it has more than ${maxPolicyLength} bytes`);
  if (bytes.length > 0 && bytes.at(-1) !== newline) {
    throw bad("its last line does not end in a newline: it may be cut off");
  }
  const draft = new Draft();
  let line = 0;
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(newline, start);
    line++;
    try {
      draft.addLine(splitLine(bytes.subarray(start, end)));
    } catch (error) {
      if (!(error instanceof VerifierError)) throw error;
      throw bad(`line ${line}: ${error.message}`);
    }
    start = end + 1;
  }
  return draft.finish();
}

const newline = 0x0a;
const tab = 0x09;
const space = 0x20;

/** @returns the items of a line, none for an empty line or a comment */
function splitLine(line: Uint8Array): Item[] {
  const items: Item[] = [];
  let start = 0;
  for (let at = 0; at <= line.length; at++) {
    const byte = line[at] ?? space;
    if (byte !== space && byte !== tab) {
      if (byte < space || byte === 0x7f) throw wrong(controlCharacter(byte));
      continue;
    }
    if (at > start) items.push(itemOf(line.subarray(start, at)));
    start = at + 1;
  }
  return items[0]?.octets.startsWith("#") ? [] : items;
}

function controlCharacter(byte: number): string {
  if (byte === 0x0d) return "it has a carriage return: lines end in a newline alone";
  return `it has the control character 0x${encodeHex(Uint8Array.of(byte))}`;
}

/** Names are octets and nothing else (C2SP tlog-policy, character set); only people read them as text. */
function itemOf(bytes: Uint8Array): Item {
  let octets = "";
  for (const byte of bytes) octets += String.fromCharCode(byte);
  const text = decodeUtf8(bytes) ?? octets.replace(/[\u0080-\u00ff]/g, (one) => `\\x${one.charCodeAt(0).toString(16)}`);
  return { octets, text };
}

/** What the lines have said so far. */
class Draft {
  readonly #logs: PolicyLog[] = [];
  readonly #witnesses: PolicyWitness[] = [];
  #groups = 0;
  /** By the octets of their names. */
  readonly #members = new Map<string, PolicyMember>();
  /** The names that stand in a group. */
  readonly #grouped = new Set<string>();
  #quorum: Policy["quorum"] | undefined;

  addLine([keyword, ...items]: Item[]): void {
    switch (keyword?.octets) {
      case undefined:
        break;
      case "log":
        this.#addLog(items);
        break;
      case "witness":
        this.#addWitness(items);
        break;
      case "group":
        this.#addGroup(items);
        break;
      case "quorum":
        this.#setQuorum(items);
        break;
      default:
        throw wrong(`it begins with ${keyword!.text}, and not with log, witness, group or quorum`);
    }
  }

  #addLog([vkey, url, ...rest]: Item[]): void {
    if (vkey === undefined || rest.length > 0) throw wrong("it is not of the form log <vkey> [<url>]");
    const key = parseVerifierKey(vkey.text);
    refuseDuplicate(key, this.#logs, "log");
    refuseBothSides(key, this.#witnesses);
    this.#logs.push({ key, url: url?.text });
    limit(this.#logs.length, "logs");
  }

  #addWitness([name, vkey, url, ...rest]: Item[]): void {
    if (name === undefined || vkey === undefined || rest.length > 0) {
      throw wrong("it is not of the form witness <name> <vkey> [<url>]");
    }
    const key = parseCosignerKey(vkey.text);
    refuseDuplicate(key, this.#witnesses, "witness");
    refuseBothSides(key, this.#logs);
    const witness: PolicyWitness = { name: name.text, key, url: url?.text };
    this.#define(name, witness);
    this.#witnesses.push(witness);
    limit(this.#witnesses.length, "witnesses");
  }

  #addGroup([name, rule, ...names]: Item[]): void {
    if (name === undefined || rule === undefined || names.length === 0) {
      throw wrong("it is not of the form group <name> all|any|<k> <member>...");
    }
    const members = names.map((member) => this.#take(member));
    this.#define(name, { name: name.text, threshold: thresholdOf(rule, members.length), members });
    limit(++this.#groups, "groups");
  }

  /** @returns a member for a group that is being defined; no later group may have it (nor this one twice) */
  #take(name: Item): PolicyMember {
    if (name.octets === "none") throw wrong("none cannot be a member of a group");
    const member = this.#defined(name);
    if (this.#grouped.has(name.octets)) throw wrong(`${name.text} is a member of a group already`);
    this.#grouped.add(name.octets);
    return member;
  }

  #setQuorum([name, ...rest]: Item[]): void {
    if (name === undefined || rest.length > 0) throw wrong("it is not of the form quorum <name>|none");
    if (this.#quorum !== undefined) throw wrong("it is a second quorum line");
    this.#quorum = name.octets === "none" ? "none" : this.#defined(name);
  }

  #define(name: Item, member: PolicyMember): void {
    if (name.octets === "none") throw wrong("none is a name that has its meaning already");
    if (this.#members.has(name.octets)) throw wrong(`the name ${name.text} is defined a second time`);
    this.#members.set(name.octets, member);
  }

  #defined(name: Item): PolicyMember {
    const member = this.#members.get(name.octets);
    if (member === undefined) throw wrong(`no witness or group ${name.text} is defined before it`);
    return member;
  }

  finish(): Policy {
    if (this.#quorum === undefined) throw bad("it has no quorum line; to demand no witnesses, say so: quorum none");
    return { logs: this.#logs, witnesses: this.#witnesses, quorum: this.#quorum };
  }
}

/**
 * The keys of the log that a checkpoint of it must be signed by.
 * @param given by the caller; none when the policy is to name the log, which it does if it has exactly one
 * @returns those given, or that of the policy
 * @throws VerifierError `usage` when the policy names logs and not this one, or does not tell which one is meant
 */
export function keysUnder({ logs }: Policy, given: readonly VerifierKey[]): readonly VerifierKey[] {
  const named = logs.map(({ key }) => key);
  if (given.length === 0) {
    if (named.length === 1) return named;
    throw new VerifierError("usage", `the policy names ${named.length} logs, so the key of the log must be given too`);
  }
  const stranger = named.length === 0 ? undefined : given.find((key) => !named.some(({ text }) => text === key.text));
  if (stranger === undefined) return given;
  const message = `the policy has no log line with the key given, ${stranger.name}+${stranger.id}`;
  throw new VerifierError("usage", message);
}

function thresholdOf(rule: Item, members: number): number {
  if (rule.octets === "all") return members;
  if (rule.octets === "any") return 1;
  const k = parseDecimal(rule.octets);
  if (k !== undefined && k >= 1 && k <= members) return k;
  throw wrong(
    `${rule.text} is neither all nor any nor a number from 1 to ${members}, which is how many members it has`,
  );
}

type Keyed = { key: VerifierKey | CosignerKey };

function sameKey(one: Keyed["key"], other: Keyed["key"]): boolean {
  return encodeBase64(one.publicKey) === encodeBase64(other.publicKey);
}

/** The same public key under another name would count twice. */
function refuseDuplicate(key: Keyed["key"], known: readonly Keyed[], what: string): void {
  const same = known.find((one) => sameKey(one.key, key));
  if (same !== undefined) throw wrong(`its public key is that of another ${what}, ${same.key.name}+${same.key.id}`);
}

/** Stricter than C2SP: a log that witnesses itself adds nothing to what it has signed. */
function refuseBothSides(key: Keyed["key"], others: readonly Keyed[]): void {
  if (others.some((one) => sameKey(one.key, key))) throw wrong("a log and a witness have the same public key");
}

function limit(count: number, what: string): void {
  if (count > maxOfEach) throw wrong(`there are more than ${maxOfEach} ${what}`);
}

function wrong(why: string): VerifierError {
  return new VerifierError("usage", why);
}

function bad(why: string): VerifierError {
  return new VerifierError("usage", `this is not a policy: ${why}`);
}
