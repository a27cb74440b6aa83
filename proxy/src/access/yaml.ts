import { isAlias, isMap, isScalar, isSeq, type Node, type Pair, type YAMLMap } from "yaml";
import { didYouMean } from "./nearest.ts";

/** Reads a YAML tree, and collects what is wrong with it instead of stopping at the first. */

export interface Problem {
  /** From 1. */
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

export interface Place {
  readonly line: number;
  readonly col: number;
}

/** A value with where it stands, for what is wrong with it. */
export interface Value<T> {
  readonly value: T;
  readonly at: number;
}

export type Fields = ReadonlyMap<string, { readonly at: number; readonly node: Node | null }>;

export class YamlReader {
  readonly problems: Problem[] = [];
  readonly #place: (offset: number) => Place;

  constructor(place: (offset: number) => Place) {
    this.#place = place;
  }

  wrong(at: number, message: string): undefined {
    const { line, col } = this.#place(at);
    this.problems.push({ line, column: col, message });
    return undefined;
  }

  lineOf(at: number): number {
    return this.#place(at).line;
  }

  /** A map of known keys. What is not a map, and what is not known, is a problem. */
  fields(node: Node | null, at: number, what: string, known: readonly string[]): Fields {
    const fields = new Map<string, { at: number; node: Node | null }>();
    if (!isMap(node)) {
      this.wrong(startOf(node, at), `${what} must be a map with the keys ${known.join(", ")}`);
      return fields;
    }
    for (const { key, start, value } of this.pairs(node, at)) {
      if (known.includes(key)) fields.set(key, { at: start, node: value });
      else this.wrong(start, `${what} has no key "${key}"; the keys are ${known.join(", ")}${didYouMean(key, known)}`);
    }
    return fields;
  }

  /** The entries of a map whose keys are names. */
  pairs(map: YAMLMap, at: number): { key: string; start: number; value: Node | null }[] {
    return (map.items as Pair<Node, Node | null>[]).flatMap(({ key, value }) => {
      const start = startOf(key, at);
      if (isScalar(key) && typeof key.value === "string") return [{ key: key.value, start, value: value ?? null }];
      this.wrong(start, "a key must be a name");
      return [];
    });
  }

  /** The items of a list; a value that is no list counts as a list of one. Empty lists are a problem. */
  items(node: Node | null, at: number, what: string): { node: Node | null; at: number }[] {
    if (!isSeq(node)) return [{ node, at: startOf(node, at) }];
    const start = startOf(node, at);
    if (node.items.length === 0) this.wrong(start, `${what} is an empty list, which nothing matches; leave it out`);
    return (node.items as (Node | null)[]).map((item) => ({ node: item, at: startOf(item, start) }));
  }

  text(node: Node | null, at: number, what: string): Value<string> | undefined {
    const start = startOf(node, at);
    if (isAlias(node)) {
      return this.wrong(start, `${what}: a name that begins with * stands in quotes in YAML: "*${node.source}"`);
    }
    if (isScalar(node) && typeof node.value === "string" && node.value !== "") return { value: node.value, at: start };
    return this.wrong(
      start,
      `${what} must be a text${isScalar(node) && node.value !== null ? ": put it in quotes" : ""}`,
    );
  }

  texts(node: Node | null, at: number, what: string): Value<string>[] {
    return this.items(node, at, what).flatMap((item) => this.text(item.node, item.at, what) ?? []);
  }

  boolean(node: Node | null, at: number, what: string): boolean | undefined {
    if (isScalar(node) && typeof node.value === "boolean") return node.value;
    return this.wrong(startOf(node, at), `${what} must be true or false`);
  }

  count(node: Node | null, at: number, what: string): number | undefined {
    if (isScalar(node) && Number.isSafeInteger(node.value) && (node.value as number) >= 1) return node.value as number;
    return this.wrong(startOf(node, at), `${what} must be a whole number of at least 1`);
  }
}

export function startOf(node: Node | null, otherwise: number): number {
  return node?.range?.[0] ?? otherwise;
}
