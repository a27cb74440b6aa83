import { hostOf, LOCAL } from "../address/client.ts";
import {
  type Accepted,
  type AuthClient,
  Authentication,
  type AuthSettings,
  InForce,
  noUsers,
  type Passwords,
  readPasswords,
  readUsers,
  type Users,
} from "../auth/index.ts";
import type { ClientEnd, OpenBackend } from "../backend.ts";
import type { ProxyError } from "../errors.ts";
import { type Door, type PoolSettings, Pools, pooled } from "../pool/index.ts";
import { type Announcer, announceFile } from "../reload/file-change.ts";
import type { Analyzer } from "../statements/index.ts";
import type { Upstreams } from "../upstream/index.ts";
import { openServer } from "./open-server.ts";

/** Clients that the proxy authenticates itself, and the server connections that it opens for them. */
export class Terminating {
  readonly pools: Pools<Accepted>;
  #settings: AuthSettings;
  readonly #tls: boolean | undefined;
  readonly #authentication: Authentication;
  readonly #files: readonly Pick<InForce<unknown>, "reload" | "watch" | "close">[];
  readonly #users: InForce<Users> | undefined;

  private constructor(
    settings: AuthSettings,
    pool: PoolSettings,
    upstreams: Upstreams,
    users: InForce<Users> | undefined,
    passwords: InForce<Passwords> | undefined,
    analyzer: Analyzer,
  ) {
    this.#settings = settings;
    this.#tls = upstreams.encrypted;
    this.#users = users;
    this.#files = [users, passwords].filter((file) => file !== undefined);
    this.#authentication = new Authentication(settings.rules, () => users?.value ?? NOBODY, settings.failuresPerMinute);
    this.pools = new Pools(
      pool,
      openServer(
        upstreams,
        () => this.#settings.upstream,
        () => passwords?.value,
      ),
      analyzer,
      (unanswered) => upstreams.readRetry(unanswered),
    );
  }

  /** @throws ProxyError `bad_config` for the file of users or of passwords */
  static async load(
    settings: AuthSettings,
    pool: PoolSettings,
    upstreams: Upstreams,
    analyzer: Analyzer,
    notice: (line: string) => void,
  ): Promise<Terminating> {
    const users =
      settings.users === undefined ? undefined : await InForce.load(settings.users, "the users", readUsers, notice);
    const passwords =
      settings.passwords === undefined
        ? undefined
        : await InForce.load(settings.passwords, "the passwords for servers", readPasswords, notice);
    return new Terminating(settings, pool, upstreams, users, passwords, analyzer);
  }

  /** @param relay for the clients that the server authenticates */
  opener(relay: OpenBackend, onError: (error: ProxyError) => void): OpenBackend {
    const authentication = this.#authentication;
    const terminated = pooled(this.pools, (end) => this.door(end), onError, this.#tls);
    return (end) => (authentication.methodFor(clientOf(end)) === "relay" ? relay(end) : terminated(end));
  }

  /** Lets in who is not to reach any server, the console's operators: where their rule is to relay them, by `terminate`. */
  door(end: ClientEnd): Door<Accepted> {
    return this.#authentication.authenticator(clientOf(end));
  }

  /** Other rules and limits, for logins that begin from now on; the files stay the same. */
  set settings(settings: AuthSettings) {
    this.#settings = settings;
    this.#authentication.change(settings.rules, settings.failuresPerMinute);
  }

  /**
   * Says in the log who may log in, and from here on each change of it before it counts.
   * @returns when the first is durable
   */
  async announce(recorder: Announcer): Promise<void> {
    const users = this.#users;
    if (users === undefined) return;
    await announceFile(recorder, "users", users.value.digest);
    users.announce = async (next, { digest }) => {
      if (next.digest !== digest) await announceFile(recorder, "users", next.digest, digest);
    };
  }

  /** Reads the files again; what came of it is a notice. */
  async reload(): Promise<void> {
    for (const file of this.#files) await file.reload();
  }

  watch(): void {
    for (const file of this.#files) file.watch();
  }

  /** What the files say now stays. */
  unwatch(): void {
    for (const file of this.#files) file.close();
  }

  close(): void {
    this.unwatch();
    this.pools.close();
  }
}

const NOBODY = noUsers();

function clientOf({ startup, address, encryption }: ClientEnd): AuthClient {
  return {
    // What a Unix socket carries does not leave the machine: PostgreSQL, too, takes passwords there as it does over TLS.
    unread: encryption !== undefined || address === LOCAL,
    user: startup.user,
    database: startup.database,
    host: hostOf(address),
    channelBinding: () => encryption?.endPoint,
    certificate: () => encryption?.certificate?.names,
  };
}
