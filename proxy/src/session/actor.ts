import type { Identity } from "../identity/index.ts";
import type { ClientEncryption } from "../tls/index.ts";
import { MAX_NAME_BYTES, type Startup } from "../wire/startup.ts";
import type { Member, Values } from "./values.ts";

/** Whom the proxy itself has let in. */
export interface Authenticated {
  readonly auth: string;
  readonly identity: string | undefined;
  readonly groups: readonly string[];
}

/** What is known of a client by other means than its messages. */
export interface Seen {
  /** Undefined: the proxy has not let it in, or it is the server that does. */
  readonly authenticated: Authenticated | undefined;
  /** Undefined: it came in the clear. */
  readonly encryption: ClientEncryption | undefined;
}

/** The members of an entry, and the disclosures of the sealed values among them. */
export interface Members {
  readonly members: string;
  readonly disclosures: readonly Uint8Array[];
}

/** What a session's entries say of its client: who it is, by what it was let in, and where it comes from. */
export class Actor {
  /** How the server authenticated it, as far as was seen. */
  auth = "trust";
  /** Of the sealed values among the members. */
  readonly disclosures: readonly Uint8Array[];
  readonly #startup: Startup;
  readonly #seen: () => Seen;
  readonly #identity: Identity | undefined;
  readonly #address: Member;
  #application: string | undefined;
  #role: string;
  #ofStatements: Members | undefined;

  /**
   * @param address `host:port`
   * @param seen asked each time, as it may become known later
   * @param identity reads who stands behind a login; undefined: nobody asks
   */
  constructor(startup: Startup, address: string, values: Values, seen: () => Seen, identity: Identity | undefined) {
    this.#startup = startup;
    this.#seen = seen;
    this.#identity = identity;
    this.#address = values.member("client.address", address, Buffer.byteLength(address));
    this.disclosures = this.#address.disclosure === undefined ? [] : [this.#address.disclosure];
    this.#application = shortEnough(startup.parameters.get("application_name"));
    this.#role = startup.user;
  }

  /** The name the client gave its application, as last reported. */
  get application(): string | undefined {
    return this.#application;
  }

  set application(name: string) {
    this.#application = name === "" ? undefined : shortEnough(name);
    this.#ofStatements = undefined;
  }

  set role(name: string) {
    this.#role = name;
    this.#ofStatements = undefined;
  }

  /** By what it was let in. */
  get method(): string {
    return this.#seen().authenticated?.auth ?? this.auth;
  }

  get groups(): readonly string[] {
    return this.#seen().authenticated?.groups ?? [];
  }

  /** Members of every entry of the session: its id, the actor, and the database. */
  subject(session: string | undefined): string {
    const { user, database } = this.#startup;
    const by = this.#seen().authenticated === undefined ? undefined : "proxy";
    const groups = this.groups.length === 0 ? undefined : this.groups;
    const said = { login: user, auth: this.method, by, identity: this.person(), groups };
    return `"session":"${session}","actor":${JSON.stringify(said)},"database":${JSON.stringify(database)}`;
  }

  /** The member `client` of what begins a session, or refuses it. */
  client(): string {
    const { encryption } = this.#seen();
    const digest = encryption?.certificate?.digest;
    const certificate = digest === undefined ? "" : `,"certificate":"${digest}"`;
    return `"client":{"address":${this.#address.json}${this.#named()},"tls":${encryption !== undefined}${certificate}}`;
  }

  /** Of each statement's entry. The same until a reported parameter changes, so made once. */
  ofStatements(session: string | undefined): Members {
    if (this.#ofStatements === undefined) {
      const role =
        this.#role === this.#startup.user || this.#role === "" ? "" : `,"role":${JSON.stringify(this.#role)}`;
      const client = `"client":{"address":${this.#address.json}${this.#named()}}`;
      const members = `${this.subject(session)}${role},${client}`;
      this.#ofStatements = { members, disclosures: this.disclosures };
    }
    return this.#ofStatements;
  }

  /** Who stands behind the login, as far as that was authenticated. */
  person(): string | undefined {
    const { authenticated, encryption } = this.#seen();
    if (authenticated?.identity !== undefined) return authenticated.identity;
    const names = encryption?.certificate?.names;
    const certificate = [
      ...(names?.commonName === undefined ? [] : [names.commonName]),
      ...(names?.alternatives ?? []),
    ];
    return this.#identity?.authenticated({ login: this.#startup.user, certificate });
  }

  /** Whom the client claims to work for: a member behind a comma, empty without such. @param sql UTF-8 only */
  claimed(sql: Buffer | undefined): string {
    return this.#identity?.claimed(this.#application, sql) ?? "";
  }

  #named(): string {
    return this.#application === undefined ? "" : `,"application":${JSON.stringify(this.#application)}`;
  }
}

/** The server's own names have 63 bytes. One that is much longer would not fit an entry, and means nothing to it. */
export function shortEnough(name: string | undefined): string | undefined {
  return name === undefined || Buffer.byteLength(name) > MAX_NAME_BYTES ? undefined : name;
}
