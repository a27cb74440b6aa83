import type { StatementClass } from "../statements/index.ts";
import type { Network } from "./network.ts";
import type { Name, Pattern } from "./patterns.ts";
import type { When } from "./when.ts";

/** spec/access.md, in memory. */

export const ACTIONS = ["allow", "deny", "observe"] as const;
export type Action = (typeof ACTIONS)[number];

/** What is left out is not asked. */
export interface Who {
  readonly users: readonly Pattern[] | undefined;
  readonly groups: readonly string[] | undefined;
  readonly auth: readonly string[] | undefined;
  readonly networks: readonly Network[] | undefined;
  readonly applications: readonly Pattern[] | undefined;
}

export interface What {
  /** undefined: in an allow rule all but `unknown`, in the others all */
  readonly classes: ReadonlySet<StatementClass> | undefined;
  readonly reads: readonly Name[] | undefined;
  readonly writes: readonly Name[] | undefined;
  readonly functions: readonly Name[] | undefined;
  /** Whether an UPDATE or DELETE without WHERE stands in it. */
  readonly unfiltered: boolean | undefined;
}

export interface Limits {
  readonly statementsPerMinute: number | undefined;
  /** Rows that one statement may return. */
  readonly rows: number | undefined;
  /** Bytes that one statement may return, counted as in its entry (`bytes_out`). */
  readonly bytes: number | undefined;
}

export interface Rule {
  readonly name: string;
  /** In the file, from 1. */
  readonly line: number;
  readonly action: Action;
  readonly who: Who;
  readonly databases: readonly Pattern[] | undefined;
  readonly what: What;
  readonly when: When | undefined;
  readonly limits: Limits;
  readonly hint: string | undefined;
}

export interface RuleSet {
  /** Hex SHA-256 of the file's bytes. */
  readonly digest: string;
  readonly rules: readonly Rule[];
  /** A login's groups. */
  readonly groups: ReadonlyMap<string, ReadonlySet<string>>;
  /** Schemas may be called like users: then `"$user"` in a search_path may be any schema. */
  readonly userSchemas: boolean;
}

/** What decides where no rule matches; no rule may have this name. */
export const DEFAULT_RULE = "default";
