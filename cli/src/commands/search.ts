import type { SearchCommand } from "../args/search.ts";
import { printable, printableJson } from "../printable.ts";
import { type Found, searchLog } from "../search-client.ts";
import { searchTable } from "../search-table.ts";

/**
 * `vitrine search`: asks a log for entries. What it prints is the log's word, and says so.
 *
 * @returns the exit status
 * @throws CliError `log_unreachable`, `log_refused`, `log_answer`
 */
export async function runSearch(command: SearchCommand): Promise<number> {
  const exposed = /^http:\/\/(?!localhost[:/]|127\.|\[::1\])/.test(`${command.log}/`);
  if (command.token !== undefined && exposed) {
    process.stderr.write("vitrine: the token goes over plain HTTP; whoever is on the way can read it\n");
  }
  const found = await searchLog(command);
  const lines = command.json ? [printableJson(asJson(command, found))] : report(command, found);
  process.stdout.write(`${lines.join("\n")}\n`);
  return 0;
}

function asJson(command: SearchCommand, { size, hits, complete }: Found): Record<string, unknown> {
  return { log: command.log, verified: false, size, complete, hits };
}

function report(command: SearchCommand, { size, hits, complete }: Found): string[] {
  const count = `${hits.length} ${hits.length === 1 ? "hit" : "hits"}`;
  const more = complete ? "" : `; there may be older ones, see --limit`;
  const example = hits.length > 0 ? String(hits[0]!.index) : "INDEX";
  return [
    ...(hits.length > 0 ? [...searchTable(hits), ""] : []),
    `${count} among ${size} entries, newest first${more}.`,
    "This is the log's word. To prove a hit, or to search without trusting the log, which may leave hits out:",
    `  vitrine-verifier prove --log ${command.log} --vkey KEY --index ${example} -o evidence.json`,
    `  vitrine-verifier audit --log ${command.log} --vkey KEY --all${auditOptions(command)}`,
  ];
}

/** The options of the verifier's audit that ask the same; what it does not have is left out, and lists more. */
function auditOptions({ fields, since, until }: SearchCommand): string {
  const options: [string, string][] = [];
  for (const option of ["user", "identity", "claimed", "database", "table", "operation"] as const) {
    const values = fields.get(option) ?? [];
    // It takes one value of each.
    if (values.length === 1) options.push([option, values[0]!]);
  }
  if (since !== undefined) options.push(["since", since]);
  if (until !== undefined) options.push(["until", until]);
  return options.map(([name, value]) => ` --${name} ${quoted(printable(value))}`).join("");
}

/** As it can be pasted into a shell. */
function quoted(value: string): string {
  return /^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
}
