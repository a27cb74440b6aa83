import type { Entry } from "../../../src/index.ts";
import type { Row } from "../row.ts";
import { milliseconds } from "../values.ts";
import type { Classified } from "./event.ts";

type Resource = { name?: string; uid?: string; type: string };

/** What a log does for somebody, as API Activity, class 6003. */
type Act = {
  activity: 1 | 2 | 4;
  /** The name of the token that was used; undefined when the log acts by itself. */
  by(entry: Entry): string | undefined;
  resources(entry: Entry, origin: string): readonly Resource[];
  message: string;
};

const activityNames = { 1: "Create", 2: "Read", 4: "Delete" } as const;
const byToken = (entry: Entry): string => entry.by as string;

const sourceAt =
  (member: string) =>
  (entry: Entry): readonly Resource[] => {
    const { name, vkey } = entry[member] as { name: string; vkey: string };
    return [{ name, uid: vkey, type: "source" }];
  };

const entryAt =
  (member: string) =>
  (entry: Entry, origin: string): readonly Resource[] => [{ uid: `${origin}/${String(entry[member])}`, type: "entry" }];

const acts: ReadonlyMap<string, Act> = new Map<string, Act>([
  [
    "source.registered",
    { activity: 1, by: byToken, resources: sourceAt("registered"), message: "a source was registered" },
  ],
  ["source.retired", { activity: 4, by: byToken, resources: sourceAt("retired"), message: "a source was retired" }],
  [
    "disclosure.read",
    {
      activity: 2,
      by: (entry) => entry.reader as string,
      resources: entryAt("index"),
      message: "sealed values were read",
    },
  ],
  [
    "erasure.ordered",
    { activity: 4, by: byToken, resources: () => [], message: "the erasure of sealed values was ordered" },
  ],
  [
    "erasure.done",
    { activity: 4, by: () => undefined, resources: entryAt("ordered"), message: "sealed values were erased" },
  ],
]);

/** @returns the event of an act, or undefined when the kind is none of these */
export function actEvent({ origin }: Row, entry: Entry): Classified | undefined {
  const act = acts.get(entry.kind);
  if (act === undefined) return undefined;
  const { v: _, kind: __, time: ___, ...rest } = entry;
  const by = act.by(entry);
  const resources = act.resources(entry, origin);
  return {
    uid: 6003,
    className: "API Activity",
    category: "Application Activity",
    activity: act.activity,
    activityName: activityNames[act.activity],
    severity: 1,
    status: 1,
    time: milliseconds(entry.time),
    message: by === undefined ? act.message : `${act.message}, by ${by}`,
    attributes: {
      actor: by === undefined ? { app_name: entry.source } : { user: { name: by } },
      api: { operation: entry.kind, service: { name: origin } },
      // Of who asked, the log records the token's name and nothing else.
      src_endpoint: by === undefined ? { svc_name: entry.source } : { name: by },
      ...(resources.length === 0 ? {} : { resources }),
    },
    unmapped: rest,
  };
}
