import { VerifierError } from "../../src/errors.ts";
import { rootFitsSize } from "../../src/formats/checkpoint.ts";
import { cosignatureLine, cosignatureMessage } from "../../src/formats/cosignature.ts";
import { equalBytes, verifyConsistency } from "../../src/formats/merkle.ts";
import type { Note } from "../../src/formats/note.ts";
import { encodeUtf8 } from "../../src/formats/text.ts";
import { printable, printableShort } from "../printable.ts";
import type { Answer } from "./answers.ts";
import { makeSignature, verifySignature } from "./ed25519.ts";
import { type ForkEvidence, keepFork } from "./evidence.ts";
import type { WitnessHooks } from "./hooks.ts";
import type { Cosigner } from "./key-file.ts";
import type { TrustedLog, TrustedLogs } from "./logs.ts";
import { type AddCheckpoint, parseAddCheckpoint } from "./request.ts";
import type { Head, LogState, WitnessState } from "./state.ts";

/** The wall clock's steps back up to this are ridden out: a cosignature's time does not go back by less. */
const steppedBackSeconds = 3600;

export type Clocks = {
  /** Seconds since 1970, whole. */
  wall(): number;
  /** Milliseconds of a clock that only goes forward. */
  steadyMs(): number;
};

/**
 * Decides over checkpoints, as spec/witness.md says. It cosigns a tree only once it is durable that it did, and no tree
 * that does not contain the one it cosigned before.
 */
export class Witness {
  readonly cosigner: Cosigner;
  readonly state: WitnessState;
  /** Replaced as a whole when the lists are read again. */
  logs: TrustedLogs;
  readonly #hooks: WitnessHooks;
  readonly #clocks: Clocks;
  readonly #evidenceFolder: string;

  constructor(options: {
    cosigner: Cosigner;
    state: WitnessState;
    logs: TrustedLogs;
    hooks: WitnessHooks;
    clocks: Clocks;
    evidenceFolder: string;
  }) {
    this.cosigner = options.cosigner;
    this.state = options.state;
    this.logs = options.logs;
    this.#hooks = options.hooks;
    this.#clocks = options.clocks;
    this.#evidenceFolder = options.evidenceFolder;
  }

  /**
   * `add-checkpoint` (C2SP tlog-witness): the checks in their order.
   * @param body of the request, of bounded length
   */
  async addCheckpoint(body: Uint8Array): Promise<Answer> {
    let request: AddCheckpoint;
    try {
      request = parseAddCheckpoint(body);
    } catch (error) {
      if (!(error instanceof VerifierError)) throw error;
      return { code: "malformed", message: error.message };
    }
    const { origin, size } = request.head;
    const trusted = this.logs.get(origin);
    if (trusted === undefined) {
      return { code: "unknown_log", message: `this witness does not cosign for ${printableShort(origin)}` };
    }
    const signed = verifyLogLines(request.note, trusted);
    if ("code" in signed) return signed;
    if (request.old > size) {
      return { code: "old_beyond_size", message: `the old size ${request.old} is beyond the checkpoint's, ${size}` };
    }
    return this.#advance(request, signed.lines, this.state.log(origin), trusted);
  }

