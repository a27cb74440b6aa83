import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { type Explained, explain, type Limits, LOCAL, notesOn, parseRules, type RuleSet } from "@vitrine/proxy";
import type { RulesCommand } from "../args/rules.ts";
import { CliError, EXIT_STATUS, oneLine } from "../errors.ts";
import { printable, printableJson } from "../printable.ts";
import { parseTime } from "../time.ts";

/** A statement is denied. */
const DENIED = 2;

/**
 * `vitrine proxy rules check` and `test`.
 *
 * @returns the exit status
 * @throws CliError `bad_config`, `usage`
 */
export async function runRules(command: RulesCommand): Promise<number> {
  return command.rules === "check" ? check(command) : test(command);
}

function check({ files, json }: RulesCommand & { rules: "check" }): number {
  let wrong = 0;
  for (const file of files) {
    const read = parseRules(readText(file));
    if ("set" in read) {
      const { digest, rules } = read.set;
      const notes = notesOn(read.set, Date.now());
      const count = `${rules.length} ${rules.length === 1 ? "rule" : "rules"}`;
      if (json) process.stdout.write(`${printableJson({ file, digest, rules: rules.length, notes })}\n`);
      else process.stdout.write(`${printable(file)}: ${count}, SHA-256 ${digest}\n`);
      for (const { line, message } of json ? [] : notes) {
        process.stdout.write(`${printable(`${file}:${line}: note: ${message}`)}\n`);
      }
      continue;
    }
    wrong += read.problems.length;
    if (json) process.stdout.write(`${printableJson({ file, problems: read.problems })}\n`);
    for (const { line, column, message } of json ? [] : read.problems) {
      process.stderr.write(`${printable(`${file}:${line}:${column}: ${message}`)}\n`);
    }
  }
  if (wrong === 0) return 0;
  const message = `${wrong === 1 ? "there is one error" : `there are ${wrong} errors`} in the rules`;
  if (!json) throw new CliError("bad_config", message);
  // The problems are on standard output already, an object for each file.
  process.stderr.write(`vitrine: bad_config: ${message}\n`);
  return EXIT_STATUS.bad_config;
}

async function test(command: RulesCommand & { rules: "test" }): Promise<number> {
  const { user, groups, database, auth, application, sql, searchPath } = command;
  const now = command.at === undefined ? Date.now() : Date.parse(parseTime(command.at, "--at"));
  const subject = { user, groups, database, auth, host: command.address ?? LOCAL, application };
  const answers = await explain(readSet(command.file), { subject, sql, searchPath, now });
  const denied = answers.some(({ allowed }) => !allowed);
  if (command.json) {
    process.stdout.write(`${printableJson({ allowed: !denied, statements: answers })}\n`);
    return denied ? DENIED : 0;
  }
  const lines = answers.flatMap(shown);
  if (answers.length === 0) lines.push("there is no statement in the text: it executes nothing, and no rule is asked");
  if (denied && answers.length > 1) lines.push("sent as one text, none of these would be executed");
  process.stdout.write(`${lines.join("\n")}\n`);
  return denied ? DENIED : 0;
}

function shown(answer: Explained): string[] {
  const { allowed, rule, why, passed, hint, limits, incomplete } = answer;
  const by = rule === undefined ? "no rule is asked: it is a transaction command" : why;
  const unread = answer.class === "unknown" && incomplete !== undefined ? `: ${UNKNOWN[incomplete] ?? incomplete}` : "";
  return [
    printable(answer.sql),
    `  ${answer.operation}, class ${answer.class}${unread}`,
    ...passed.map((one) => `  line ${one.line}, ${one.rule}: ${printable(one.why)}`),
    `  ${allowed ? "allowed" : "denied"}: ${printable(by)}${limits === undefined ? "" : `, ${limitsText(limits)}`}`,
    ...(hint === undefined ? [] : [`  hint to the client: ${printable(hint)}`]),
  ];
}

/** Why a text is of class `unknown`. */
const UNKNOWN: Readonly<Record<string, string>> = {
  syntax: "PostgreSQL's grammar rejects the text",
  "too-large": "the text is too long, or names too much",
  encoding: "the text is not UTF-8",
  opaque: "what it executes is not in the text",
  analysis: "the text could not be analysed",
};

function limitsText({ rows, bytes, statementsPerMinute }: Limits): string {
  const parts = [
    rows === undefined ? [] : [`${rows} rows`],
    bytes === undefined ? [] : [`${bytes} bytes`],
    statementsPerMinute === undefined ? [] : [`${statementsPerMinute} statements a minute`],
  ];
  return `up to ${parts.flat().join(", ")}`;
}

function readSet(file: string): RuleSet {
  const read = parseRules(readText(file));
  if ("set" in read) return read.set;
  const { line, column, message } = read.problems[0]!;
  throw new CliError("bad_config", printable(`${file}:${line}:${column}: ${message}`));
}

function readText(file: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new CliError("bad_config", `the rules cannot be read: ${oneLine(error)}`);
  }
  if (!isUtf8(bytes)) throw new CliError("bad_config", `${printable(file)}: the file is not UTF-8`);
  return bytes.toString("utf8");
}
