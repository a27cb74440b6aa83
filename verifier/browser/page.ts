import { recognize } from "./dropped.ts";
import { parseVerifierKey, type VerifierKey, verifyBundle, version } from "./evidence.ts";
import { messageElement, reportElement } from "./report.ts";

// The page keeps nothing and sends nothing: its Content-Security-Policy lets it connect to nobody.

/** As long as a bundle may be (spec/proof.md); a longer file is not read into memory. */
const longestFile = 67_108_864;

const drop = document.querySelector<HTMLElement>("#drop")!;
const files = document.querySelector<HTMLInputElement>("#files")!;
const vkey = document.querySelector<HTMLInputElement>("#vkey")!;
const results = document.querySelector<HTMLElement>("#results")!;

type Held = { name: string; bytes: Uint8Array };

/** The files last given, so that a key that comes after them is enough. */
let held: Held[] = [];

function show(...children: HTMLElement[]): void {
  results.replaceChildren(...children);
}

function readKey(): VerifierKey | string {
  const text = vkey.value.trim();
  if (text === "")
    return "Now the log's verification key: paste it above, or drop its file here as well. Have it from somebody you trust.";
  try {
    return parseVerifierKey(text);
  } catch (error) {
    return `The verification key: ${(error as Error).message}`;
  }
}

function verifyHeld(): void {
  if (held.length === 0) return;
  const key = readKey();
  if (typeof key === "string") show(messageElement(key));
  else show(...held.map(({ name, bytes }) => reportElement(name, verifyBundle(bytes, key))));
}

async function take(list: Iterable<File>): Promise<void> {
  const evidence: Held[] = [];
  for (const file of list) {
    if (file.size > longestFile) {
      show(messageElement(`${file.name} has ${file.size} bytes; evidence has at most ${longestFile}.`));
      return;
    }
    const dropped = recognize(new Uint8Array(await file.arrayBuffer()));
    if (dropped.kind === "key") vkey.value = dropped.vkey;
    else evidence.push({ name: file.name, bytes: dropped.bytes });
  }
  if (evidence.length > 0) held = evidence;
  verifyHeld();
}

function takeOrSay(list: Iterable<File>): void {
  take(list).catch((error: unknown) => show(messageElement(`The file could not be read: ${String(error)}`)));
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
document.querySelector("#version")!.textContent = version;
