import { type EvidenceReport, findingVerdicts, type Step, timeText } from "./evidence.ts";
import { visible } from "./visible.ts";

// Every text goes in as text: nothing that a file says becomes markup.

type Child = Node | string;

function element(name: string, attributes: Record<string, string>, ...children: Child[]): HTMLElement {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const words = { passed: "passed", failed: "FAILED", lacking: "lacks", unreached: "—" } as const;

function stepState({ passed, code }: Step): keyof typeof words {
  if (passed === undefined) return "unreached";
  if (passed) return "passed";
  // What is missing contradicts nothing: cosignatures that a policy demands, say.
  return code !== undefined && findingVerdicts[code] === "NOT PROVEN" ? "lacking" : "failed";
}

function stepItem(step: Step): HTMLElement {
  const state = stepState(step);
  return element(
    "li",
    { class: state, "data-step": step.step },
    element("span", { class: "name" }, step.step),
    element("span", { class: "state" }, words[state]),
    element("span", { class: "text" }, visible(step.text)),
  );
}

function row(name: string, ...value: Child[]): HTMLElement[] {
  return [element("dt", {}, visible(name)), element("dd", {}, ...value)];
}

function shown(value: unknown): HTMLElement {
  return element("pre", {}, visible(typeof value === "string" ? value : JSON.stringify(value)));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A member a row, paths joined by dots, as the command's report has them. */
function memberRows(value: Record<string, unknown>, prefix: string, report: EvidenceReport): HTMLElement[] {
  const disclosed = new Map(report.disclosures.map((one) => [one.name, one.value]));
  return Object.entries(value).flatMap(([name, member]) => {
    // A name with a dot must not pass for the member that this would lead to.
    const path = `${prefix}${name.includes(".") ? JSON.stringify(name) : name}`;
    if (report.sealed.includes(path)) {
      const { bytes } = member as { bytes: number };
      if (!disclosed.has(path)) return row(path, `sealed, ${bytes} bytes, not disclosed`);
      return row(
        path,
        element("span", { class: "disclosed" }, "sealed, and disclosed here"),
        shown(disclosed.get(path)),
      );
    }
    return isObject(member) ? memberRows(member, `${path}.`, report) : row(path, shown(member));
  });
}

function checkpointRows({ checkpoint, index }: EvidenceReport): HTMLElement[] {
  if (checkpoint === undefined) return [];
  const root = [...checkpoint.root].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [
    ...row("log", visible(checkpoint.origin)),
    ...row("tree size", String(checkpoint.size)),
    ...(index === undefined ? [] : row("index of the entry", String(index))),
    ...row("root (SHA-256)", element("code", {}, root)),
  ];
}

const standing = {
  cosigned: "cosigned",
  missing: "has not cosigned",
  invalid: "its cosignature does not verify",
  future: "its time is in the future, so it does not count",
  old: "too old to count",
} as const;

function witnessRows({ witnessing }: EvidenceReport): HTMLElement[] {
  if (witnessing === undefined) return [];
  const list = witnessing.witnesses.flatMap(({ name, state, timestamp }) =>
    row(name, `${standing[state]}${timestamp === null ? "" : `, ${timeText(timestamp)}`}`),
  );
  return [element("h3", {}, "Its witnesses"), element("dl", { class: "witnesses" }, ...list)];
}

/** @returns the report on one file, as a part of the page */
export function reportElement(name: string, report: EvidenceReport): HTMLElement {
  const failed = report.steps.some(({ step, passed }) => step === "B5" && passed === false);
  return element(
    "article",
    { class: "report", "data-verdict": report.verdict },
    element("h2", {}, element("span", { class: "verdict" }, report.verdict), ` ${visible(name)}`),
    element("p", { class: "conclusion" }, visible(report.conclusion)),
    element("h3", {}, "What was checked, in this order"),
    element("ol", { class: "steps" }, ...report.steps.map(stepItem)),
    ...(report.checkpoint === undefined
      ? []
      : [element("h3", {}, "The signed checkpoint"), element("dl", {}, ...checkpointRows(report))]),
    ...witnessRows(report),
    ...(report.entry === undefined
      ? []
      : [
          element("h3", {}, "The entry"),
          // Where B5 failed, what the bundle disclosed is not shown: it is not what was sealed.
          ...(failed
            ? [element("p", {}, "The disclosures are not shown: they are not what the entry has sealed.")]
            : []),
          element("dl", { class: "entry" }, ...memberRows(report.entry, "", report)),
        ]),
  );
}

/** @returns a message in the place of a report */
export function messageElement(text: string): HTMLElement {
  return element("p", { class: "message", role: "alert" }, visible(text));
}
