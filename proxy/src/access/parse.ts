import { createHash } from "node:crypto";
import { isMap, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { CLASSES, type StatementClass } from "../statements/index.ts";
import { didYouMean } from "./nearest.ts";
import { parseNetwork } from "./network.ts";
import { type Name, type Pattern, parseName, parsePattern } from "./patterns.ts";
import { ACTIONS, DEFAULT_RULE, type Limits, type Rule, type RuleSet, type What, type Who } from "./rules.ts";
import { isZone, parseDays, parseHours, parseInstant, type When } from "./when.ts";
import { type Fields, type Problem, startOf, YamlReader } from "./yaml.ts";

export type { Problem } from "./yaml.ts";

/** Every key of a rules' file, by the map it stands in: spec/access.md is held against this by a test. */
export const RULE_KEYS = {
  file: ["version", "time_zone", "user_schemas", "groups", "rules"],
  rule: ["name", "action", "who", "where", "what", "when", "limits", "hint"],
  who: ["user", "group", "auth", "network", "application"],
  where: ["database"],
  what: ["class", "reads", "writes", "functions", "without_where"],
  when: ["hours", "days", "from", "until"],
  limits: ["statements_per_minute", "rows", "bytes"],
} as const;

/** A rule's name stands in every entry that it decides. */
const MAX_NAME = 64;
const MAX_HINT = 512;
const AUTH = /^(?:trust|password|md5|scram-sha-256|scram-sha-256-plus|certificate|other:.+)$/;

/**
 * @param text of the file (spec/access.md)
 * @returns the rules, or all that is wrong with them, in the file's order
 */
export function parseRules(text: string): { readonly set: RuleSet } | { readonly problems: readonly Problem[] } {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false });
  const yaml = new YamlReader((offset) => lines.linePos(offset));
  for (const { pos, message } of document.errors) yaml.wrong(pos[0], said(message));
  const set = yaml.problems.length > 0 ? undefined : readFile(yaml, document.contents, text);
  if (set !== undefined && yaml.problems.length === 0) return { set };
  const problems = yaml.problems.sort((a, b) => a.line - b.line || a.column - b.column);
  return { problems };
}

/** The first line, without the place, which the problem has already. */
function said(message: string): string {
  const [line = ""] = message.split("\n");
  return `YAML: ${line.replace(/ at line \d+, column \d+:?$/, "")}`;
}

function readFile(yaml: YamlReader, root: Node | null, text: string): RuleSet {
  const fields = yaml.fields(root, 0, "the file", RULE_KEYS.file);
  const version = fields.get("version");
  if (isMap(root) && (version?.node as { value?: unknown } | undefined)?.value !== 1) {
    yaml.wrong(version === undefined ? 0 : startOf(version.node, version.at), '"version" must be 1');
  }
  const zone = textOf(yaml, fields, "time_zone");
  if (zone !== undefined && !isZone(zone.value)) yaml.wrong(zone.at, `there is no time zone "${zone.value}"`);
  const userSchemas = booleanOf(yaml, fields, "user_schemas") ?? false;
  const groups = readGroups(yaml, fields);
  const list = fields.get("rules");
  if (list === undefined || !isSeq(list.node)) {
    if (isMap(root)) yaml.wrong(list?.at ?? 0, '"rules" must be a list of rules');
    return { digest: "", rules: [], groups, userSchemas };
  }
  const rules: Rule[] = [];
  const names = new Map<string, number>();
  for (const item of list.node.items as (Node | null)[]) {
    const at = startOf(item, list.at);
    const rule = readRule(yaml, item, at, zone?.value ?? "UTC");
    const before = names.get(rule.name);
    if (before !== undefined) yaml.wrong(at, `a rule of the name "${rule.name}" stands in line ${before} already`);
    if (rule.name !== "") names.set(rule.name, rule.line);
    rules.push(rule);
  }
  return { digest: createHash("sha256").update(text).digest("hex"), rules, groups, userSchemas };
}

