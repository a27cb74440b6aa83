import { type AuthClient, Authenticator, type LearntKeys, type Step } from "../../src/auth/authenticator.ts";
import { Guesses } from "../../src/auth/guesses.ts";
import { saslInitialResponse, saslResponse } from "../../src/auth/messages.ts";
import type { AuthMethod } from "../../src/auth/rules.ts";
import { formatVerifier, keysOf, type ScramKeys, verifierOf } from "../../src/auth/scram.ts";
import { ScramClient } from "../../src/auth/scram-client.ts";
import { parseUsers, type Users } from "../../src/auth/users.ts";

export const SECRET: string = Buffer.alloc(32, 7).toString("base64");

const SALT = Buffer.alloc(16, 3);
/** The keys and the verifier of "pencil". */
export const pencilKeys: ScramKeys = await keysOf("pencil", SALT, 4096);
export const PENCIL: string = formatVerifier(verifierOf(pencilKeys));

export function users(...lines: string[]): Users {
  return parseUsers([`secret=${SECRET}`, ...lines, ""].join("\n"), "users");
}

export interface Login {
  readonly user?: string;
  readonly method?: Exclude<AuthMethod, "relay">;
  readonly binding?: Buffer;
  readonly tls?: boolean;
  readonly names?: { commonName: string | undefined; alternatives: readonly string[] };
  readonly guesses?: Guesses;
  readonly waits?: number[];
  readonly learnt?: LearntKeys;
}

export function authenticator(all: Users, login: Login): Authenticator {
  const client: AuthClient = {
    user: login.user ?? "ann",
    database: "shop",
    host: "192.0.2.1",
    unread: login.tls ?? login.binding !== undefined,
    channelBinding: () => login.binding,
    certificate: () => login.names,
  };
  const wait = async (ms: number): Promise<void> => {
    login.waits?.push(ms);
  };
  return new Authenticator(
    client,
    login.method ?? "terminate",
    all,
    login.guesses ?? new Guesses(60),
    login.learnt,
    wait,
  );
}

/** What the client does with a whole exchange. @returns the steps, and the data of the server's messages */
export async function scramLogin(
  one: Authenticator,
  password: string,
  binding?: Buffer,
): Promise<{ last: Step; serverFirst: string; kinds: string[] }> {
  const kinds: string[] = [];
  const say = (step: Step): Step => {
    kinds.push(step.kind);
    return step;
  };
  say(await one.begin());
  const mechanism = binding === undefined ? "SCRAM-SHA-256" : "SCRAM-SHA-256-PLUS";
  const client = new ScramClient({ secret: { password }, mechanism, binding });
  const second = say(await one.feed(saslInitialResponse(mechanism, client.first())));
  if (second.kind !== "continue") return { last: second, serverFirst: "", kinds };
  const serverFirst = second.send.toString("utf8", 9);
  const last = say(await one.feed(saslResponse(await client.final(serverFirst))));
  if (last.kind === "accepted") {
    // SASLFinal, and AuthenticationOk behind it.
    client.verify(last.send.toString("utf8", 9, last.send.readUInt32BE(1) + 1));
  }
  return { last, serverFirst, kinds };
}
