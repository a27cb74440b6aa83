import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { isMap, isScalar, isSeq, parseDocument, stringify } from "yaml";
import { CliError } from "./errors.ts";

/** The first log-server.yaml of a data folder. `listen` is set at each start. */
export function initialLogServerYaml(origin: string, sourceVkey: string): string {
  return `# The log-server of this data folder. Paths are relative to this file.
# \`vitrine log-server --example\` prints every key with its default.

# Set by \`vitrine up\` at each start, from its option --log. Everything else is yours to edit.
listen: 127.0.0.1:6962

origin: ${origin} # never changes: it stands in every checkpoint
key: keys/log.key
acts_key: keys/acts.key # of the source that the log is itself
store: log/store
index: log/index
search_index: log/search
guard: guard/checkpoint # the checkpoint last signed; never restore it from a backup
sources:
  - ${sourceVkey}
tokens: tokens # who may read and do what; see: vitrine log --help
`;
}

/** The first proxy.yaml of a data folder. `listen`, `upstream` and `log.url` are set at each start. */
export function initialProxyYaml(): string {
  return `# The proxy of this data folder. Paths are relative to this file.
# \`vitrine proxy --example\` prints every key with its default.

# Set by \`vitrine up\` at each start, from its options: listen by --proxy, upstream by --upstream (or to the embedded
# PostgreSQL, whose port changes), log.url to where the log-server listens. Everything else is yours to edit.
listen: 127.0.0.1:6432
upstream: postgres://127.0.0.1:5432
log:
  url: http://127.0.0.1:6962
  vkey: log.vkey

source:
  key: keys/source.key
spool:
  dir: spool
`;
}

/**
 * Sets some keys of a YAML file and leaves everything else, comments included, as it is. The file is replaced
 * atomically, and only when something changes.
 *
 * @param values by path: `log.url`
 * @throws CliError `bad_config` when the file is not YAML, with the line
 */
export function setInYaml(file: string, values: Record<string, string>): void {
  const before = readFileSync(file, "utf8");
  const document = parseDocument(before);
  const [error] = document.errors;
  if (error !== undefined) {
    throw new CliError("bad_config", `${file}: ${error.message.split("\n", 1)[0]?.replace(/:$/, "")}; correct it`);
  }
  // Values are replaced in the text itself: written out anew, the document would lose a person's layout.
  const edits: { from: number; to: number; text: string }[] = [];
  const missing: [string[], string][] = [];
  for (const [key, value] of Object.entries(values)) {
    const at = key.split(".");
    const parent = at.length > 1 ? document.getIn(at.slice(0, -1)) : document.contents;
    if (!isMap(parent)) {
      const what = at.slice(0, -1).join(".") || "the file";
      throw new CliError("bad_config", `${file}: ${what} is not a mapping; correct it`);
    }
    const node = document.getIn(at, true);
    if (isScalar(node) && node.value === value) continue;
    if (isScalar(node) && node.range && node.range[1] > node.range[0]) {
      edits.push({ from: node.range[0], to: node.range[1], text: stringify(value, { lineWidth: 0 }).trim() });
    } else missing.push([at, value]);
  }
  if (edits.length === 0 && missing.length === 0) return;
  let after = before;
  for (const { from, to, text } of edits.sort((a, b) => b.from - a.from)) {
    after = after.slice(0, from) + text + after.slice(to);
  }
  if (missing.length > 0) {
    const completed = parseDocument(after);
    for (const [at, value] of missing) completed.setIn(at, value);
    after = completed.toString({ lineWidth: 0 });
  }
  replace(file, after);
}

/**
 * Adds an item to a list at the top of a YAML file, unless it is there, and leaves everything else as it is.
 *
 * @throws CliError `bad_config` when the file is not YAML, or has something else than a list there
 */
export function addInYaml(file: string, key: string, value: string): void {
  const before = readFileSync(file, "utf8");
  const document = parseDocument(before);
  const list = document.get(key, true) ?? document.createNode([]);
  if (document.errors.length > 0 || !isMap(document.contents) || !isSeq(list)) {
    throw new CliError("bad_config", `${file}: ${key} is not a list; correct it`);
  }
  if ((list.toJSON() as unknown[]).includes(value)) return;
  const last = list.items.at(-1);
  const end = isScalar(last) ? last.range?.[1] : undefined;
  if (list.flow !== true && end !== undefined && isScalar(last) && last.range) {
    // Behind the line of the last item, as that one is indented: a person's layout stays.
    const line = before.lastIndexOf("\n", last.range[0]) + 1;
    const dash = /^[ \t]*-[ \t]+/.exec(before.slice(line))?.[0] ?? "  - ";
    const at = before.indexOf("\n", end) < 0 ? before.length : before.indexOf("\n", end);
    replace(file, `${before.slice(0, at)}\n${dash}${value}${before.slice(at)}`);
    return;
  }
  list.add(document.createNode(value));
  document.set(key, list);
  replace(file, document.toString({ lineWidth: 0 }));
}

function replace(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600, flush: true });
  renameSync(`${file}.new`, file);
}
