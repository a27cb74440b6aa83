// npm run bench -- --help
import { rmSync } from "node:fs";
import { parseArgs } from "node:util";
import { startDatabase, temporaryFolder } from "../support/stack.ts";
import { benchAudit } from "./audit.ts";
import { benchConnections } from "./connections.ts";
import { benchCopy } from "./copy.ts";
import { benchExport } from "./export.ts";
import { benchGrowth } from "./growth.ts";
import { benchLog } from "./log.ts";
import { describeMachine } from "./machine.ts";
import { benchPgbench, benchRules } from "./pgbench.ts";
import { benchSearch } from "./search.ts";
import { benchWitness } from "./witness.ts";

const USAGE = `npm run bench -- [NAMES] [options]

  --only NAMES    some of pgbench, rules, connections, copy, log, audit, export, search,
                  witness, separated by commas [all]
  --seconds N     length of a round of pgbench [10]
  --rounds N      rounds, each way in turn [3]
  --clients N     of pgbench [16]; several with commas between, each a comparison
  --entries N     for the log-server, audit, export and search [100000]
  growth          is not among all: a log grown to --entries [1000000]; with --out FOLDER its figures are written there
  --smoke         everything once and short: does it run?
`;

const { values, positionals } = parseArgs({
  options: {
    only: { type: "string", default: "pgbench,rules,connections,log,audit,export,search,copy,witness" },
    seconds: { type: "string" },
    rounds: { type: "string" },
    clients: { type: "string", default: "16" },
    entries: { type: "string" },
    out: { type: "string" },
    smoke: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
  allowPositionals: true,
});
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
const seconds = Number(values.seconds ?? (values.smoke ? 1 : 10));
const rounds = Number(values.rounds ?? (values.smoke ? 1 : 3));
const entries = Number(values.entries ?? (values.smoke ? 10_000 : 100_000));
const only = new Set(positionals.length > 0 ? positionals : values.only.split(","));

console.log(describeMachine());
if (only.has("log")) await benchLog({ entries, submitters: 8 });
if (only.has("audit")) await benchAudit({ entries, rounds });
if (only.has("export")) await benchExport({ entries, rounds });
if (only.has("growth")) {
  const most = Number(values.entries ?? (values.smoke ? 20_000 : 1_000_000));
  await benchGrowth({ entries: most, out: values.out });
}
if (only.has("search")) await benchSearch({ entries, rounds: values.smoke ? 5 : 100 });
if (only.has("witness")) await benchWitness({ logs: values.smoke ? 20 : 200, requests: values.smoke ? 500 : 10_000 });
if (["pgbench", "rules", "connections", "copy"].some((name) => only.has(name))) {
  const folder = temporaryFolder("bench");
  // PgBouncer keeps its connections when the next way has its turn.
  const database = await startDatabase(folder, { max_connections: 300 });
  try {
    const load = { seconds, rounds, clients: values.clients.split(",").map(Number) };
    if (only.has("pgbench")) await benchPgbench(database, folder, load);
    if (only.has("rules")) await benchRules(database, load);
    if (only.has("connections"))
      await benchConnections(database, folder, { seconds, idle: values.smoke ? 500 : 10_000 });
    if (only.has("copy")) await benchCopy(database, { megabytes: values.smoke ? 20 : 500, rounds });
  } finally {
    await database.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
