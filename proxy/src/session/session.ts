import { createHash } from "node:crypto";
import { type Access, pathAtStart, SessionAccess, type Subject } from "../access/index.ts";
import { hostOf } from "../address/client.ts";
import type { Recorder } from "../audit/index.ts";
import { ProxyError, SQLSTATE, sqlstateOf } from "../errors.ts";
import type { Identity } from "../identity/index.ts";
import type { Shown } from "../receipts/index.ts";
import { type Analyzer, encodingOf } from "../statements/index.ts";
import type { ClientEncryption } from "../tls/index.ts";
import {
  type AuthenticationRequest,
  expectsNoBinding,
  parseAuthentication,
  parseError,
  parseKeyData,
  parseNegotiated,
  parseParameterStatus,
  parseSaslMechanism,
} from "../wire/backend.ts";
import type { Startup } from "../wire/startup.ts";
import { Actor, type Authenticated, type Seen, shortEnough } from "./actor.ts";
import type { Execution } from "./execution.ts";
import { Gate } from "./gate.ts";
import type { Written } from "./ledger.ts";
import type { Policy } from "./policy.ts";
import type { Phase } from "./table.ts";
import { Tracker } from "./tracker.ts";
import type { Values } from "./values.ts";
import type { Watch } from "./watch.ts";

export type EndReason =
  | "client-terminated"
  | "client-closed"
  | "server-closed"
  | "shutdown"
  | "protocol-error"
  | "spool-full"
  | "idle-timeout"
  | "transaction-timeout"
  | "statement-timeout"
  | "killed";

const UNBOUND =
  "the login cannot be bound to the server's TLS connection, because the proxy stands between: " +
  "connect with channel_binding=disable";

/** What all sessions of a proxy share. */
export interface Shared {
  readonly recorder: Recorder;
  readonly analyzer: Analyzer;
  readonly values: Values;
  readonly policy: Policy;
  readonly clock: () => string;
  /** The access rules; undefined: nothing is decided. */
  readonly access?: Access | undefined;
  readonly watch?: Watch | undefined;
  /** Reads who stands behind a login; undefined: nobody asks. */
  readonly identity?: Identity | undefined;
}

/** What a session is told by, and tells to, whoever stands for its server. */
export interface ServerEnd {
  readonly who?: Authenticated | undefined;
  readonly tls?: boolean;
  readonly unbound?: boolean;
  readonly attempts?: number;
  readonly host?: string | undefined;
  /** Why the session kept a server connection of a pool to itself; asked when it ends. */
  readonly pins?: readonly string[];
  reported?(name: string, value: string): void;
  refusal?(): ProxyError | undefined;
  serverPid?(): number | undefined;
}

/** One client's session, seen as messages: who it is, what it asked, how it ended. It knows no sockets. */
export class Session {
  phase: Phase = "authenticating";
  /** Undefined until the server accepted the client. */
  id: string | undefined;
  readonly tracker: Tracker;
  readonly startup: Startup;
  /** `host:port`, or `[local]`. */
  readonly address: string;
  /** Asks the access rules, where there are any. */
  readonly access: SessionAccess | undefined;
  /** An execution has returned more than it may, and is to be cancelled. */
  onExceeded: ((execution: Execution) => void) | undefined;
  /** The proxy itself is asked to show something: from here on some of its answers stand in place of the server's. */
  onShows: (() => void) | undefined;
  /** Set before the first of the server's messages. */
  backend: ServerEnd = {};
  /** The client's; undefined: it came in the clear. */
  encryption: ClientEncryption | undefined;
  #key: { readonly pid: number; readonly key: Buffer } | undefined;
  readonly #shared: Shared;
  readonly #nextId: () => string;
  readonly #actor: Actor;
  /** What the server asked the client for last. */
  #asked: AuthenticationRequest["kind"] | undefined;
  #protocol: string;
  #serverVersion: string | undefined;
  #utf8 = true;
  #serverEncoding: string | undefined;
  #standardStrings = true;
  #start = "";
  #startedAt = 0;
  #refused = false;
  /** Spool position of session.start or access.refused: the client must not see the outcome before it is durable. */
  #gate = 0;

