import { recognize } from "./dropped.ts";
import {
  type EvidenceDemand,
  type EvidenceReport,
  parsePolicy,
  parseVerifierKey,
  type VerifierKey,
  verifyBundle,
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
const results = document.querySelector<HTMLElement>("#results")!;

type Held = { name: string; verify: (key: VerifierKey, demand: EvidenceDemand) => EvidenceReport };

/** The evidence last given, so that a key or a policy that comes after it is enough. */
let held: Held[] = [];
let demand: EvidenceDemand = {};

function show(...children: HTMLElement[]): void {
  results.replaceChildren(...children);
}

function readKey(): VerifierKey | string {
  const text = vkey.value.trim();
  if (text === "") {
    return "Now the log's verifier key: paste it above, or drop its file here as well. Have it from somebody you trust.";
  }
  try {
    return parseVerifierKey(text);
  } catch (error) {
    return `The verifier key: ${(error as Error).message}`;
  }
}

function verifyHeld(): void {
  if (held.length === 0) return;
  const key = readKey();
  if (typeof key === "string") show(messageElement(key));
  else show(...held.map(({ name, verify }) => reportElement(name, verify(key, demand))));
}

function usePolicy(name: string, bytes: Uint8Array): void {
  const policy = parsePolicy(bytes);
  demand = { witnesses: { policy } };
  // A policy names the log it is for; a key that was given by hand stands.
  const [log, another] = policy.logs;
  if (vkey.value.trim() === "" && log !== undefined && another === undefined) vkey.value = log.key.text;
  policyLine.textContent = `Policy in force: ${visible(name)}`;
  forget.hidden = false;
}

async function take(list: Iterable<File>): Promise<void> {
  const evidence: Held[] = [];
  for (const file of list) {
    const { name, size } = file;
    if (size > longestFile) throw new Error(`it has ${size} bytes, and evidence has at most ${longestFile}`);
    const dropped = recognize(new Uint8Array(await file.arrayBuffer()));
    if (dropped.kind === "key") vkey.value = dropped.vkey;
    else if (dropped.kind === "policy") usePolicy(name, dropped.bytes);
    else {
      const check = dropped.kind === "bundle" ? verifyBundle : verifySavedCheckpoint;
      evidence.push({ name, verify: (key, demand) => check(dropped.bytes, key, demand) });
    }
  }
  if (evidence.length > 0) held = evidence;
  verifyHeld();
}

function takeOrSay(list: Iterable<File>): void {
  take(list).catch((error: unknown) => show(messageElement(`The file cannot be used: ${(error as Error).message}`)));
}

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
document.addEventListener("dragleave", () => drop.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  takeOrSay(event.dataTransfer?.files ?? []);
});
files.addEventListener("change", () => {
  // Taken before the field is emptied, so that the same file can be chosen again.
  const chosen = [...(files.files ?? [])];
  files.value = "";
  takeOrSay(chosen);
});
vkey.addEventListener("input", verifyHeld);
forget.addEventListener("click", () => {
  demand = {};
  policyLine.textContent = "No policy: witnesses are not looked at.";
  forget.hidden = true;
  verifyHeld();
});
document.querySelector("#version")!.textContent = version;