function readGroups(yaml: YamlReader, fields: Fields): Map<string, Set<string>> {
  const groups = new Map<string, Set<string>>();
  const field = fields.get("groups");
  if (field === undefined) return groups;
  if (!isMap(field.node)) {
    yaml.wrong(startOf(field.node, field.at), '"groups" must be a map of groups with their users');
    return groups;
  }
  for (const { key, start, value } of yaml.pairs(field.node, field.at)) {
    for (const { value: user } of yaml.texts(value, start, `the group "${key}"`)) {
      const own = groups.get(user);
      if (own === undefined) groups.set(user, new Set([key]));
      else own.add(key);
    }
  }
  return groups;
}

function readRule(yaml: YamlReader, node: Node | null, at: number, zone: string): Rule {
  const fields = yaml.fields(node, at, "a rule", RULE_KEYS.rule);
  const name = textOf(yaml, fields, "name");
  if (name === undefined) {
    if (isMap(node) && !fields.has("name")) yaml.wrong(at, 'a rule must have a "name"');
  } else if (name.value.length > MAX_NAME || !/^[\x21-\x7e]+$/.test(name.value)) {
    yaml.wrong(name.at, `"name" must be at most ${MAX_NAME} visible ASCII characters without spaces`);
  } else if (name.value === DEFAULT_RULE) {
    yaml.wrong(name.at, `"${DEFAULT_RULE}" is what decides where no rule matches; choose another name`);
  }
  const action = textOf(yaml, fields, "action");
  if (action === undefined ? isMap(node) && !fields.has("action") : !ACTIONS.includes(action.value as "allow")) {
    yaml.wrong(
      action?.at ?? at,
      `"action" must be one of ${ACTIONS.join(", ")}${didYouMean(action?.value ?? "", ACTIONS)}`,
    );
  }
  const hint = textOf(yaml, fields, "hint");
  if (hint !== undefined && (hint.value.length > MAX_HINT || /\p{Cc}/u.test(hint.value))) {
    yaml.wrong(hint.at, `"hint" must be one line of at most ${MAX_HINT} characters`);
  }
  const limits = readLimits(yaml, fields);
  const kind = (action?.value ?? "deny") as Rule["action"];
  const limited = fields.get("limits");
  if (limited !== undefined && kind !== "allow") yaml.wrong(limited.at, '"limits" belong to a rule that allows');
  return {
    name: name?.value ?? "",
    line: yaml.lineOf(at),
    action: kind,
    who: readWho(yaml, fields),
    databases: patterns(yaml, sub(yaml, fields, "where"), "database"),
    what: readWhat(yaml, fields),
    when: readWhen(yaml, fields, zone),
    limits,
    hint: hint?.value,
  };
}

function readWho(yaml: YamlReader, fields: Fields): Who {
  const who = sub(yaml, fields, "who");
  const auth = textsOf(yaml, who, "auth");
  for (const { value, at } of auth ?? []) {
    if (!AUTH.test(value)) yaml.wrong(at, `"auth" has no "${value}"; see spec/entry.md, actor.auth`);
  }
  return {
    users: patterns(yaml, who, "user"),
    groups: textsOf(yaml, who, "group")?.map(({ value }) => value),
    auth: auth?.map(({ value }) => value),
    networks: listOf(
      yaml,
      who,
      "network",
      parseNetwork,
      "is neither an IP address, nor a network such as 10.0.0.0/8, nor local",
    ),
    applications: patterns(yaml, who, "application"),
  };
}

