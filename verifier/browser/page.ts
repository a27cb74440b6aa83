import { recognize } from "./dropped.ts";
import {
  type EvidenceDemand,
  type EvidenceReport,
  keysUnder,
  parsePolicy,
  parseVerifierKey,
  type VerifierKey,
  verifyBundle,
  verifyProof,
  verifySavedCheckpoint,
  version,
} from "./evidence.ts";
import { messageElement, reportElement } from "./report.ts";
import { visible } from "./visible.ts";

// The page keeps nothing and sends nothing: its Content-Security-Policy lets it connect to nobody.

/** As long as a bundle may be (spec/proof.md); a longer file is not read into memory. */
const longestFile = 67_108_864;

const drop = document.querySelector<HTMLElement>("#drop")!;
const files = document.querySelector<HTMLInputElement>("#files")!;
const vkey = document.querySelector<HTMLInputElement>("#vkey")!;
const policyLine = document.querySelector<HTMLElement>("#policy")!;
const forget = document.querySelector<HTMLButtonElement>("#forget")!;
const summary = document.querySelector<HTMLElement>("#summary")!;
const results = document.querySelector<HTMLElement>("#results")!;

type Held = { name: string; verify: (key: VerifierKey, demand: EvidenceDemand) => EvidenceReport };

/** What was last given: the evidence, so that a key or a policy that comes after it is enough; and what is none. */
let held: Held[] = [];
let unusable: string[] = [];
let demand: EvidenceDemand = {};
/** Why the policy that was given cannot be used. Then nothing is verified: it would be without what somebody demands. */
let badPolicy: string | undefined;

function show(said: string, ...children: HTMLElement[]): void {
  summary.textContent = said;
  summary.classList.toggle("heard", children.length === 1);
  results.replaceChildren(...children);
}

/** @returns what everything is verified under; or what to say instead */
function readKey(): VerifierKey | string {
  if (badPolicy !== undefined) return badPolicy;
  const text = vkey.value.trim();
  if (text === "") {
    return "Now the log's verifier key: paste it above, or drop its file here as well. Have it from somebody you trust.";
  }
  try {
    const key = parseVerifierKey(text);
    if (demand.witnesses !== undefined) keysUnder(demand.witnesses.policy, [key]);
    return key;
  } catch (error) {
    return `The verifier key: ${(error as Error).message}`;
  }
}

function verifyHeld(): void {
  const messages = unusable.map(messageElement);
  const key = readKey();
  if (typeof key === "string") {
    const asked = held.length > 0 || badPolicy !== undefined;
    show("", ...messages, ...(asked ? [messageElement(key)] : []));
  } else if (held.length === 0) show(`The key of ${visible(key.name)} is set; now the evidence.`, ...messages);
  else {
    const reports = held.map(({ name, verify }) => ({ name, report: verify(key, demand) }));
    show(summarize(reports), ...messages, ...reports.map(({ name, report }) => reportElement(name, report)));
  }
}

/** What is worst comes first: it may stand far below. */
function summarize(reports: readonly { name: string; report: EvidenceReport }[]): string {
  const parts = (["FAIL", "NOT PROVEN", "PASS"] as const).flatMap((verdict) => {
    const names = reports.filter(({ report }) => report.verdict === verdict).map(({ name }) => visible(name));
    return names.length === 0 ? [] : [`${verdict}: ${names.join(", ")}`];
  });
  return parts.join("; ");
}

function usePolicy(name: string, bytes: Uint8Array): void {
  policyLine.textContent = `Policy in force: ${visible(name)}`;
  forget.hidden = false;
  badPolicy = undefined;
  try {
    const policy = parsePolicy(bytes);
    demand = { witnesses: { policy } };
    // A policy names the log it is for; a key that was given by hand stands.
    const [log, another] = policy.logs;
    if (vkey.value.trim() === "" && log !== undefined && another === undefined) vkey.value = log.key.text;
  } catch (error) {
    badPolicy = `The policy ${name} cannot be used: ${(error as Error).message}`;
  }
}

type Given = { name: string; kind: "bundle" | "checkpoint" | "proof"; bytes: Uint8Array };

/** Keys and policies are used at once. @returns what is evidence, or may be an entry */
async function read(file: File): Promise<Given[]> {
  const { name, size } = file;
  if (size > longestFile) throw new Error(`it has ${size} bytes, and evidence has at most ${longestFile}`);
  const dropped = recognize(new Uint8Array(await file.arrayBuffer()));
  if (dropped.kind === "secret") throw new Error("it holds a signing key; keep it secret, and give the verifier key");
  if (dropped.kind === "key") vkey.value = dropped.vkey;
  else if (dropped.kind === "policy") usePolicy(name, dropped.bytes);
  else return [{ name, ...dropped }];
  return [];
}

function hold(given: readonly Given[]): void {
  const [proof, another] = given.filter(({ kind }) => kind === "proof");
  const others = given.filter(({ kind }) => kind !== "proof");
  const [entry] = others;
  if (proof !== undefined && another === undefined && entry !== undefined && others.length === 1) {
    const verify: Held["verify"] = (key, demand) => verifyProof(proof.bytes, entry.bytes, key, demand);
    held = [{ name: `${proof.name}, of the entry ${entry.name}`, verify }];
    return;
  }
  held = others.map(({ name, kind, bytes }) => {
    const check = kind === "bundle" ? verifyBundle : verifySavedCheckpoint;
    return { name, verify: (key, demand) => check(bytes, key, demand) };
  });
  for (const { name, kind } of given) {
    if (kind !== "proof") continue;
    unusable.push(
      `${name} is a tlog-proof, which says nothing by itself: give it together with its entry, and no more.`,
    );
  }
}

async function take(list: Iterable<File>): Promise<void> {
  const given: Given[] = [];
  unusable = [];
  for (const file of list) {
    try {
      given.push(...(await read(file)));
    } catch (error) {
      unusable.push(`${file.name} cannot be used: ${(error as Error).message}`);
    }
  }
  // A key or a policy alone is for what was given before.
  if (given.length > 0 || unusable.length > 0) hold(given);
  verifyHeld();
}

/** One after the other: what was given last is what is shown. */
let taking = Promise.resolve();

function takeNext(list: readonly File[]): void {
  // Whatever goes wrong with these, it is said, and the next ones are taken.
  taking = taking.then(() => take(list)).catch((error: unknown) => show("", messageElement(String(error))));
}

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
document.addEventListener("dragleave", () => drop.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  takeNext([...(event.dataTransfer?.files ?? [])]);
});
files.addEventListener("change", () => {
  // Taken before the field is emptied, so that the same file can be chosen again.
  const chosen = [...(files.files ?? [])];
  files.value = "";
  takeNext(chosen);
});
vkey.addEventListener("input", verifyHeld);
forget.addEventListener("click", () => {
  demand = {};
  badPolicy = undefined;
  policyLine.textContent = "No policy: witnesses are not looked at.";
  forget.hidden = true;
  verifyHeld();
});
document.querySelector("#version")!.textContent = version;
