/// <reference lib="dom" />
// The page that verifies evidence, in a real browser without a network, over all bundles of the vectors.
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import t from "tap";
import { ROOT } from "./support/stack.ts";

/** The value of spec/vectors/README.md that stands for bytes. */
type Bytes = string | { base64: string } | { repeat: Bytes; times: number } | Bytes[];
interface Case {
  readonly desc: string;
  readonly bundle: Bytes;
  readonly disclosed?: Record<string, unknown>;
  readonly wantErr?: string;
}

const { vkey, cases } = JSON.parse(readFileSync(join(ROOT, "spec/vectors/bundles.json"), "utf8")) as {
  vkey: string;
  cases: Case[];
};
const chains = readFileSync(join(ROOT, "spec/vectors/chains.json"), "utf8");
/** Step by the code of a finding; all others are the checkpoint's (spec/proof.md, "Evidence bundle"). */
const steps: Readonly<Record<string, string>> = {
  bundle_malformed: "B1",
  inclusion_invalid: "B3",
  entry_malformed: "B4",
  disclosure_mismatch: "B5",
};

function bytesOf(value: Bytes): Buffer {
  if (typeof value === "string") return Buffer.from(value);
  if (Array.isArray(value)) return Buffer.concat(value.map(bytesOf));
  if ("base64" in value) return Buffer.from(value.base64, "base64");
  return Buffer.concat(Array.from({ length: value.times }, () => bytesOf(value.repeat)));
}

function findChromium(): string | undefined {
  for (const name of [process.env.VITRINE_CHROMIUM, "chromium", "chromium-browser", "google-chrome"]) {
    if (name === undefined) continue;
    const { status, stdout } = spawnSync("sh", ["-c", 'command -v "$1"', "sh", name], { encoding: "utf8" });
    if (status === 0) return stdout.trim();
  }
  return undefined;
}

execFileSync(process.execPath, [join(ROOT, "verifier/dist/tools/bundle.js")]);
const file = (name: string): string => join(ROOT, "verifier/dist/page", name);

t.test("the module", async (t) => {
  const size = readFileSync(file("verifier.js")).length;
  t.comment(`${size} bytes minified`);
  t.ok(size <= 60 * 1024, `${size} bytes, at most ${60 * 1024}`);
  const verifier = await import(pathToFileURL(file("verifier.js")).href);
  const key = verifier.parseVerifierKey(vkey);
  const wrong = cases.filter(({ bundle, wantErr }) => {
    const report = verifier.verifyBundle(bytesOf(bundle), key);
    return report.findings[0]?.code !== wantErr;
  });
  t.same(wrong, [], "it finds what the vectors say");
});

const executablePath = findChromium();
const skip = executablePath === undefined ? "no Chromium here; VITRINE_CHROMIUM may name one" : false;

interface Shown {
  readonly verdict: string;
  readonly steps: readonly string[];
  readonly text: string;
}

async function shown(page: Page): Promise<Shown> {
  return page.evaluate(() => {
    const report = document.querySelector<HTMLElement>("#results .report");
    const steps = [...document.querySelectorAll<HTMLElement>("#results .steps li")];
    return {
      verdict: report?.dataset.verdict ?? "",
      steps: steps.map((step) => `${step.dataset.step} ${step.className}`),
      text: document.querySelector<HTMLElement>("#results")!.innerText,
    };
  });
}

interface Dropped {
  readonly name: string;
  readonly bytes: Buffer;
  /** So many zero bytes behind it. */
  readonly zeros?: number;
}

/** As somebody who drags files out of a folder does it. */
async function drop(page: Page, files: readonly Dropped[]): Promise<void> {
  const list = files.map(({ name, bytes, zeros = 0 }) => ({ name, base64: bytes.toString("base64"), zeros }));
  const data = await page.evaluateHandle((list) => {
    const data = new DataTransfer();
    for (const { name, base64, zeros } of list) {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      data.items.add(new File([bytes, new Uint8Array(zeros)], name));
    }
    document.querySelector("#results")!.replaceChildren();
    return data;
  }, list);
  await page.dispatchEvent("#drop", "drop", { dataTransfer: data });
  await page.waitForFunction(() => document.querySelector("#results")!.childElementCount > 0);
}

