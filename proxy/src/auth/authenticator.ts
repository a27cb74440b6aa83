import { ProxyError } from "../errors.ts";
import { HEADER_BYTES } from "../wire/framer.ts";
import { type CertificateNames, certificateFits } from "./certificate.ts";
import type { Guesses } from "./guesses.ts";
import {
  AUTHENTICATION_OK,
  CLEARTEXT_PASSWORD,
  parsePassword,
  parseSaslInitial,
  saslContinue,
  saslFinal,
  saslRequest,
} from "./messages.ts";
import type { Asked, AuthMethod } from "./rules.ts";
import { equal, keysOf, type ScramKeys, verifierOf } from "./scram.ts";
import { SCRAM_PLUS, ScramServer } from "./scram-server.ts";
import type { User } from "./user.ts";
import type { Users } from "./users.ts";

/** A client that wants to log in, and what its connection says of it. */
export interface AuthClient extends Asked {
  /** Nobody in between can read what it sends: it is encrypted, or does not leave the machine. */
  readonly unread: boolean;
  /** `tls-server-end-point` of our certificate on this connection; undefined without TLS, or when it has none. */
  channelBinding(): Buffer | undefined;
  /** The names in the client's certificate, when it showed one that was verified. */
  certificate(): CertificateNames | undefined;
}

/** How the client was authenticated, as `actor.auth` of entries has it. */
export type AuthName = "scram-sha-256" | "scram-sha-256-plus" | "password" | "certificate" | "trust";

/** Somebody who was let in. */
export interface Accepted {
  readonly login: string;
  readonly auth: AuthName;
  readonly identity: string | undefined;
  readonly groups: readonly string[];
  /** What to log in as at the database server. */
  readonly role: string;
  /** The keys of its password, learnt from its proof, now or before: for a server whose verifier is the same. */
  readonly keys: ScramKeys | undefined;
}

/** By login. Who comes by another way, with a certificate say, has the keys that were learnt when it proved its password. */
export type LearntKeys = Map<string, ScramKeys>;

/** What to do next. `send` is whole messages for the client. */
export type Step =
  /** Send, and feed the client's next password message. */
  | { readonly kind: "continue"; readonly send: Buffer }
  /** Send, which ends with AuthenticationOk: the client is in. */
  | { readonly kind: "accepted"; readonly send: Buffer; readonly accepted: Accepted }
  /** Say this as a FATAL ErrorResponse and close. Every refusal is one of these; nothing is thrown. */
  | { readonly kind: "refused"; readonly error: ProxyError };

/** Of a password message; PG_MAX_AUTH_TOKEN_LENGTH is the server's own. */
const MAX_PASSWORD_BYTES = 10_000;
/** Beyond this the derivation of a cleartext password's keys would take seconds. */
const MAX_PASSWORD_ITERATIONS = 1_000_000;

type State = "new" | "initial" | "response" | "final" | "password" | "busy" | "done";

/**
 * Authenticates one client. Call `begin` once, then `feed` for each password message while the step says `continue`.
 * It knows no sockets: it takes messages and gives messages. One call at a time.
 */
export class Authenticator {
  readonly #client: AuthClient;
  readonly #method: AuthMethod;
  readonly #users: Users;
  readonly #guesses: Guesses;
  readonly #user: User | undefined;
  readonly #learnt: LearntKeys;
  readonly #wait: (ms: number) => Promise<unknown>;
  #scram: ScramServer | undefined;
  #auth: AuthName = "scram-sha-256";
  #mechanism = "";
  #state: State = "new";
  /** The state behind the step under way. */
  #next: State = "done";

  constructor(
    client: AuthClient,
    method: Exclude<AuthMethod, "relay">,
    users: Users,
    guesses: Guesses,
    learnt: LearntKeys = new Map(),
    wait: (ms: number) => Promise<unknown> = sleep,
  ) {
    this.#client = client;
    this.#method = method;
    this.#users = users;
    this.#guesses = guesses;
    this.#user = users.byName.get(client.user);
    this.#learnt = learnt;
    this.#wait = wait;
  }

  /** The first message to the client, or the decision where none is needed. */
  begin(): Promise<Step> {
    return this.#guard("new", async () => this.#begin());
  }

  /** @param message the client's password message, whole, with its header */
  feed(message: Buffer): Promise<Step> {
    const state = this.#state;
    if (state === "busy" || state === "done") {
      // Whoever sends a password that was not asked for is not heard any more, whatever the one under way is worth.
      this.#state = "done";
      return Promise.resolve({ kind: "refused", error: EARLY });
    }
    return this.#guard(state, () => this.#feed(state, message));
  }

  #begin(): Step {
    switch (this.#method) {
      case "terminate": {
        // Made in any case, so that a user who is there takes no less time.
        const mock = this.#users.mock(this.#client.user);
        const verifier = this.#user?.verifier ?? mock;
        this.#scram = new ScramServer({ verifier, binding: this.#client.channelBinding() });
        return this.#ask("initial", saslRequest(this.#scram.mechanisms));
      }
      case "password":
        if (!this.#client.unread) {
          throw refusal(
            `the password of user ${shown(this.#client.user)} is taken over TLS only: connect with sslmode=require`,
          );
        }
        this.#auth = "password";
        return this.#ask("password", CLEARTEXT_PASSWORD);
      case "certificate":
        return this.#byCertificate();
      case "trust":
        this.#auth = "trust";
        if (this.#valid === undefined)
          throw refusal(`trust authentication failed for user ${shown(this.#client.user)}`);
        return this.#accept(this.#valid, AUTHENTICATION_OK);
      default:
        throw refusal(
          `the proxy rejects connections of user ${shown(this.#client.user)} to database ${shown(this.#client.database)}`,
        );
    }
  }

