import { LogServerError } from "../errors.ts";
import { type Policy, type PolicyWitness, quorumReached } from "../formats/policy.ts";
import type { Hooks } from "../hooks.ts";
import type { Candidate, WitnessFailure } from "./protocol.ts";
import { type Failing, Witness, type WitnessPorts, type WitnessTiming } from "./witness.ts";

/** A reader takes notes of up to 64 KiB with up to 100 signature lines (spec/checkpoint.md). */
const MAX_NOTE_BYTES = 65_536;
const MAX_LINES = 100;

/** A witness whose cosignature the checkpoint served does not carry. */
export interface MissingWitness {
  /** What the policy calls it. */
  readonly name: string;
  /** `no_url` when it is not asked; undefined while the first answer is awaited. */
  readonly failure: WitnessFailure | "no_url" | undefined;
  readonly message: string;
  /** Of the first failure in a row, in milliseconds since 1970. */
  readonly since: number | undefined;
}

/** Where the checkpoint that is served stands with the witnesses. */
export interface WitnessReport {
  readonly quorum: boolean;
  readonly of: number;
  /** When each cosigned, by its own clock, in seconds since 1970. */
  readonly cosigned: readonly { readonly name: string; readonly timestamp: number }[];
  readonly missing: readonly MissingWitness[];
  /** What witnesses say that have seen more of this log, or another history of it. */
  readonly alarms: readonly { readonly name: string; readonly message: string }[];
}

export interface WitnessesOptions {
  readonly policy: Policy;
  readonly timing: WitnessTiming;
  readonly prove: WitnessPorts["prove"];
  /** As in WitnessPorts, by the name that the policy has for the witness. */
  readonly suspected: (name: string, shown: Buffer | undefined) => Promise<void>;
  /** Told of each answer: by the name that the policy has for the witness, and in seconds. */
  readonly answered: (name: string, result: "cosigned" | WitnessFailure, seconds: number) => void;
  readonly log: Hooks["log"];
}

/** @returns the URL, when it is one to post under. */
function prefixOf(url: string): URL | undefined {
  if (!URL.canParse(url)) return undefined;
  const parsed = new URL(url);
  const { protocol, username, password, search, hash } = parsed;
  const plain = username === "" && password === "" && search === "" && hash === "";
  return plain && (protocol === "https:" || protocol === "http:") ? parsed : undefined;
}

/**
 * @param vkeys the log's own
 * @throws LogServerError `bad_config` when the policy is for other logs, or a witness's URL cannot be used
 */
export function checkPolicy({ logs, witnesses }: Policy, path: string, vkeys: readonly string[]): void {
  if (logs.length > 0 && !logs.some(({ vkey }) => vkeys.includes(vkey))) {
    const message = `witnesses: ${path} has log lines, and none with a key of this log, ${vkeys.join(", ")}: add it`;
    throw new LogServerError("bad_config", message);
  }
  for (const { name, url } of witnesses) {
    if (url === undefined || prefixOf(url) !== undefined) continue;
    const message = `witnesses: ${path}: the URL of ${name} must be http:// or https://, without user, query and fragment`;
    throw new LogServerError("bad_config", message);
  }
}

/** The witnesses of a policy: asks all of them at once, and puts what they say under the checkpoint. */
export class Witnesses {
  #policy: Policy;
  #version = 0;
  readonly #options: WitnessesOptions;
  /** Those that have a URL. */
  readonly #asked = new Map<PolicyWitness, Witness>();

  /** The policy has passed `checkPolicy`. */
  constructor(options: WitnessesOptions) {
    this.#options = options;
    this.#policy = options.policy;
    this.#connect(new Map());
  }

