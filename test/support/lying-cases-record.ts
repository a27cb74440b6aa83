/**
 * Lies of somebody who has the log's key and the source's, and tells them to a verifier that kept nothing: the audit
 * cannot know, and the proxy's own record of what it submitted can.
 */
import { changed } from "./lying-history.ts";
import { FAIL, type Honest, type LogLie, NOT_PROVEN } from "./lying-honest.ts";

/** @param args names the record to `verify` */
export function againstRecord(honest: Honest, args: readonly string[]): LogLie[] {
  const { entries, at } = honest;
  const lie = { command: "verify", args } as const;
  return [
    {
      ...lie,
      name: "a refused access was never there",
      show: () => honest.withBothKeys(entries.toSpliced(at.earlyRefused, 1)),
      exit: FAIL,
      // Up to the end of its epoch, the entries behind it have the numbers and places of those before them.
      codes: ["submitted_changed", "submitted_missing", "unpublished"],
    },
    {
      ...lie,
      name: "a statement was another",
      show: () => honest.withBothKeys(changed(entries, at.early, (entry) => Object.assign(entry, { duration_us: 1 }))),
      exit: FAIL,
      codes: ["submitted_changed"],
    },
    {
      ...lie,
      name: "the last run was never there",
      show: () => honest.view(entries.slice(0, at.half)),
      exit: NOT_PROVEN,
      codes: ["unpublished"],
    },
  ];
}
