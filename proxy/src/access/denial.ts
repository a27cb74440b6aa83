import type { Decision } from "./decide.ts";

/** What a client reads: one text each for an ErrorResponse's message, detail and hint. */
export interface DenialText {
  readonly message: string;
  readonly detail: string;
  readonly hint: string;
}

export function denialText({ rule, why }: Decision): DenialText {
  return {
    message: "the access rules do not permit this statement",
    detail: why,
    hint:
      rule?.hint ?? `Ask those who keep the proxy's access rules${rule === undefined ? "" : ", and name the rule"}.`,
  };
}
