import { Access, parseRules } from "../../src/access/index.ts";
import type { Identity } from "../../src/identity/index.ts";
import { BackendSide } from "../../src/session/backend-side.ts";
import { FrontendSide } from "../../src/session/frontend-side.ts";
import { Policy } from "../../src/session/policy.ts";
import { type EndReason, Session } from "../../src/session/session.ts";
import { Splice } from "../../src/session/splice.ts";
import { SEALABLE, Values } from "../../src/session/values.ts";
import { Analyzer } from "../../src/statements/index.ts";
import { Framer } from "../../src/wire/framer.ts";
import { frame } from "../../src/wire/write.ts";
import { SpoolDouble } from "./spool-double.ts";

const analyzer = await Analyzer.load();

const u16 = (n: number): Buffer => Buffer.from([Math.floor(n / 256), n % 256]);
const i32 = (n: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(n);
  return bytes;
};
const text = (type: string, ...parts: (string | Buffer)[]): Buffer =>
  frame(type.charCodeAt(0), Buffer.concat(parts.map((part) => Buffer.from(part as string))));

/** What a client sends. */
export const F = {
  query: (sql: string): Buffer => text("Q", `${sql}\0`),
  parse: (sql: string, name = ""): Buffer => text("P", `${name}\0${sql}\0`, u16(0)),
  bind: (statement = "", portal = "", values: readonly string[] = []): Buffer =>
    text(
      "B",
      `${portal}\0${statement}\0`,
      u16(0),
      u16(values.length),
      ...values.flatMap((value) => [i32(Buffer.byteLength(value)), value]),
      u16(0),
    ),
  describe: (what: "S" | "P", name = ""): Buffer => text("D", `${what}${name}\0`),
  execute: (portal = "", rows = 0): Buffer => text("E", `${portal}\0`, i32(rows)),
  close: (what: "S" | "P", name = ""): Buffer => text("C", `${what}${name}\0`),
  sync: (): Buffer => text("S"),
  flush: (): Buffer => text("H"),
  functionCall: (oid: number, ...values: string[]): Buffer =>
    text(
      "F",
      i32(oid),
      u16(0),
      u16(values.length),
      ...values.flatMap((value) => [i32(Buffer.byteLength(value)), value]),
      u16(0),
    ),
  copyData: (data: string): Buffer => text("d", data),
  copyDone: (): Buffer => text("c"),
  copyFail: (): Buffer => text("f", "no\0"),
  password: (body: string): Buffer => text("p", body),
  terminate: (): Buffer => text("X"),
} as const;

/** What a server answers. */
export const B = {
  auth: (code: number, body = ""): Buffer => text("R", i32(code), body),
  key: (pid: number, key = "key!"): Buffer => text("K", i32(pid), key),
  status: (name: string, value: string): Buffer => text("S", `${name}\0${value}\0`),
  ready: (status = "I"): Buffer => text("Z", status),
  complete: (tag: string): Buffer => text("C", `${tag}\0`),
  row: (value = "1"): Buffer => text("D", u16(1), i32(Buffer.byteLength(value)), value),
  rowDescription: (): Buffer => text("T", u16(0)),
  parsed: (): Buffer => text("1"),
  bound: (): Buffer => text("2"),
  closed: (): Buffer => text("3"),
  noData: (): Buffer => text("n"),
  empty: (): Buffer => text("I"),
  suspended: (): Buffer => text("s"),
  copyIn: (): Buffer => text("G", Buffer.from([0]), u16(0)),
  copyOut: (): Buffer => text("H", Buffer.from([0]), u16(0)),
  copyData: (data: string): Buffer => text("d", data),
  copyDone: (): Buffer => text("c"),
  functionResult: (value: string): Buffer => text("V", i32(Buffer.byteLength(value)), value),
  error: (code: string, severity = "ERROR"): Buffer =>
    text("E", `S${severity}\0V${severity}\0C${code}\0Mno: ${code}\0\0`),
} as const;

export interface StageOptions {
  readonly statementBytes?: number;
  readonly disclosureBytes?: number;
  readonly sealed?: readonly (typeof SEALABLE)[number][];
  readonly user?: string;
  readonly parameters?: Record<string, string>;
  /** Stop before the login. */
  readonly loggedIn?: false;
  /** The text of a file of access rules. */
  readonly rules?: string;
  /** Reads who stands behind a login. */
  readonly identity?: Identity;
  /** The proxy's own answers are to be seen. */
  readonly shows?: true;
}

/** A session between a client and a server that the test plays, with a recorder that it watches. */
export class Stage {
  readonly spool: SpoolDouble = new SpoolDouble();
  readonly session: Session;
  /** What may go to the server, with the position each piece waits for. */
  readonly forwarded: { readonly bytes: Buffer; wait: number }[] = [];
  terminated = false;
  /** With rules, or where the proxy's own answers are to be seen: what the client is sent. */
  readonly splice: Splice | undefined;
  readonly #frontend: Framer;
  readonly #backend: Framer;

  constructor(options: StageOptions = {}) {
    const values = new Values(options.sealed ?? SEALABLE, options.disclosureBytes ?? 1 << 23);
    let sessions = 0;
    const user = options.user ?? "alice";
    this.session = new Session(
      {
        recorder: this.spool.recorder,
        analyzer,
        values,
        policy: new Policy("before-result", "before-execute"),
        clock: () => "2025-01-01T00:00:00.000000Z",
        access: accessOf(options.rules),
        identity: options.identity,
      },
      { protocol: "3.0", user, database: user, parameters: new Map(Object.entries(options.parameters ?? {})) },
      "192.0.2.1:5",
      () => `1.${++sessions}`,
    );
    this.#frontend = new Framer(
      new FrontendSide(
        this.session,
        {
          forward: (bytes, wait) => this.forwarded.push({ bytes, wait }),
          completed: (wait) => {
            this.forwarded.at(-1)!.wait = wait;
          },
          terminated: () => {
            this.terminated = true;
          },
        },
        { statementBytes: options.statementBytes ?? 1 << 26 },
      ),
    );
    if (options.rules !== undefined || options.shows)
      this.splice = new Splice(new BackendSide(this.session), this.session);
    this.#backend = new Framer(this.splice ?? new BackendSide(this.session));
    if (options.loggedIn !== false) this.server(B.auth(0), B.key(77), B.ready());
  }

  client(...messages: Buffer[]): this {
    this.#frontend.feed(Buffer.concat(messages));
    return this;
  }

  server(...messages: Buffer[]): this {
    this.#backend.feed(Buffer.concat(messages));
    return this;
  }

  /** @returns what the statements became */
  end(reason: EndReason = "client-closed"): string[] {
    this.session.end(reason);
    return this.spool.told();
  }

  /** The position that the last message waits for. */
  get wait(): number {
    return this.forwarded.at(-1)!.wait;
  }
}

function accessOf(text: string | undefined): Access | undefined {
  if (text === undefined) return undefined;
  const read = parseRules(text);
  if ("problems" in read) throw new Error(JSON.stringify(read.problems));
  return new Access(read.set);
}