  constructor(shared: Shared, startup: Startup, address: string, nextId: () => string) {
    this.#shared = shared;
    this.startup = startup;
    this.address = address;
    this.#protocol = startup.protocol;
    this.#nextId = nextId;
    const seen = (): Seen => ({ authenticated: this.backend.who, encryption: this.encryption });
    const actor = new Actor(startup, address, shared.values, seen, shared.identity);
    this.#actor = actor;
    const host = hostOf(address);
    const subject = (): Subject => ({
      user: startup.user,
      groups: actor.groups,
      auth: actor.method,
      host,
      application: actor.application ?? "",
      database: startup.database,
    });
    this.access =
      shared.access === undefined
        ? undefined
        : new SessionAccess(shared.access, subject, pathAtStart(startup.parameters));
    this.tracker = new Tracker({
      recorder: shared.recorder,
      analyzer: shared.analyzer,
      values: shared.values,
      policy: shared.policy,
      clock: shared.clock,
      actor: () => actor.ofStatements(this.id),
      claimed: (sql) => actor.claimed(this.#utf8 ? sql : undefined),
      utf8: () => this.#utf8,
      encoding: () => encodingOf(this.#utf8 ? "UTF8" : undefined, this.#serverEncoding),
      standardStrings: () => this.#standardStrings,
      gate:
        this.access === undefined ? undefined : new Gate(this.access, (name) => this.tracker.requests.boundTo(name)),
      finished: (outcome, ms, execution) => shared.watch?.finished(this, outcome, ms, execution),
      denied: (rule) => shared.watch?.denied(this, rule),
      cancel: (execution) => this.onExceeded?.(execution),
      shows: () => this.onShows?.(),
      show: (what, last) => this.#show(what, last),
    });
  }

  /** Spool position that must be durable before any more of the server's bytes may reach the client. */
  get gate(): number {
    return Math.max(this.#gate, this.tracker.ledger.gate);
  }

  /** The name the client gave its application, as last reported. */
  get application(): string | undefined {
    return this.#actor.application;
  }

  /** The server's key for cancel requests, once it is known. */
  get key(): { readonly pid: number; readonly key: Buffer } | undefined {
    return this.#key;
  }

  get utf8(): boolean {
    return this.#utf8;
  }

  get values(): Values {
    return this.#shared.values;
  }

  // --- authentication, relayed unread but for its kind -------------------------------------------------------------

  authentication(message: Buffer): void {
    const request = parseAuthentication(message);
    if (request.kind === "ok") this.phase = "starting";
    else if (request.kind === "method") this.#actor.auth = request.name;
    this.#asked = request.kind;
  }

  /**
   * A password message of the client: only the name of the mechanism it chose is read.
   * @throws ProxyError when nothing was asked: how the client is authenticated could not be told
   */
  password(message: Buffer): void {
    if (this.#asked === undefined) throw new ProxyError("protocol_violation", "a password before it was asked for");
    if (this.#asked !== "sasl") return;
    const mechanism = parseSaslMechanism(message).toLowerCase();
    if (this.backend.unbound === true && expectsNoBinding(message)) throw new ProxyError("channel_binding", UNBOUND);
    this.#actor.auth = mechanism === "scram-sha-256" || mechanism === "scram-sha-256-plus" ? mechanism : "other:10";
    this.#asked = "step";
  }

  negotiated(message: Buffer): void {
    this.#protocol = parseNegotiated(message);
  }

  keyData(message: Buffer): void {
    this.#key = parseKeyData(message);
  }

  parameterStatus(message: Buffer): void {
    const { name, value } = parseParameterStatus(message);
    this.backend.reported?.(name, value);
    switch (name) {
      case "server_version":
        this.#serverVersion = shortEnough(value);
        break;
      case "application_name":
        this.#actor.application = value;
        this.access?.changed();
        break;
      case "session_authorization":
        if (shortEnough(value) === undefined) {
          throw new ProxyError("protocol_violation", "the server reported a role name that cannot be one");
        }
        this.#actor.role = value;
        break;
      case "search_path":
        this.access?.searchPath(value);
        break;
      case "server_encoding":
        this.#serverEncoding = value;
        break;
      case "client_encoding":
        this.#utf8 = value === "UTF8" || value === "SQL_ASCII";
        break;
      case "standard_conforming_strings":
        this.#standardStrings = value === "on";
        break;
      default:
    }
  }

  readyForQuery(status: string): void {
    if (this.phase === "ready") {
      this.tracker.answers.readyForQuery(status);
      return;
    }
    const refusal = this.backend.refusal?.();
    if (refusal !== undefined) throw refusal;
    this.id = this.#nextId();
    this.phase = "ready";
    this.#start = this.#shared.clock();
    this.#startedAt = performance.now();
    const { attempts = 1, host, tls } = this.backend;
    const pid = this.backend.serverPid === undefined ? this.#key?.pid : this.backend.serverPid();
    const server = `"server":${JSON.stringify({ version: this.#serverVersion, pid, host, tls })}`;
    const tries = attempts > 1 ? `,"attempts":${attempts}` : "";
    const settings = settingsOf(this.startup);
    const members = `${this.#actor.subject(this.id)},${this.#actor.client()},${server},"protocol":"${this.#protocol}"${settings}${tries}`;
    this.#gate = this.#shared.recorder.record("session.start", members, this.#actor.disclosures);
    this.#shared.watch?.started(this);
  }

  errorResponse(head: Buffer): void {
    const error = parseError(head);
    if (this.phase === "ready") this.tracker.answers.error(error);
    else this.#refuse("server", error.sqlstate, error.message, undefined);
  }

  /** What is held on its way to the server will not be forwarded any more. */
  unsent(): void {
    if (this.phase === "ready") this.tracker.unsent();
  }

  // --- refusals and the end ----------------------------------------------------------------------------------------

  /** The proxy itself turns the client away. @returns the position to wait for before saying so */
  refuse(error: ProxyError): number {
    if (this.phase === "ready") {
      if (error.code !== "statement_too_large") return 0;
      return this.tracker.ledger.tooLarge(SQLSTATE[error.code], error.message);
    }
    if (this.phase === "ended") return 0;
    return this.#refuse("proxy", sqlstateOf(error), error.message, error.code);
  }

  #refuse(by: "server" | "proxy", sqlstate: string, text: string, code: string | undefined): number {
    if (this.#refused) return 0;
    this.#refused = true;
    const { recorder, values } = this.#shared;
    const error = values.member("error", text, Buffer.byteLength(text));
    const { user, database } = this.startup;
    const members =
      `"actor":{"login":${JSON.stringify(user)}},"database":${JSON.stringify(database)},${this.#actor.client()}` +
      `,"by":"${by}","sqlstate":"${sqlstate}","error":${error.json}`;
    const { disclosures } = this.#actor;
    const all = error.disclosure === undefined ? disclosures : [...disclosures, error.disclosure];
    this.#gate = recorder.record("access.refused", members, all);
    this.#shared.watch?.refused(this, by, sqlstate, code);
    return this.#gate;
  }

  /** Called once, when no more answers can come. */
  end(reason: EndReason): void {
    const was = this.phase;
    this.phase = "ended";
    if (was !== "ready") return;
    this.tracker.end();
    const { statements, failed, rows, bytesIn, bytesOut } = this.tracker.ledger.totals;
    const ms = performance.now() - this.#startedAt;
    const duration = Math.max(0, Math.round(ms * 1000));
    const { pins = [] } = this.backend;
    this.#shared.recorder.record(
      "session.end",
      `${this.#actor.subject(this.id)},"start":"${this.#start}","duration_us":${duration},"statements":${statements},"failed":${failed}` +
        `,"rows":${rows},"bytes_in":${bytesIn},"bytes_out":${bytesOut}` +
        `${pins.length === 0 ? "" : `,"pins":${JSON.stringify(pins)}`},"reason":"${reason}"`,
      [],
    );
    this.#shared.watch?.ended(this, reason, ms);
  }

  #show(what: Shown, last: Written | undefined): string | undefined {
    const { recorder } = this.#shared;
    if (what === "vitrine.receipt") return last === undefined ? undefined : recorder.receipt(last.seq, last.leaf);
    const { user, database } = this.startup;
    const { source, epoch } = recorder;
    return JSON.stringify({ session: this.id, source, epoch, login: user, identity: this.#actor.person(), database });
  }
}

/** Settings that take more than this as JSON are recorded by their digest. */
const MAX_SETTINGS = 16_384;
const NO_SETTINGS: ReadonlySet<string> = new Set(["user", "database", "application_name"]);

/** The member that says what the startup packet set, behind a comma; empty when it set nothing. */
function settingsOf({ parameters }: Startup): string {
  const list = [...parameters].filter(([name]) => !NO_SETTINGS.has(name) && !name.startsWith("_pq_."));
  if (list.length === 0) return "";
  const json = JSON.stringify(list.map(([name, value]) => ({ name, value })));
  if (json.length <= MAX_SETTINGS) return `,"settings":${json}`;
  const sha256 = createHash("sha256").update(json).digest("hex");
  return `,"settings":${JSON.stringify({ bytes: Buffer.byteLength(json), sha256 })}`;
}
