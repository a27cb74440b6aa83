import { CliError } from "../errors.ts";
import { parseTime } from "../time.ts";
import { HELP, type HelpInvocation, parse } from "./parse.ts";

/** `vitrine reconcile`. */
export interface ReconcileCommand {
  /** As the verifier's commands take it. */
  readonly log: {
    readonly log: string;
    readonly vkeys: readonly string[];
    readonly policy: string | undefined;
    readonly maxAge: number | undefined;
    readonly state: string | undefined;
    readonly token: string | undefined;
    readonly timeoutMs: number;
    readonly json: boolean;
  };
  readonly database: string;
  /** Milliseconds since 1970; undefined: since the log's first entry. */
  readonly since: number | undefined;
  readonly sources: readonly string[];
  readonly except: readonly string[];
  readonly pools: readonly string[];
  readonly serverLogs: readonly string[];
  readonly skewMs: number;
  readonly waitMs: number;
}

export interface ReconcileInvocation {
  readonly do: "reconcile";
  readonly command: ReconcileCommand;
}

const text = { type: "string" } as const;
const list = { type: "string", multiple: true } as const;
const SEE = "see vitrine reconcile --help";

/**
 * @param argv what stands behind `reconcile`
 * @throws CliError `usage`
 */
export function readReconcileCommand(argv: readonly string[]): ReconcileInvocation | HelpInvocation {
  const options = {
    ...HELP,
    log: text,
    vkey: list,
    policy: text,
    "max-age": text,
    state: text,
    token: text,
    timeout: text,
    database: text,
    since: text,
    source: list,
    except: list,
    pool: list,
    "server-log": list,
    skew: text,
    wait: text,
    json: { type: "boolean" },
  } as const;
  const { values } = parse([...argv], options, "reconcile");
  if (values.help) return { do: "help", topic: "reconcile" };
  const { log, database, vkey = [] } = values;
  if (!log) throw new CliError("usage", `--log URL is missing; ${SEE}`);
  if (!database) throw new CliError("usage", `--database URL is missing; ${SEE}`);
  // It may hold a password, so no message repeats it.
  if (!/^postgres(?:ql)?:\/\//.test(database))
    throw new CliError("usage", "--database must be a URL that begins with postgres://");
  if (vkey.length === 0 && values.policy === undefined)
    throw new CliError("usage", `--vkey FILE|KEY is missing: whom the log is to be believed by; ${SEE}`);
  const seconds = (name: "max-age" | "timeout" | "skew" | "wait", otherwise: number): number => {
    const value = values[name];
    if (value === undefined) return otherwise;
    if (!/^[0-9]{1,7}$/.test(value)) throw new CliError("usage", `--${name} is not a number of seconds`);
    return Number(value);
  };
  const since = values.since === undefined ? undefined : Date.parse(parseTime(values.since, "--since"));
  return {
    do: "reconcile",
    command: {
      log: {
        log,
        vkeys: vkey,
        policy: values.policy,
        maxAge: values["max-age"] === undefined ? undefined : seconds("max-age", 0),
        state: values.state,
        token: values.token,
        timeoutMs: seconds("timeout", 30) * 1000,
        json: values.json ?? false,
      },
      database,
      since,
      sources: values.source ?? [],
      except: values.except ?? [],
      pools: values.pool ?? [],
      serverLogs: values["server-log"] ?? [],
      skewMs: seconds("skew", 5) * 1000,
      waitMs: seconds("wait", 10) * 1000,
    },
  };
}
