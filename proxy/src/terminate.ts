import { TLSSocket } from "node:tls";
import {
  type Accepted,
  type AuthClient,
  Authentication,
  type AuthSettings,
  type Credential,
  InForce,
  loginUpstream,
  noUsers,
  type Passwords,
  type RefusedLogin,
  readPasswords,
  readUsers,
  type UpstreamMethod,
  type Users,
} from "./auth/index.ts";
import type { ClientEnd, OpenBackend } from "./backend.ts";
import { ProxyError } from "./errors.ts";
import { type Announcer, announceFile } from "./file-change.ts";
import { type Door, type OpenedServer, type OpenServer, type PoolSettings, Pools, pooled } from "./pool/index.ts";
import { hostOf } from "./session/actor.ts";
import type { Analyzer } from "./statements/index.ts";
import { endPointOfServer } from "./tls/index.ts";
import { cancelUpstream, type Upstreams } from "./upstream/index.ts";
import { refusedName } from "./wire/startup.ts";

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
    this.#tls = upstreams.tls?.always;
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
    user: startup.user,
    database: startup.database,
    host: hostOf(address),
    tls: encryption !== undefined,
    channelBinding: () => encryption?.endPoint,
    certificate: () => encryption?.certificate?.names,
  };
}

/** The pool's way to a server: a connection to a host that takes it, and a login by what the proxy has for the role. */
function openServer(
  upstreams: Upstreams,
  accepted: () => readonly UpstreamMethod[],
  passwords: () => Passwords | undefined,
): OpenServer<Accepted> {
  const { connectTimeoutMs } = upstreams;
  return async ({ user: role, database, parameters }, visitor) => {
    const refusal = refusedName("user", role);
    if (refusal !== undefined) throw refusal;
    const { value: opened } = await upstreams.open<OpenedServer | RefusedLogin>(async (stream, address) => {
      const credential: Credential = {
        password: passwords()?.find(address.host, address.port, database, role),
        // Keys are a password's, and that is the login's; for another role they are nobody's.
        keys: visitor?.login === role ? visitor.keys : undefined,
      };
      const tls =
        stream instanceof TLSSocket
          ? { binding: endPointOfServer(stream), certificate: upstreams.tls?.settings.cert !== undefined }
          : undefined;
      const asked = {
        stream,
        role,
        database,
        parameters,
        credential,
        accepted: accepted(),
        tls,
        timeoutMs: connectTimeoutMs,
      };
      const login = await loginUpstream(asked);
      if (login.kind === "refused") {
        if (login.error.sqlstate !== NOT_NOW) throw refusedBy(login, role);
        return { value: login, unready: true, dispose: () => undefined };
      }
      const { key, parameters: reported } = login;
      const at = stream.remoteAddress === undefined ? address : { ...address, at: stream.remoteAddress };
      const cancel = async (): Promise<void> => {
        if (key !== undefined) await cancelUpstream(at, key.pid, key.key, connectTimeoutMs, upstreams.tls);
      };
      const name = `${address.host}:${address.port}`;
      const value = { stream, parameters: reported, key, address: name, cancel };
      return { value, reported, dispose: () => stream.destroy() };
    });
    if ("kind" in opened) throw refusedBy(opened, role);
    return opened;
  };
}

/** cannot_connect_now: another host, or the same one later, may. */
const NOT_NOW = "57P03";

/**
 * That the proxy's own credential is not taken is not the client's doing; anything else (no such database, too many
 * connections) is told as the server told it.
 */
function refusedBy({ error }: RefusedLogin, role: string): ProxyError {
  const { sqlstate, message } = error;
  if (!sqlstate.startsWith("28")) return new ProxyError("upstream_refused", message, { sqlstate });
  return new ProxyError("upstream_refused", `the database server refused the login of role "${role}": ${message}`);
}