  /** From looking at the latest checkpoint to replacing it, nothing is awaited. */
  async #advance(request: AddCheckpoint, logLines: string, log: LogState, trusted: TrustedLog): Promise<Answer> {
    const { latest } = log;
    const { size, root } = request.head;
    if (request.old !== (latest?.size ?? 0)) {
      // What is told must be durable, and a size is told here.
      await log.settled;
      return { code: "size_conflict", size: log.durable?.size ?? 0 };
    }
    if (!rootFitsSize(request.head)) {
      return { code: "empty_root", message: "the size is 0, and the root is not that of the empty tree" };
    }
    if (request.old === 0 && request.proof.length > 0) {
      return { code: "inconsistent", message: "there is a proof where the old size is 0 and none is needed" };
    }
    if (latest !== undefined && latest.size === size && !equalBytes(latest.root, root)) {
      await log.settled;
      await this.#keepFork({ trusted, kept: latest, seen: { text: request.note.text, logLines } });
      return { code: "split_view", message: `another root was cosigned for size ${size}` };
    }
    if (!verifyConsistency(request.old, size, request.proof, latest?.root ?? root, root)) {
      return { code: "inconsistent", message: `the proof from ${request.old} to ${size} does not verify` };
    }
    const grows = latest === undefined || size > latest.size;
    const retryAfter = trusted.allowance?.take(this.#clocks.steadyMs(), grows) ?? 0;
    if (retryAfter > 0) {
      const message = `${trusted.perDay} requests a day are agreed on for this log`;
      return { code: "too_many_requests", message, retryAfter };
    }
    const text = detached(request.note.text);
    const head: Head = { size, root, time: this.#time(latest), text, logLines: detached(logLines) };
    await this.state.advance(log, head);
    const lines = this.lineOf(head);
    // CRASH: the checkpoint counts, and its cosignature has not left; the log asks again and gets another.
    this.#hooks.at("answer:signed");
    return { code: "cosigned", lines };
  }

  /**
   * @param head a durable one
   * @returns the witness's line over it, which is the same whenever it is made (RFC 8032 signatures are deterministic)
   */
  lineOf(head: Head): string {
    if (head.line === undefined) {
      const signature = makeSignature(cosignatureMessage(head.text, head.time), this.cosigner.key);
      head.line = cosignatureLine(this.cosigner.vkey, head.time, signature);
    }
    return head.line;
  }

  /** @returns the latest cosigned checkpoint that is durable: the log's lines that were verified, and the witness's. */
  checkpoint(hash: string): string | undefined {
    const head = this.state.logByHash(hash)?.durable;
    return head === undefined ? undefined : `${head.text}\n${head.logLines}${this.lineOf(head)}`;
  }

  /** A cosignature says that no larger tree was seen as of its time, so a later one should not bear an earlier time. */
  #time(latest: Head | undefined): number {
    const now = this.#clocks.wall();
    const before = latest?.time ?? 0;
    return before > now && before - now <= steppedBackSeconds ? before : now;
  }

  async #keepFork(fork: ForkEvidence): Promise<void> {
    try {
      const path = await keepFork(this.#evidenceFolder, fork);
      if (path !== undefined) {
        this.#hooks.log(
          `${printable(fork.trusted.origin)} has signed two trees of one size; both notes are in ${printable(path)}`,
        );
      }
    } catch (error) {
      // The answer is the same with and without it.
      this.#hooks.log(`evidence cannot be kept: ${printable(error instanceof Error ? error.message : String(error))}`);
    }
  }
}

/** A part of a string keeps all of it in memory, and a note may have a hundred lines that nobody needs. */
function detached(text: string): string {
  return Buffer.from(text).toString();
}

/**
 * Lines of keys that are not the log's are ignored, also one that has the witness's own name.
 * @returns the lines that verify, each once
 */
function verifyLogLines(note: Note, log: TrustedLog): { lines: string } | Answer {
  const lines = new Set<string>();
  const message = encodeUtf8(note.text);
  for (const { name, id, signature } of note.signatures) {
    const key = log.keys.find((known) => known.name === name && known.id === id);
    if (key === undefined) continue;
    const blob = Buffer.concat([Buffer.from(id, "hex"), signature]);
    const line = `\u2014 ${name} ${blob.toString("base64")}\n`;
    if (lines.has(line)) continue;
    if (!verifySignature(signature, message, key.key)) {
      return {
        code: "signature_invalid",
        message: `the signature by ${printableShort(name)} (key id ${id}) does not verify`,
      };
    }
    lines.add(line);
  }
  if (lines.size > 0) return { lines: [...lines].join("") };
  return { code: "signature_missing", message: `no line is by a key that is known for ${printableShort(log.origin)}` };
}
