import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import {
  type Accepted,
  type Credential,
  loginUpstream,
  type Passwords,
  type RefusedLogin,
  type UpstreamMethod,
} from "../auth/index.ts";
import { ProxyError } from "../errors.ts";
import type { OpenedServer, OpenServer } from "../pool/index.ts";
import { askedForCertificate, endPointOfServer } from "../tls/index.ts";
import {
  cancelUpstream,
  type Enter,
  fitOf,
  HOT_STANDBY,
  hostPort,
  type Reported,
  ROLE_QUESTION,
  readRole,
  type Upstreams,
} from "../upstream/index.ts";
import { refusedName } from "../wire/startup.ts";
import { changeFirst } from "./first-messages.ts";

/** cannot_connect_now: another host, or the same one later, may. */
const NOT_NOW = "57P03";

interface In {
  readonly server: OpenedServer;
  /** What is known of the server. */
  readonly known: Reported;
}

/**
 * The pool's way to a server: a connection to a host that takes it, and a login by what the proxy has for the role.
 * @param accepted how a server may let the proxy in
 */
export function openServer(
  upstreams: Upstreams,
  accepted: () => readonly UpstreamMethod[],
  passwords: () => Passwords | undefined,
): OpenServer<Accepted> {
  const { connectTimeoutMs: timeoutMs, target } = upstreams;
  return async ({ user: role, database, parameters }, visitor) => {
    const refusal = refusedName("user", role);
    if (refusal !== undefined) throw refusal;
    const enter: Enter<In | RefusedLogin> = async (stream, address) => {
      const credential: Credential = {
        password: passwords()?.find(address.host, address.port, database, role),
        // Keys are a password's, and that is the login's; for another role they are nobody's.
        keys: visitor?.login === role ? visitor.keys : undefined,
      };
      const hasCertificate = upstreams.tls?.settings.cert !== undefined;
      const tls =
        stream instanceof TLSSocket
          ? { binding: endPointOfServer(stream), certificate: hasCertificate && askedForCertificate(stream) }
          : undefined;
      const login = await loginUpstream({
        stream,
        role,
        database,
        parameters,
        credential,
        accepted: accepted(),
        tls,
        timeoutMs,
      });
      if (login.kind === "refused") {
        if (login.error.sqlstate !== NOT_NOW) throw refusedBy(login, role);
        return { value: login, unready: true, dispose: () => undefined };
      }
      const { key, parameters: reported } = login;
      const asked = target === "any" || reported.has(HOT_STANDBY) ? [] : await askRole(stream, timeoutMs);
      const at = stream.remoteAddress === undefined ? address : { ...address, at: stream.remoteAddress };
      const cancel = async (): Promise<void> => {
        if (key !== undefined) await cancelUpstream(at, key.pid, key.key, timeoutMs, upstreams.tls);
      };
      const server = { stream, parameters: reported, key, address: hostPort(address), cancel };
      const known = new Map([...reported, ...asked]);
      return { value: { server, known }, reported: known, dispose: () => stream.destroy() };
    };
    const { value, host } = await upstreams.open(enter);
    if ("kind" in value) throw refusedBy(value, role);
    const known = new Map(value.known);
    return {
      ...value.server,
      ...(upstreams.hosts.length > 1 ? { host: host.name } : {}),
      reported: (name, text) => {
        host.reported(name, text);
        // That a role or a client may only read for now says nothing about the server.
        if (name !== HOT_STANDBY) return true;
        const fit = fitOf(target, known.set(name, text));
        return fit === "fits" || fit === "second";
      },
    };
  };
}

/** What a server is that has not reported it. Leaves the stream as it was, and what else the server said in it. */
async function askRole(stream: Duplex, timeoutMs: number): Promise<Reported> {
  let reported: Reported = new Map();
  stream.write(ROLE_QUESTION);
  const answer = (bytes: Buffer): Buffer | undefined => {
    const role = readRole(bytes);
    if (role !== undefined) reported = role.reported;
    return role?.others;
  };
  await changeFirst(stream, answer, timeoutMs);
  return reported;
}

/**
 * That the proxy's own credential is not taken is not the client's doing; anything else (no such database, too many
 * connections) is told as the server told it.
 */
function refusedBy({ error }: RefusedLogin, role: string): ProxyError {
  const { sqlstate, message } = error;
  if (!sqlstate.startsWith("28")) return new ProxyError("upstream_refused", message, { sqlstate });
  return new ProxyError("upstream_refused", `the database server refused the login of role "${role}": ${message}`);
}
