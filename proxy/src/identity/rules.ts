/** `identity`: where it can be read who stands behind a login that several share. */
export type IdentityRule =
  | {
      /** What the authentication has shown. */
      readonly from: "login" | "certificate";
      readonly pattern: string | undefined;
    }
  | {
      /** What the client says. */
      readonly from: "application_name";
      readonly pattern: string | undefined;
    }
  | {
      /** What a comment in the text says under this key. */
      readonly from: "comment";
      readonly key: string;
      readonly pattern: string | undefined;
    }
  | { readonly from: "traceparent" };

const FROM = ["login", "certificate", "application_name", "comment", "traceparent"] as const;
const MAX_RULES = 32;

/**
 * Reads the value of the configuration's key `identity`.
 * @param wrong makes the error that says what was wanted
 * @throws what `wrong` makes
 */
export function parseIdentityRules(value: unknown, wrong: (wanted: string) => Error): readonly IdentityRule[] {
  if (!Array.isArray(value) || value.length > MAX_RULES) {
    throw wrong(`a list of at most ${MAX_RULES} sources, such as {from: application_name, pattern: "^(?<user>.+)@"}`);
  }
  return value.map((one, i) => parseRule(one, (what) => wrong(`a list of sources; the ${i + 1}. ${what}`)));
}

function parseRule(value: unknown, wrong: (what: string) => Error): IdentityRule {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong("is not a map");
  const { from, pattern, key, ...others } = value as Record<string, unknown>;
  const other = Object.keys(others)[0];
  if (other !== undefined) throw wrong(`has a key "${other}", which there is not`);
  const kind = FROM.find((name) => name === from);
  if (kind === undefined) throw wrong(`needs "from": one of ${FROM.join(", ")}`);
  if (kind !== "comment" && key !== undefined) throw wrong('has a "key", which is for comments');
  if (kind === "traceparent") {
    if (pattern !== undefined) throw wrong('has a "pattern", and a traceparent has a form of its own');
    return { from: kind };
  }
  if (pattern !== undefined) checkPattern(pattern, wrong);
  const checked = pattern as string | undefined;
  if (kind !== "comment") return { from: kind, pattern: checked };
  if (typeof key !== "string" || key === "") throw wrong('needs "key": the name that the comment gives the user under');
  return { from: kind, key, pattern: checked };
}

function checkPattern(pattern: unknown, wrong: (what: string) => Error): void {
  if (typeof pattern !== "string") throw wrong('has a "pattern" that is not a text');
  try {
    new RegExp(pattern, "u");
  } catch (error) {
    throw wrong(`has a "pattern" that is no regular expression: ${(error as Error).message}`);
  }
  if (!pattern.includes("(?<user>")) throw wrong('has a "pattern" without a group (?<user>…)');
}
