import { readFileSync } from "node:fs";
import { explain, LOCAL, parseRules, type RuleSet } from "@vitrine/proxy";
import type { RulesCommand } from "../args/rules.ts";
import { CliError, oneLine } from "../errors.ts";
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
      if (json) process.stdout.write(`${printableJson({ file, digest, rules: rules.length })}\n`);
      else process.stdout.write(`${printable(file)}: ${rules.length} rules, SHA-256 ${digest}\n`);
      continue;
    }
    wrong += read.problems.length;
    if (json) process.stdout.write(`${printableJson({ file, problems: read.problems })}\n`);
    for (const { line, column, message } of json ? [] : read.problems) {
      process.stderr.write(`${printable(`${file}:${line}:${column}: ${message}`)}\n`);
    }
  }
  if (wrong === 0) return 0;
  throw new CliError("bad_config", `${wrong === 1 ? "there is one error" : `there are ${wrong} errors`} in the rules`);
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
  const lines = answers.flatMap((answer) => {
    const { allowed, rule, observed, why, passed } = answer;
    const by = rule === undefined ? "no rule is asked: it is a transaction command" : why;
    return [
      printable(answer.sql),
      `  ${answer.operation}, class ${answer.class}`,
      ...passed.map((one) => `  line ${one.line}, ${one.rule}: ${printable(one.why)}`),
      ...(observed === undefined ? [] : [`  would be denied by ${observed}, which only observes`]),
      `  ${allowed ? "allowed" : "denied"}: ${printable(by)}`,
    ];
  });
  if (answers.length === 0) lines.push("there is no statement in the text");
  if (denied && answers.length > 1) lines.push("sent as one text, none of these would be executed");
  process.stdout.write(`${lines.join("\n")}\n`);
  return denied ? DENIED : 0;
}

function readSet(file: string): RuleSet {
  const read = parseRules(readText(file));
  if ("set" in read) return read.set;
  const { line, column, message } = read.problems[0]!;
  throw new CliError("bad_config", printable(`${file}:${line}:${column}: ${message}`));
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new CliError("bad_config", `the rules cannot be read: ${oneLine(error)}`);
  }
}
