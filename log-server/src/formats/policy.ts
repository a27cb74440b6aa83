import { readFile } from "node:fs/promises";
import { LogServerError, reason } from "../errors.ts";
import { parseDecimal, parseUtf8 } from "./encoding.ts";
import { type CosignerKey, parseCosignerKey, parseVerifierKey, type VerifierKey } from "./note.ts";

// C2SP tlog-policy files (spec/policy.md, "Policies"): which witnesses are asked, and how many are enough.

/** The file has at most this many bytes, and this many logs, witnesses and groups each. */
const MAX_BYTES = 262_144;
const MAX_OF_EACH = 256;

export interface PolicyWitness {
  /** What the file calls it; outside of the file its key is its name. */
  readonly name: string;
  readonly key: CosignerKey;
  /** As the file has it; a witness without one is not asked. */
  readonly url: string | undefined;
}

interface PolicyGroup {
  readonly name: string;
  readonly threshold: number;
  readonly members: readonly PolicyMember[];
}

type PolicyMember = PolicyWitness | PolicyGroup;

export interface Policy {
  /** Verifier keys of the logs; none: the policy is for any. */
  readonly logs: readonly VerifierKey[];
  readonly witnesses: readonly PolicyWitness[];
  readonly quorum: PolicyMember | "none";
}

// Names are octets and nothing else, so the file is cut as Latin-1 and read as UTF-8 only to show it to people.
function shown(octets: string): string {
  return parseUtf8(Buffer.from(octets, "latin1")) ?? JSON.stringify(octets);
}

function samePublicKey(a: VerifierKey | CosignerKey, b: VerifierKey | CosignerKey): boolean {
  return a.publicKey.equals(b.publicKey);
}

function threshold(rule: string, count: number): number {
  if (rule === "all") return count;
  if (rule === "any") return 1;
  const k = parseDecimal(rule);
  if (k === undefined || k < 1 || k > count) {
    throw new Error(`${shown(rule)} is neither "all", "any", nor a number from 1 to ${count}, its members`);
  }
  return k;
}

/**
 * Takes the lines one after the other; what they define must stand before its use. `read` throws a plain Error that
 * says what is wrong with the line; `parsePolicy` adds where it stands.
 */
class PolicyReader {
  readonly logs: VerifierKey[] = [];
  readonly witnesses: PolicyWitness[] = [];
  #groups = 0;
  readonly #members = new Map<string, PolicyMember>();
  readonly #grouped = new Set<string>();
  quorum: PolicyMember | "none" | undefined;

  read(line: string): void {
    const [keyword, ...items] = line.split(/[ \t]+/).filter((item) => item !== "");
    if (keyword === undefined || keyword.startsWith("#")) return;
    if (keyword === "log") this.#log(items);
    else if (keyword === "witness") this.#witness(items);
    else if (keyword === "group") this.#group(items);
    else if (keyword === "quorum") this.#quorum(items);
    else throw new Error(`a line begins with log, witness, group or quorum, and not with ${shown(keyword)}`);
  }

