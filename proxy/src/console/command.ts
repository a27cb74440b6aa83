import { ProxyError } from "../errors.ts";
import { isShown, SHOWN, type Shown } from "./shown.ts";

/** What can be done besides looking. `database` left out: all of them. */
export type Act =
  | { readonly kind: "pause"; readonly database: string | undefined }
  | { readonly kind: "resume"; readonly database: string | undefined }
  | { readonly kind: "reconnect"; readonly database: string | undefined }
  | { readonly kind: "kill"; readonly database: string }
  /** `worker` where there are several, each of which counts its sessions. */
  | { readonly kind: "kill_client"; readonly session: string; readonly worker?: number }
  | { readonly kind: "reload" }
  | { readonly kind: "shutdown"; readonly wait: "none" | "servers" | "clients" };

export type Command =
  | { readonly kind: "show"; readonly what: Shown }
  /** Drivers say such things of themselves; here it has no meaning and does no harm. */
  | { readonly kind: "ignored"; readonly tag: string }
  | { readonly kind: "act"; readonly act: Act };

/** One token: a word, a name in double quotes, a literal, or any other character. */
const TOKEN =
  /\s+|--[^\n]*|\/\*[\s\S]*?\*\/|"((?:[^"]|"")*)"|'((?:[^']|'')*)'|([\p{L}_][\p{L}\p{N}_$]*)|([0-9.]+)|([\s\S])/gu;

interface Token {
  readonly kind: "word" | "name" | "literal" | "number" | "other";
  readonly text: string;
}

const IGNORED: readonly string[] = ["set", "reset", "discard", "deallocate"];

/**
 * @param text one command, with or without a semicolon
 * @returns undefined when there is none in it
 * @throws ProxyError `console_syntax`
 */
export function parseCommand(text: string): Command | undefined {
  const tokens = tokenize(text);
  while (tokens.at(-1)?.text === ";" && tokens.at(-1)?.kind === "other") tokens.pop();
  const [first, ...rest] = tokens;
  if (first === undefined) return undefined;
  const verb = first.kind === "word" ? first.text.toLowerCase() : "";
  if (IGNORED.includes(verb) && !rest.some(({ kind, text }) => kind === "other" && text === ";")) {
    return { kind: "ignored", tag: verb.toUpperCase() };
  }
  switch (verb) {
    case "show":
      return show(rest);
    case "pause":
    case "resume":
    case "reconnect":
      return act({ kind: verb, database: optionalName(rest) });
    case "kill": {
      const database = optionalName(rest);
      if (database === undefined) throw wrong("KILL names a database");
      return act({ kind: "kill", database });
    }
    case "kill_client": {
      const [session, worker, ...more] = rest;
      const numbered = worker === undefined || /^[1-9][0-9]{0,4}$/.test(worker.text);
      if (more.length > 0 || !numbered || session === undefined || !/^[0-9]+\.[0-9]+$/.test(session.text)) {
        throw wrong(
          "KILL_CLIENT names a session, such as 3.17, and behind it its worker: id and worker of SHOW CLIENTS",
        );
      }
      const at = worker === undefined ? {} : { worker: Number(worker.text) };
      return act({ kind: "kill_client", session: session.text, ...at });
    }
    case "reload":
      if (rest.length > 0) throw wrong("RELOAD stands alone");
      return act({ kind: "reload" });
    case "shutdown":
      return act({ kind: "shutdown", wait: waitOf(rest) });
    default:
      throw wrong("there is no such command");
  }
}

function act(what: Act): Command {
  return { kind: "act", act: what };
}

function show(rest: readonly Token[]): Command {
  const [first] = rest;
  const what = first?.kind === "word" ? first.text.toLowerCase() : undefined;
  if (rest.length !== 1 || what === undefined || !isShown(what)) {
    throw wrong(`SHOW is followed by one of ${SHOWN.join(", ").toUpperCase()}`);
  }
  return { kind: "show", what };
}

function optionalName(rest: readonly Token[]): string | undefined {
  const [first] = rest;
  if (first === undefined) return undefined;
  if (rest.length > 1 || (first.kind !== "word" && first.kind !== "name") || first.text === "") {
    throw wrong("one database can be named, in double quotes where its name is not a plain word");
  }
  // As PostgreSQL reads names.
  return first.kind === "word" ? first.text.toLowerCase() : first.text;
}

function waitOf(rest: readonly Token[]): "none" | "servers" | "clients" {
  if (rest.length === 0) return "none";
  const what = rest.length === 1 && rest[0]!.kind === "word" ? rest[0]!.text.toLowerCase() : undefined;
  if (what === "wait_for_servers") return "servers";
  if (what === "wait_for_clients") return "clients";
  throw wrong("SHUTDOWN stands alone, or with WAIT_FOR_SERVERS or WAIT_FOR_CLIENTS");
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  for (const [whole, name, literal, word, number] of text.matchAll(TOKEN)) {
    if (/^(?:\s|--|\/\*)/.test(whole)) continue;
    if (name !== undefined) tokens.push({ kind: "name", text: name.replaceAll('""', '"') });
    else if (literal !== undefined) tokens.push({ kind: "literal", text: literal });
    else if (word !== undefined) tokens.push({ kind: "word", text: word });
    else if (number !== undefined) tokens.push({ kind: "number", text: number });
    else tokens.push({ kind: "other", text: whole });
  }
  return tokens;
}

function wrong(what: string): ProxyError {
  return new ProxyError("console_syntax", `${what}; SHOW HELP lists the commands`);
}
