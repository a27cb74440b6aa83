/** One walk over a statement's tree, in which its relations, functions and effects are collected. */
import { type Attribute, attributeOf } from "./attributes.ts";
import { OPERATORS, TYPES } from "./builtins.ts";
import { callEffect, hasNoEffect, isEffectful } from "./function-effects.ts";
import { isCte, type Scope } from "./scope.ts";
import { qualifiedName, SEQUENCE_FUNCTIONS, writtenArgument } from "./sequence-calls.ts";
import { type Access, CLASSES, type Facts, isSettings, type Relation, type StatementClass } from "./statement.ts";
import { type Nodes, PLAIN_NODES, strings, written } from "./tree.ts";

/**
 * `run`: the server executes it. `define`: it becomes part of a definition; an effect counts, but nothing runs that the
 * text does not show. `plan`: EXPLAIN; the planner may evaluate functions that call themselves immutable or stable.
 */
export type Mode = "run" | "define" | "plan";

/** What is said of a statement of one type, a node of shape T, and how it is walked over. */
export interface Command<T> {
  readonly tag: string | ((node: T) => string);
  readonly class: StatementClass | ((node: T) => StatementClass);
  /** Left out: all children are visited. A RangeVar that is a field of its own is a target. */
  readonly visit?: (walk: Walk, node: T, scope: Scope | undefined) => void;
}

type Handler = (walk: Walk, node: never, scope: Scope | undefined) => void;

const RANK: Readonly<Record<StatementClass, number>> = Object.fromEntries(
  CLASSES.map((name, rank) => [name, rank]),
) as Record<StatementClass, number>;

export class Walk {
  mode: Mode = "run";
  readonly #commandOf: (type: string) => Command<object> | undefined;
  #rank = 0;
  #partial = false;
  #unseen = false;
  #elsewhere: Access | undefined;
  #strange = false;
  #foreignType = false;
  #foreignOperator = false;
  #bare = false;
  #unfiltered = false;
  #made: { readonly schema: string; readonly names: ReadonlySet<string> } | undefined;
  readonly #relations: Map<string, Relation> = new Map();
  readonly #functions: Set<string> = new Set();
  readonly #effectful: Set<string> = new Set();

  /** @param commandOf what is known of a type of statement */
  constructor(commandOf: (type: string) => Command<object> | undefined) {
    this.#commandOf = commandOf;
  }