  #log([vkey, , ...more]: string[]): void {
    if (vkey === undefined || more.length > 0) throw new Error("expected log <vkey> [<url>]");
    const key = parseVerifierKey(shown(vkey));
    if (key === undefined) throw new Error("this is not a log's key: expected <name>+<key id>+<base64>, type 0x01");
    this.#once(key, this.logs, "log");
    this.logs.push(key);
    this.#limit(this.logs.length, "logs");
  }

  #witness([name, vkey, url, ...more]: string[]): void {
    if (name === undefined || vkey === undefined || more.length > 0) {
      throw new Error("expected witness <name> <vkey> [<url>]");
    }
    const key = parseCosignerKey(shown(vkey));
    if (key === undefined) {
      throw new Error("this is not a witness's key: expected <name>+<key id>+<base64>, type 0x04");
    }
    this.#once(
      key,
      this.witnesses.map((witness) => witness.key),
      "witness",
    );
    const witness = { name: shown(name), key, url: url === undefined ? undefined : shown(url) };
    this.#define(name, witness);
    this.witnesses.push(witness);
    this.#limit(this.witnesses.length, "witnesses");
  }

  /** The same public key under another name would count twice; a log cannot be its own witness. */
  #once(key: VerifierKey | CosignerKey, others: readonly (VerifierKey | CosignerKey)[], what: string): void {
    if (others.some((other) => samePublicKey(other, key))) throw new Error(`a ${what} before has this public key`);
    const rest = what === "log" ? this.witnesses.map((witness) => witness.key) : this.logs;
    if (rest.some((other) => samePublicKey(other, key))) {
      throw new Error("a log and a witness have the same public key");
    }
  }

  #group([name, rule, ...names]: string[]): void {
    if (name === undefined || rule === undefined || names.length === 0) {
      throw new Error("expected group <name> all|any|<k> <member>...");
    }
    const members = names.map((member) => {
      const found = this.#defined(member);
      if (this.#grouped.has(member)) throw new Error(`${shown(member)} is a member of a group already`);
      this.#grouped.add(member);
      return found;
    });
    this.#define(name, { name: shown(name), threshold: threshold(rule, members.length), members });
    this.#groups += 1;
    this.#limit(this.#groups, "groups");
  }

  #quorum([name, ...more]: string[]): void {
    if (name === undefined || more.length > 0) throw new Error("expected quorum <name>, or quorum none");
    if (this.quorum !== undefined) throw new Error("this is a second quorum");
    this.quorum = name === "none" ? "none" : this.#defined(name);
  }

  #define(name: string, member: PolicyMember): void {
    if (name === "none") throw new Error('the name "none" has its meaning already');
    if (this.#members.has(name)) throw new Error(`the name ${shown(name)} is defined already`);
    this.#members.set(name, member);
  }

  #defined(name: string): PolicyMember {
    const member = this.#members.get(name);
    if (member === undefined) throw new Error(`no witness or group ${shown(name)} is defined before this line`);
    return member;
  }

  #limit(count: number, what: string): void {
    if (count > MAX_OF_EACH) throw new Error(`there are more than ${MAX_OF_EACH} ${what}`);
  }
}

function controlCharacter(line: string): string | undefined {
  const found = /[\u0000-\u0008\u000b-\u001f\u007f]/.exec(line)?.[0];
  if (found === undefined) return undefined;
  return found === "\r" ? "lines end in a newline alone, without a carriage return" : "there is a control character";
}

/**
 * Parses a policy file.
 * @param path for the errors
 * @throws LogServerError `bad_config`, with path and line
 */
export function parsePolicy(bytes: Uint8Array, path: string): Policy {
  const bad = (what: string): LogServerError => new LogServerError("bad_config", `witnesses: ${path}${what}`);
  if (bytes.length > MAX_BYTES) throw bad(` has more than ${MAX_BYTES} bytes`);
  const lines = Buffer.from(bytes).toString("latin1").split("\n");
  if (lines.pop() !== "")
    throw bad(`:${lines.length + 1}: the last line has no newline at its end: the file may be cut`);
  const reader = new PolicyReader();
  for (const [i, line] of lines.entries()) {
    try {
      const fault = controlCharacter(line);
      if (fault !== undefined) throw new Error(fault);
      reader.read(line);
    } catch (error) {
      throw bad(`:${i + 1}: ${reason(error)}`);
    }
  }
  if (reader.quorum === undefined) throw bad(' has no quorum; to require no witness at all, write "quorum none"');
  return { logs: reader.logs, witnesses: reader.witnesses, quorum: reader.quorum };
}

/**
 * Reads a policy file.
 * @throws LogServerError `bad_config`
 */
export async function readPolicy(path: string): Promise<Policy> {
  try {
    return parsePolicy(await readFile(path), path);
  } catch (error) {
    if (error instanceof LogServerError) throw error;
    throw new LogServerError("bad_config", `witnesses: ${path} cannot be read: ${reason(error)}`, {}, { cause: error });
  }
}

/**
 * @param cosigned of the policy's witnesses, those whose cosignature a checkpoint carries
 * @returns whether they are enough
 */
export function quorumReached({ quorum }: Policy, cosigned: ReadonlySet<PolicyWitness>): boolean {
  const reached = (member: PolicyMember): boolean => {
    if (!("members" in member)) return cosigned.has(member);
    return member.members.filter(reached).length >= member.threshold;
  };
  return quorum === "none" || reached(quorum);
}