  #connect(known: ReadonlyMap<string, Witness>): void {
    const { timing, prove, answered, suspected } = this.#options;
    for (const witness of this.#policy.witnesses) {
      if (witness.url === undefined) continue;
      const ports = {
        prove,
        answered: ({ witness: { name } }: Witness, result: "cosigned" | WitnessFailure, seconds: number) => {
          this.#version += 1;
          answered(name, result, seconds);
        },
        suspected: ({ witness: { name } }: Witness, shown: Buffer | undefined) => suspected(name, shown),
        changed: (changed: Witness) => this.#tell(changed),
      };
      const same = known.get(identityOf(witness));
      this.#asked.set(witness, same ?? new Witness(witness, prefixOf(witness.url)!, timing, ports));
    }
  }

  /** Goes on by another policy, which has passed `checkPolicy`. What the witnesses in both have said stays. */
  replace(policy: Policy): void {
    const before = new Map([...this.#asked].map(([witness, asked]) => [identityOf(witness), asked]));
    this.#asked.clear();
    this.#policy = policy;
    this.#version += 1;
    this.#connect(before);
    const kept = new Set(this.#asked.values());
    for (const witness of before.values()) if (!kept.has(witness)) witness.close();
  }

  /**
   * Asks all for a cosignature of a checkpoint whose signature is durable. Those that fail, or were late the last time,
   * are not waited for.
   * @returns when all others have answered, at the deadline at the latest
   */
  async collect(candidate: Candidate): Promise<void> {
    const answers: Promise<void>[] = [];
    for (const witness of this.#asked.values()) {
      const answer = witness.want(candidate);
      if (answer !== undefined) answers.push(answer);
    }
    if (answers.length === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#options.timing.deadline);
    });
    await Promise.race([Promise.all(answers), deadline]);
    clearTimeout(timer);
  }

  #cosigners(text: string): Map<PolicyWitness, { line: string; timestamp: number }> {
    const found = new Map<PolicyWitness, { line: string; timestamp: number }>();
    for (const [witness, { cosigned }] of this.#asked) if (cosigned?.text === text) found.set(witness, cosigned);
    return found;
  }

  /** As long as it stays the same, so does what `note` makes of a candidate. */
  get version(): number {
    return this.#version;
  }

  /** @returns the candidate's note with the cosignatures that have come, as many as a reader takes. */
  note({ text, note }: Candidate): string {
    let cosigned = note;
    let bytes = Buffer.byteLength(note);
    let lines = note.slice(text.length + 1).split("\n").length - 1;
    for (const { line } of this.#cosigners(text).values()) {
      bytes += Buffer.byteLength(line);
      lines += 1;
      if (bytes > MAX_NOTE_BYTES || lines > MAX_LINES) break;
      cosigned += line;
    }
    return cosigned;
  }

  /** @param text of the checkpoint served */
  report(text: string): WitnessReport {
    const cosigners = this.#cosigners(text);
    const missing: MissingWitness[] = [];
    for (const witness of this.#policy.witnesses) {
      if (!cosigners.has(witness)) missing.push(this.#missing(witness));
    }
    const alarms = [...this.#asked].flatMap(([{ name }, { alarm }]) =>
      alarm === undefined ? [] : [{ name, message: alarm.message }],
    );
    return {
      quorum: quorumReached(this.#policy, new Set(cosigners.keys())),
      of: this.#policy.witnesses.length,
      cosigned: [...cosigners].map(([{ name }, { timestamp }]) => ({ name, timestamp })),
      missing,
      alarms,
    };
  }

  #missing(witness: PolicyWitness): MissingWitness {
    const { name } = witness;
    const asked = this.#asked.get(witness);
    if (asked === undefined) {
      return { name, failure: "no_url", message: "the policy has no URL for it, so it is not asked", since: undefined };
    }
    const failing: Failing | undefined = asked.failing;
    if (failing === undefined) return { name, failure: undefined, message: "its answer is awaited", since: undefined };
    return { name, ...failing };
  }

  #tell({ witness: { name }, failing, alarm }: Witness): void {
    const { log } = this.#options;
    if (failing === undefined) log("info", `witness ${name} cosigns again`);
    else if (failing === alarm) log("error", `witness ${name}: ${failing.failure}: ${failing.message}`);
    else log("warn", `witness ${name}: ${failing.failure}: ${failing.message}; the log goes on without it`);
  }

  /** Gives up what is under way, and asks no more. */
  close(): void {
    for (const witness of this.#asked.values()) witness.close();
  }
}

function identityOf({ name, key, url }: PolicyWitness): string {
  return `${name}\n${key.vkey}\n${url}`;
}