t.test("the page", { skip }, async (t) => {
  const browser: Browser = await chromium.launch({
    executablePath: executablePath!,
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
  });
  t.teardown(() => browser.close());
  const context = await browser.newContext({ offline: true });
  const page = await context.newPage();
  const requests: string[] = [];
  const faults: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => faults.push(message.text()));
  const url = pathToFileURL(file("verify.html")).href;
  await page.goto(url);

  const good = cases.find(({ desc }) => desc.startsWith("with everything"))!;
  await drop(page, [
    { name: "evidence.json", bytes: bytesOf(good.bundle) },
    { name: "log.key", bytes: Buffer.from(`PRIVATE+KEY+${vkey}\n`) },
  ]);
  t.match((await shown(page)).text, /^log\.key cannot be used: it holds a signing key; keep it secret/);
  await drop(page, [{ name: "evidence.json", bytes: bytesOf(good.bundle) }]);
  t.match((await shown(page)).text, /verifier key/, "without a key it asks for one");
  await page.fill("#vkey", "nonsense");
  t.match((await shown(page)).text, /^The verifier key: /, "a key that is none is said to be none");
  await drop(page, [
    { name: "evidence.json", bytes: bytesOf(good.bundle) },
    { name: "log.vkey", bytes: Buffer.from(`${vkey}\n`) },
  ]);
  const whole = await shown(page);
  t.equal(whole.verdict, "PASS");
  t.same(
    whole.steps,
    ["B1", "B2", "B3", "B4", "B5"].map((step) => `${step} passed`),
  );
  for (const value of Object.values(good.disclosed!)) {
    if (typeof value === "string") t.ok(whole.text.includes(value), `the disclosed value is shown: ${value}`);
  }
  t.match(whole.text, /Not established/);

  const wrong: string[] = [];
  // A bare proof is no bundle, and the page knows it for what it is.
  const bundles = cases.filter(({ bundle }) => !bytesOf(bundle).toString().startsWith("c2sp.org/tlog-proof@"));
  t.equal(bundles.length, cases.length - 1);
  for (const { desc, bundle, wantErr } of bundles) {
    await drop(page, [{ name: `${desc}.json`, bytes: bytesOf(bundle) }]);
    const { verdict, steps: found } = await shown(page);
    const failing = wantErr === undefined ? undefined : (steps[wantErr] ?? "B2");
    const wanted = ["B1", "B2", "B3", "B4", "B5"].map((step) => {
      if (failing === undefined || step < failing) return `${step} passed`;
      return `${step} ${step === failing ? "failed" : "unreached"}`;
    });
    if (verdict !== (wantErr === undefined ? "PASS" : "FAIL") || found.join() !== wanted.join()) wrong.push(desc);
  }
  t.same(wrong, [], `${bundles.length} bundles have the verdict and the failing step of the vectors`);

  await page.setInputFiles("#files", { name: "chosen.json", mimeType: "", buffer: bytesOf(good.bundle) });
  await page.waitForFunction(() => document.querySelector("#results h2")?.textContent?.includes("chosen.json"));
  t.equal((await shown(page)).verdict, "PASS", "a file that is chosen is as good as one that is dropped");

  const { cases: notes } = JSON.parse(readFileSync(join(ROOT, "spec/vectors/cosignatures.json"), "utf8")) as {
    cases: { note: string; vkey: string }[];
  };
  const { note, vkey: witness } = notes[0]!;
  const policies = readFileSync(join(ROOT, "spec/vectors/policies.json"), "utf8");
  const stranger = /witness\.example\/w2\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+/.exec(policies)![0];
  const policy = (who: string): Buffer => Buffer.from(`log ${vkey}\nwitness W1 ${who}\nquorum W1\n`);
  await drop(page, [
    { name: "checkpoint", bytes: Buffer.from(note) },
    { name: "policy.txt", bytes: policy(witness) },
  ]);
  const cosigned = await shown(page);
  t.same(
    [cosigned.verdict, cosigned.steps],
    ["PASS", ["C passed", "W passed"]],
    "a checkpoint, its witness and a policy",
  );
  t.match(cosigned.text, /W1\s+cosigned, 20\d\d-/);
  await drop(page, [{ name: "policy.txt", bytes: policy(stranger) }]);
  const alone = await shown(page);
  t.same(
    [alone.verdict, alone.steps],
    ["NOT PROVEN", ["C passed", "W lacking"]],
    "the witness that is wanted did not sign",
  );
  await page.click("#forget");
  t.equal((await shown(page)).verdict, "PASS", "without a policy witnesses are not looked at");
  await drop(page, [{ name: "evidence.json", bytes: bytesOf(good.bundle) }]);
  await page.setViewportSize({ width: 320, height: 640 });
  const widths = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    document.documentElement.clientWidth,
  ]);
  t.equal(widths[0], widths[1], "nothing of it is wider than a telephone");
  await page.setViewportSize({ width: 1280, height: 720 });

  const evidence = { name: "evidence.json", bytes: bytesOf(good.bundle) };
  await drop(page, [evidence, { name: "policy.txt", bytes: Buffer.from("quorum W9\n") }]);
  const unread = await shown(page);
  t.match(unread.text, /^The policy policy\.txt cannot be used: .*line 1/, "a policy that is none says where");
  t.equal(unread.verdict, "", "and nothing is verified without it");
  await page.click("#forget");
  t.equal((await shown(page)).verdict, "PASS");
  const elsewhere = Buffer.from(
    `log ${/proxy-a\.example\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+/.exec(chains)![0]}\nquorum none\n`,
  );
  await drop(page, [{ name: "policy.txt", bytes: elsewhere }]);
  t.match((await shown(page)).text, /^The verifier key: the policy has no log line with the key given/);
  await page.click("#forget");

  const proven = JSON.parse(good.bundle as string) as { entry: string; proof: string };
  const proof = { name: "30.tlog-proof", bytes: Buffer.from(proven.proof) };
  await drop(page, [proof]);
  t.match((await shown(page)).text, /^30\.tlog-proof is a tlog-proof, which says nothing by itself/);
  for (const [entry, verdict] of [
    [proven.entry, "PASS"],
    [`${proven.entry}\n`, "FAIL"],
  ] as const) {
    await drop(page, [{ name: "entry", bytes: Buffer.from(entry) }, proof]);
    const { verdict: found, steps } = await shown(page);
    t.same([found, steps.length, steps[2]], [verdict, 3, verdict === "PASS" ? "B3 passed" : "B3 failed"]);
  }
  await drop(page, [
    evidence,
    { name: "too-long", bytes: Buffer.alloc(0), zeros: 67_108_865 },
    { name: "x.jpg", bytes: Buffer.of(255) },
  ]);
  const several = await shown(page);
  t.match(
    several.text,
    /^too-long cannot be used: it has 67108865 bytes/,
    "what is wrong with one is said of that one",
  );
  t.equal(await page.textContent("#summary[role=status]"), "FAIL: x.jpg; PASS: evidence.json");

  const markup = "<img src=x onerror=document.title='owned'>\u202e.json";
  await drop(page, [{ name: markup, bytes: Buffer.from('{"format":"<script>document.title=\'owned\'</script>"}') }]);
  t.ok((await shown(page)).text.includes("<img src=x onerror=document.title='owned'>\\u{202e}.json"));
  t.equal(await page.title(), "Verify evidence", "nothing that a file says becomes markup");
  const reached = await page.evaluate(() =>
    fetch("https://example.com/").then(
      () => "reached",
      (error: unknown) => String(error),
    ),
  );
  t.not(reached, "reached");
  t.same(
    requests.filter((one) => one !== url),
    [],
    "it asks nobody for anything",
  );
  t.same(
    faults.filter((text) => !/Content Security Policy|Refused to connect/.test(text)),
    [],
  );
  const forbidden = faults.some((text) => /Content Security Policy/.test(text));
  t.ok(forbidden, "its own policy forbids it, and not only the missing network");
});
