// Holds entries.json and disclosures.json against a JavaScript engine, and the entries against the JSON Schema:
//   node compact.mjs                                  the compact form
//   NODE_PATH=/tmp/ajv/node_modules node compact.mjs  the schema too (npm install --prefix /tmp/ajv ajv@8)
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const read = (name) => JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8"));
let failures = 0;
const fail = (file, c, what) => {
  failures++;
  console.log(`${file}: ${c.desc}: ${what}`);
};

/** The bytes of README.md. */
function bytes(v) {
  if (typeof v === "string") return Buffer.from(v);
  if (Array.isArray(v)) return Buffer.concat(v.map(bytes));
  if ("base64" in v) return Buffer.from(v.base64, "base64");
  return Buffer.concat(Array(v.times).fill(bytes(v.repeat)));
}

function depth(text) {
  let now = 0;
  let most = 0;
  for (const part of text.replace(/"(?:[^"\\]|\\.)*"/gs, "")) {
    if (part === "[" || part === "{") most = Math.max(most, ++now);
    if (part === "]" || part === "}") now--;
  }
  return most;
}

function numbers(value) {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0;
  return value === null || typeof value !== "object" || Object.values(value).every(numbers);
}

/** The value, if the bytes are in compact form; entries and disclosures alike. */
function compact(b) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(b);
    if (depth(text) > 64) return undefined;
    const value = JSON.parse(text);
    return JSON.stringify(value) === text ? value : undefined;
  } catch {
    return undefined;
  }
}

function formOf(b) {
  const value = compact(b);
  return b.length <= 65535 && value !== null && typeof value === "object" && !Array.isArray(value) && numbers(value);
}

const entries = read("../entries.json").cases;
for (const c of entries) {
  const good = formOf(bytes(c.entry));
  if (good !== (c.step !== "E1")) fail("entries", c, `the engine says ${good ? "compact" : "not compact"}`);
}
for (const c of read("../disclosures.json").cases) {
  if (c.wantErr === undefined && compact(bytes(c.json)) === undefined) fail("disclosures", c, "not compact");
  if (c.wantErr === undefined && bytes(c.json).toString("base64url") !== c.disclosure) fail("disclosures", c, "not its base64url");
}

let checked = "without the schema";
try {
  const require = createRequire(`${(process.env.NODE_PATH ?? ".").replace(/\/?$/, "/")}x.js`);
  const Ajv = require("ajv/dist/2020").default;
  const validate = new Ajv({ strict: true, strictRequired: false, strictTypes: false }).compile(read("../../schema/entry.schema.json"));
  for (const c of entries.filter((e) => e.step !== "E1")) {
    const good = validate(compact(bytes(c.entry)));
    if (good !== (c.wantErr === undefined || c.schema === true)) fail("entries", c, `the schema says ${good}: ${JSON.stringify(validate.errors)}`);
  }
  checked = "with the schema";
} catch (error) {
  if (error.code !== "MODULE_NOT_FOUND") throw error;
}
console.log(`${entries.length} entries ${checked}, ${failures} failures`);
process.exitCode = failures === 0 ? 0 : 1;
