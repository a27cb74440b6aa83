import { type AuthClient, Authenticator, type LearntKeys } from "./authenticator.ts";
import { Guesses } from "./guesses.ts";
import { type Asked, type AuthMethod, type AuthRule, methodFor } from "./rules.ts";
import type { Users } from "./users.ts";

/** Who may log in at this proxy, and how. */
export class Authentication {
  #rules: readonly AuthRule[];
  readonly #users: () => Users;
  readonly #guesses: Guesses;
  readonly #learnt: LearntKeys = new Map();

  /** @param users those in force now; asked for each login */
  constructor(rules: readonly AuthRule[], users: () => Users, failuresPerMinute: number) {
    this.#rules = rules;
    this.#users = users;
    this.#guesses = new Guesses(failuresPerMinute);
  }

  /** Other rules, for logins that begin from now on. Failures that were counted stay counted. */
  change(rules: readonly AuthRule[], failuresPerMinute: number): void {
    this.#rules = rules;
    this.#guesses.perMinute = failuresPerMinute;
  }

  /** `relay`: the server authenticates the client. Anything else: {@link authenticator} does. */
  methodFor(asked: Asked): AuthMethod {
    return methodFor(this.#rules, asked);
  }

  /** For one login at the proxy: by `terminate` where the client's rule is to relay it, and no server is to be asked. */
  authenticator(client: AuthClient): Authenticator {
    const method = this.methodFor(client);
    const own = method === "relay" ? "terminate" : method;
    return new Authenticator(client, own, this.#users(), this.#guesses, this.#learnt);
  }
}