function readWhat(yaml: YamlReader, fields: Fields): What {
  const what = sub(yaml, fields, "what");
  const classes = textsOf(yaml, what, "class");
  for (const { value, at } of classes ?? []) {
    if (value !== "any" && !CLASSES.includes(value as StatementClass)) {
      yaml.wrong(
        at,
        `"class" has no "${value}"; the classes are ${CLASSES.join(", ")}, and any${didYouMean(value, CLASSES)}`,
      );
    }
  }
  const chosen = classes?.map(({ value }) => value);
  return {
    classes:
      chosen === undefined
        ? undefined
        : new Set((chosen.includes("any") ? CLASSES : chosen) as readonly StatementClass[]),
    reads: names(yaml, what, "reads"),
    writes: names(yaml, what, "writes"),
    functions: names(yaml, what, "functions"),
    unfiltered: booleanOf(yaml, what, "without_where"),
  };
}

function readWhen(yaml: YamlReader, fields: Fields, zone: string): When | undefined {
  if (!fields.has("when")) return undefined;
  const when = sub(yaml, fields, "when");
  const instant = (key: string): number | undefined => {
    const text = textOf(yaml, when, key);
    if (text === undefined) return undefined;
    const form = `"${key}" must be a time with its zone, such as 2027-01-31T18:00:00Z`;
    return parseInstant(text.value) ?? yaml.wrong(text.at, form);
  };
  const days = listOf(yaml, when, "days", parseDays, "is not a day such as mon, or days such as mon-fri");
  const from = instant("from");
  const until = instant("until");
  if (from !== undefined && until !== undefined && until <= from) {
    yaml.wrong(when.get("until")!.at, '"until" is not after "from"');
  }
  return {
    zone,
    hours: listOf(yaml, when, "hours", parseHours, "are not hours such as 08:00-18:00"),
    days: days === undefined ? undefined : new Set(days.flat()),
    from,
    until,
  };
}

function readLimits(yaml: YamlReader, fields: Fields): Limits {
  const limits = sub(yaml, fields, "limits");
  const count = (key: string): number | undefined => {
    const field = limits.get(key);
    return field === undefined ? undefined : yaml.count(field.node, field.at, `"${key}"`);
  };
  return { statementsPerMinute: count("statements_per_minute"), rows: count("rows"), bytes: count("bytes") };
}

function sub(yaml: YamlReader, fields: Fields, key: "who" | "where" | "what" | "when" | "limits"): Fields {
  const field = fields.get(key);
  if (field === undefined) return new Map();
  const inner = yaml.fields(field.node, field.at, `"${key}"`, RULE_KEYS[key]);
  if (isMap(field.node) && field.node.items.length === 0) yaml.wrong(field.at, `"${key}" is empty; leave it out`);
  return inner;
}

function textOf(yaml: YamlReader, fields: Fields, key: string): { value: string; at: number } | undefined {
  const field = fields.get(key);
  return field === undefined ? undefined : yaml.text(field.node, field.at, `"${key}"`);
}

function booleanOf(yaml: YamlReader, fields: Fields, key: string): boolean | undefined {
  const field = fields.get(key);
  return field === undefined ? undefined : yaml.boolean(field.node, field.at, `"${key}"`);
}

function textsOf(yaml: YamlReader, fields: Fields, key: string): { value: string; at: number }[] | undefined {
  const field = fields.get(key);
  return field === undefined ? undefined : yaml.texts(field.node, field.at, `"${key}"`);
}

function listOf<T>(
  yaml: YamlReader,
  fields: Fields,
  key: string,
  read: (text: string) => T | undefined,
  otherwise: string,
): T[] | undefined {
  return textsOf(yaml, fields, key)?.flatMap(({ value, at }) => {
    const one = read(value) ?? yaml.wrong(at, `"${key}": "${value}" ${otherwise}`);
    return one === undefined ? [] : [one];
  });
}

function patterns(yaml: YamlReader, fields: Fields, key: string): Pattern[] | undefined {
  return listOf(yaml, fields, key, parsePattern, "is too long, or has more than one *");
}

function names(yaml: YamlReader, fields: Fields, key: string): Name[] | undefined {
  const otherwise = "is not schema.name; * stands for any characters, once in each part, and *.name for any schema";
  return listOf(yaml, fields, key, parseName, otherwise);
}