  raise(effect: StatementClass): void {
    if (RANK[effect] > this.#rank) this.#rank = RANK[effect];
  }

  /** Something runs that is not in the text. */
  opaque(): void {
    this.#partial = true;
    this.#unseen = true;
  }

  /** More is reached than the text names. @param access what is done to relations that it does not name */
  partial(access?: Access): void {
    this.#partial = true;
    if (this.mode !== "plan" && this.#elsewhere !== "write") this.#elsewhere = access ?? this.#elsewhere;
  }

  /** An UPDATE or DELETE without WHERE. */
  unfiltered(): void {
    if (this.mode !== "plan") this.#unfiltered = true;
  }

  /** Children of a node or a list, whatever they are. */
  visit(value: unknown, scope: Scope | undefined): void {
    if (typeof value !== "object" || value === null) return;
    if (Array.isArray(value)) {
      for (const item of value) this.visit(item, scope);
      return;
    }
    for (const key in value) {
      const child = (value as Record<string, unknown>)[key];
      if (typeof child !== "object" || child === null) continue;
      const first = key.charCodeAt(0);
      if (first >= 65 && first <= 90) this.node(key, child, scope);
      else if (Array.isArray(child)) for (const item of child) this.visit(item, scope);
      else this.#field(key, child, scope);
    }
  }

  /** A field whose type is fixed by the node it is in stands there without its type's name. */
  #field(key: string, child: object, scope: Scope | undefined): void {
    if ("relname" in child)
      this.relation(child as Nodes["RangeVar"], key === "pktable" || key === "constrrel" ? "read" : "write");
    else {
      const type = FIELD_TYPES.get(key);
      if (type === undefined) this.visit(child, scope);
      else this.node(type, child, scope);
    }
  }

  node(type: string, node: object, scope: Scope | undefined): void {
    const expression = EXPRESSIONS[type];
    if (expression !== undefined) {
      expression(this, node as never, scope);
      return;
    }
    const command = this.#commandOf(type);
    if (command !== undefined) {
      if (this.mode !== "plan") this.raise(typeof command.class === "function" ? command.class(node) : command.class);
      if (command.visit === undefined) this.visit(node, scope);
      else command.visit(this, node, scope);
    } else if (PLAIN_NODES.has(type)) this.visit(node, scope);
    else this.#strange = true;
  }

  /** The same walk with nothing executed. */
  within(mode: Mode, visit: () => void): void {
    const before = this.mode;
    // What is planned or defined inside something that is planned stays so.
    if (before === "run") this.mode = mode;
    visit();
    this.mode = before;
  }

  /** What the server computes even where it then only plans, or defines. */
  always(visit: () => void): void {
    const before = this.mode;
    this.mode = "run";
    visit();
    this.mode = before;
  }

  relation(node: Nodes["RangeVar"] | undefined, access: Access): void {
    if (node?.relname !== undefined) this.named(node.schemaname, node.relname, access);
  }

  named(named: string | undefined, name: string | undefined, access: Access): void {
    if (name === undefined) return;
    const schema = named ?? (this.#made?.names.has(name) ? this.#made.schema : undefined);
    const done = this.mode === "plan" ? "read" : access;
    const key = `${schema ?? ""}\0${name}\0${done}`;
    if (this.#relations.has(key)) return;
    const relation: Relation = schema === undefined ? { name, access: done } : { schema, name, access: done };
    this.#relations.set(key, relation);
    // As set_config is.
    if (isSettings(relation)) this.raise("admin");
  }

  /** A walk in which these names without a schema are those that the statement makes there itself. */
  making(schema: string, names: ReadonlySet<string>, visit: () => void): void {
    this.#made = { schema, names };
    visit();
    this.#made = undefined;
  }

  /** The relation that a list of names gives: name; schema and name; database, schema and name. */
  qualified(name: readonly string[], access: Access): void {
    const last = name.at(-1);
    if (last !== undefined) this.named(name.at(-2), last, access);
  }

  call(name: readonly string[]): void {
    this.mention(name);
    const effect = callEffect(name);
    if (effect.class !== "read" && name.length > 0) this.#effectful.add(written(name));
    this.#effectOf(effect);
  }

  /** `x.f` is a column of `x`, or a call `f(x)`; of PostgreSQL's own functions it is known which do something. */
  attribute(name: string | undefined, possible: Attribute): void {
    if (name === undefined) return;
    if (hasNoEffect(name)) {
      // `count` and `name` are columns everywhere; nobody calls a column so.
      if (possible === "function" || /^(?:pg|lo)_/.test(name)) this.mention([name]);
    } else if (possible === "function" || isEffectful(name)) {
      this.call([name]);
      this.partial(SEQUENCE_FUNCTIONS.get(name) === "write" ? "write" : undefined);
    } else if (possible === "either") this.partial();
  }

  /** A function that is named, but not called by this statement. */
  mention(name: readonly string[]): void {
    if (name.length > 0) this.#functions.add(written(name));
  }

  /** An operator or a type of PostgreSQL's is meant, by a name without a schema or by none. */
  bare(): void {
    this.#bare = true;
  }

  operator(name: readonly string[]): void {
    if (name.length === 1) this.#bare = true;
    if (isPostgres(name) && OPERATORS.has(name.at(-1)!)) return;
    this.#foreignOperator = true;
    this.#effectOf({ class: "function", opaque: true });
  }

  type(name: readonly string[]): void {
    if (name.length === 1) this.#bare = true;
    if (isPostgres(name) && TYPES.has(name.at(-1)!)) return;
    this.#foreignType = true;
    // A domain's check, a cast, an input function: they run here, or when rows are given the type.
    if (this.mode !== "define") this.partial();
  }

  #effectOf(effect: { readonly class: StatementClass; readonly opaque: boolean }): void {
    if (effect.class === "read") return;
    switch (this.mode) {
      case "run":
        this.raise(effect.class);
        if (effect.opaque) this.opaque();
        return;
      case "define":
        this.raise(effect.class);
        if (effect.class === "unknown") this.opaque();
        return;
      case "plan":
        // Functions that say they are volatile are left alone by the planner; `write` and `admin` ones are.
        if (effect.class === "write" || effect.class === "admin") return;
        this.raise(effect.class);
        if (effect.opaque) this.opaque();
    }
  }

  /** What PREPARE names counts as named by it, and nothing of it as done. */
  adopt(inner: Facts): void {
    for (const relation of inner.relations) this.named(relation.schema, relation.name, relation.access);
    for (const name of inner.functions) this.#functions.add(name);
  }

  /** @param query the statement is one that can be a proven read, if nothing in it speaks against it */
  facts(operation: string, query: boolean): Facts {
    const complete = !this.#partial && !this.#strange;
    const effect = this.#strange ? "unknown" : CLASSES[this.#rank]!;
    return {
      operation,
      class: effect,
      relations: [...this.#relations.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, relation]) => relation),
      functions: [...this.#functions].sort(),
      complete,
      ...(complete ? {} : { incomplete: this.#strange ? ("analysis" as const) : ("opaque" as const) }),
      unseen: this.#unseen || this.#strange,
      provenRead: query && complete && effect === "read" && !this.#foreignType,
      elsewhere: this.#elsewhere,
      unfiltered: this.#unfiltered,
      effectful: [...this.#effectful].sort(),
      foreignOperator: this.#foreignOperator,
      bare: this.#bare,
    };
  }
}

/** A Map, because fields may be called like what every object inherits (JsonObjectAgg has a `constructor`). */
const FIELD_TYPES: ReadonlyMap<string, string> = new Map([
  ["larg", "SelectStmt"],
  ["rarg", "SelectStmt"],
  ["typeName", "TypeName"],
  ["funccall", "FuncCall"],
  ["base", "CreateStmt"],
  ["pubtable", "PublicationTable"],
  ["partbound", "PartitionBoundSpec"],
  ["partspec", "PartitionSpec"],
]);

const nothing: Handler = () => {};

/** By name; what a search_path may put in its place is not seen. */
const isPostgres = (name: readonly string[]): boolean =>
  name.length === 1 || (name.length === 2 && name[0] === "pg_catalog");

function sequence(walk: Walk, name: string, call: Nodes["FuncCall"]): void {
  // Of whichever sequence was used last.
  if (name === "lastval") walk.partial();
  const access = SEQUENCE_FUNCTIONS.get(name);
  if (access === undefined) return;
  const text = writtenArgument(call);
  const relation = text === undefined ? undefined : qualifiedName(text);
  // What a sequence has given is told to those who may call the function; who advances it changes it.
  if (relation === undefined) walk.partial(access === "write" ? access : undefined);
  else walk.qualified(relation, access);
}

/** What a definition holds, and the server computes when it is made, or plans so that constants are folded. */
const computed: Handler = (walk, node: object, scope) => walk.always(() => walk.visit(node, scope));
const COMPUTED_CONSTRAINTS: ReadonlySet<string | undefined> = new Set(["CONSTR_GENERATED", "CONSTR_EXCLUSION"]);

const EXPRESSIONS: Readonly<Record<string, Handler>> = {
  A_Const: nothing,
  ColumnRef: (walk, node: Nodes["ColumnRef"]) => {
    // A name alone is a column; the last of several may be a function of what stands before it.
    if ((node.fields?.length ?? 0) > 1) walk.attribute(strings(node.fields?.slice(-1))[0], "column");
  },
  A_Indirection: (walk, node: Nodes["A_Indirection"], scope) => {
    const possible = attributeOf(node.arg);
    for (const item of node.indirection ?? []) walk.attribute(strings([item])[0], possible);
    walk.visit(node.arg, scope);
    walk.visit(node.indirection, scope);
  },
  ParamRef: nothing,
  String: nothing,
  RangeVar: (walk, node: Nodes["RangeVar"], scope) => {
    if (!isCte(node, scope)) walk.relation(node, "read");
  },
  FuncCall: (walk, node: Nodes["FuncCall"], scope) => {
    const name = strings(node.funcname);
    walk.call(name);
    if (isPostgres(name)) sequence(walk, name.at(-1)!, node);
    walk.visit(node, scope);
  },
  A_Expr: (walk, node: Nodes["A_Expr"], scope) => {
    // BETWEEN has no operator in the text; those it stands for are found by the types alone.
    if (node.kind?.includes("BETWEEN")) walk.bare();
    else walk.operator(strings(node.name));
    walk.visit(node.lexpr, scope);
    walk.visit(node.rexpr, scope);
  },
  SubLink: (walk, node: Nodes["SubLink"], scope) => {
    if (node.operName !== undefined) walk.operator(strings(node.operName));
    else if (node.subLinkType === "ANY_SUBLINK") walk.bare();
    walk.visit(node, scope);
  },
  CaseExpr: (walk, node: Nodes["CaseExpr"], scope) => {
    if (node.arg !== undefined) walk.bare();
    walk.visit(node, scope);
  },
  JoinExpr: (walk, node: Nodes["JoinExpr"], scope) => {
    if (node.isNatural === true || node.usingClause !== undefined) walk.bare();
    walk.visit(node, scope);
  },
  SortBy: (walk, node: Nodes["SortBy"], scope) => {
    if (node.useOp !== undefined) walk.operator(strings(node.useOp));
    walk.visit(node.node, scope);
  },
  TypeName: (walk, node: Nodes["TypeName"], scope) => {
    walk.type(strings(node.names));
    walk.visit(node.typmods, scope);
  },
  TypeCast: (walk, node: Nodes["TypeCast"], scope) => {
    walk.visit(node.arg, scope);
    if (node.typeName !== undefined) walk.node("TypeName", node.typeName, scope);
  },
  RangeTableSample: (walk, node: Nodes["RangeTableSample"], scope) => {
    const method = strings(node.method);
    // The two methods that are PostgreSQL's own are not listed as calls: their handlers are not for calling.
    if (!isPostgres(method) || !["bernoulli", "system"].includes(method.at(-1)!)) walk.call(method);
    walk.visit(node, scope);
  },
  PartitionBoundSpec: computed,
  PartitionSpec: computed,
  Constraint: (walk, node: Nodes["Constraint"], scope) => {
    if (COMPUTED_CONSTRAINTS.has(node.contype)) computed(walk, node as never, scope);
    else walk.visit(node, scope);
  },
  TableLikeClause: (walk, node: Nodes["TableLikeClause"]) => walk.relation(node.relation, "read"),
  PublicationTable: (walk, node: Nodes["PublicationTable"], scope) => {
    walk.relation(node.relation, "read");
    walk.visit(node.whereClause, scope);
  },
};
