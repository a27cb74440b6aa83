import type { RuleSet, Subject } from "../../src/access/index.ts";
import { type Explained, explain, parseRules } from "../../src/access/index.ts";

export const ANN: Subject = {
  user: "ann",
  groups: [],
  auth: "scram-sha-256",
  host: "10.20.1.2",
  application: "psql",
  database: "shop",
};

/** @throws with what is wrong in the text */
export function rules(text: string): RuleSet {
  const read = parseRules(text);
  if ("set" in read) return read.set;
  throw new Error(read.problems.map(({ line, column, message }) => `${line}:${column} ${message}`).join("\n"));
}

export interface Asked extends Partial<Subject> {
  readonly path?: string;
  readonly at?: string;
}

export function ask(set: RuleSet, sql: string, { path = "public", at, ...who }: Asked = {}): Promise<Explained[]> {
  const now = at === undefined ? Date.now() : Date.parse(at);
  return explain(set, { subject: { ...ANN, ...who }, sql, searchPath: path, now });
}

/** The rules that decide, `!` before those that deny. */
export async function told(set: RuleSet, sql: string, asked: Asked = {}): Promise<string> {
  const answers = await ask(set, sql, asked);
  return answers.map(({ allowed, rule }) => `${allowed ? "" : "!"}${rule ?? "-"}`).join(" ");
}