  #byCertificate(): Step {
    this.#auth = "certificate";
    const names = this.#client.certificate();
    if (names === undefined) throw refusal("connection requires a valid client certificate");
    const user = this.#valid;
    if (user === undefined || !certificateFits(names, user.certificate ?? user.name)) {
      throw refusal(`certificate authentication failed for user ${shown(this.#client.user)}`);
    }
    return this.#accept(user, AUTHENTICATION_OK);
  }

  async #feed(state: State, message: Buffer): Promise<Step> {
    switch (state) {
      case "initial": {
        const { mechanism, data } = parseSaslInitial(message);
        this.#mechanism = mechanism;
        if (mechanism === SCRAM_PLUS) this.#auth = "scram-sha-256-plus";
        // Who leaves the initial response out is asked for it by an empty challenge (RFC 4422 section 3).
        if (data === undefined) return this.#ask("response", saslContinue(""));
        return this.#ask("final", saslContinue(this.#scram!.first(mechanism, data)));
      }
      case "response":
        return this.#ask("final", saslContinue(this.#scram!.first(this.#mechanism, message.subarray(HEADER_BYTES))));
      case "final":
        return this.#prove(message);
      case "password":
        return this.#checkPassword(message);
      default:
        throw new Error(`fed when ${state}`);
    }
  }

  async #prove(message: Buffer): Promise<Step> {
    const user = await this.#guess(async () => {
      const outcome = this.#scram!.final(message.subarray(HEADER_BYTES));
      // A name nobody has, and one that is not valid any more, come here as everybody does, and fail as a wrong password.
      const valid = this.#valid;
      return outcome.proven && valid?.verifier !== undefined ? { user: valid, outcome } : undefined;
    });
    const { serverFinal, keys } = user.outcome;
    return this.#accept(user.user, Buffer.concat([saslFinal(serverFinal), AUTHENTICATION_OK]), keys);
  }

  async #checkPassword(message: Buffer): Promise<Step> {
    if (message.length > MAX_PASSWORD_BYTES) {
      throw new ProxyError("protocol_violation", `a password message of ${message.length} bytes`);
    }
    const password = parsePassword(message);
    if (password.length === 0) throw wrongPassword(this.#client.user);
    const found = await this.#guess(async () => {
      // Made in any case, as for SCRAM.
      const mock = this.#users.mock(this.#client.user);
      const { iterations, salt, storedKey } = this.#user?.verifier ?? mock;
      if (iterations > MAX_PASSWORD_ITERATIONS) return undefined;
      const keys = await keysOf(password, salt, iterations);
      const valid = this.#valid;
      const right = equal(verifierOf(keys).storedKey, storedKey);
      return right && valid?.verifier !== undefined ? { user: valid, keys } : undefined;
    });
    return this.#accept(found.user, AUTHENTICATION_OK, found.keys);
  }

  /** Looks at a password, when the address may guess. What `look` throws was no guess. */
  async #guess<T>(look: () => Promise<T | undefined>): Promise<T> {
    const { host, user } = this.#client;
    const wait = this.#guesses.take(host);
    if (wait === undefined) {
      throw new ProxyError("too_many_failures", "too many failed logins from this address; try again later");
    }
    if (wait > 0) await this.#wait(wait);
    let found: T | undefined;
    try {
      found = await look();
    } catch (error) {
      this.#guesses.giveBack(host);
      throw error;
    }
    if (found === undefined) throw wrongPassword(user);
    this.#guesses.giveBack(host);
    return found;
  }

  /** The user, unless there is none or the login has expired. */
  get #valid(): User | undefined {
    const user = this.#user;
    return user?.expires !== undefined && user.expires <= Date.now() ? undefined : user;
  }

  #ask(state: State, send: Buffer): Step {
    this.#next = state;
    return { kind: "continue", send };
  }

  #accept(user: User, send: Buffer, proven?: ScramKeys): Step {
    const { name, identity, groups, role, verifier } = user;
    if (proven !== undefined) this.#learnt.set(name, proven);
    const learnt = this.#learnt.get(name);
    // Those of a password that it has no more are of no use.
    const keys = learnt !== undefined && verifier?.salt.equals(learnt.salt) ? learnt : undefined;
    if (keys === undefined) this.#learnt.delete(name);
    const accepted = { login: name, auth: this.#auth, identity, groups, role: role ?? name, keys };
    return { kind: "accepted", send, accepted };
  }

  async #guard(expected: State, work: () => Promise<Step>): Promise<Step> {
    if (this.#state !== expected || expected === "done") throw new Error("the exchange is over, or has not begun");
    this.#state = "busy";
    try {
      const step = await work();
      if ((this.#state as State) === "done") return { kind: "refused", error: EARLY };
      this.#state = step.kind === "continue" ? this.#next : "done";
      return step;
    } catch (error) {
      this.#state = "done";
      if (!(error instanceof ProxyError)) throw error;
      return { kind: "refused", error };
    }
  }
}

const EARLY = new ProxyError("protocol_violation", "a password message before it was asked for");

/** As PostgreSQL words it, whether the name, the password or the date is wrong. */
function wrongPassword(user: string): ProxyError {
  return new ProxyError("authentication_failed", `password authentication failed for user ${shown(user)}`);
}

function refusal(what: string): ProxyError {
  return new ProxyError("not_authorized", what);
}

function shown(name: string): string {
  return `"${name}"`;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
