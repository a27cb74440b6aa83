import { stat } from "node:fs/promises";
import { dirname, isAbsolute } from "node:path";
import { decodeBase64url, VerifierError } from "../src/index.ts";
import { readBounded, systemCode } from "./files.ts";
import { type HttpClient, sentence } from "./http.ts";
import { contentOf } from "./http-reader.ts";
import { printableShort } from "./printable.ts";

/** A bundle is at most 64 MiB (spec/proof.md), so what it discloses is less. */
const maxAnswerLength = 67_108_864;
const maxTokenLength = 8192;

/**
 * @param given an auditor's token, or a file that holds it on its only line
 * @returns the token; it is never part of a message
 * @throws VerifierError `usage`
 */
export async function readToken(given: string): Promise<string> {
  const fromFile = await isFile(given);
  // Sent as a token it would tell the log how this machine's folders are called.
  if (!fromFile && (await isMeantAsFile(given)))
    throw new VerifierError("usage", `--token: there is no file ${printableShort(given)}`);
  const token = fromFile
    ? (await readBounded(given, maxTokenLength, "--token")).toString("utf8").replace(/\r?\n$/, "")
    : given;
  // RFC 6750 section 2.1, b64token: anything else cannot stand in the header.
  if (token.startsWith("PRIVATE+KEY+"))
    throw new VerifierError("usage", "--token holds a signing key; keep it secret, and give the token");
  if (token.length <= maxTokenLength && /^[A-Za-z0-9._~+/-]+=*$/.test(token)) return token;
  throw new VerifierError(
    "usage",
    "--token is neither a file nor a token: a token is letters, digits and -._~+/ on one line",
  );
}

/** A token may have slashes as well; but not such that a folder of this machine stands before them. */
async function isMeantAsFile(given: string): Promise<boolean> {
  if (isAbsolute(given) || /^(?:~|\.{1,2})\//.test(given)) return true;
  return given.includes("/") && isFile(dirname(given));
}

async function isFile(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (systemCode(error) !== undefined) return false; // ENOENT, or a name that no file can have: it is a token
    throw error;
  }
}

/** Bytes of a reason, at most (spec/entry.md, acts of the log). */
const maxReasonLength = 512;

/**
 * @param given why the values are read: the log writes it down
 * @throws VerifierError `usage`
 */
export function readReason(given: string): string {
  if (/^[^\p{Cc}\p{Surrogate}]+$/u.test(given) && Buffer.byteLength(given) <= maxReasonLength) return given;
  throw new VerifierError("usage", "--reason is no reason: 1 to 512 bytes of text on one line");
}

/**
 * Asks the log for what it can disclose of an entry. What comes is not verified here. The log makes an entry of it.
 * @returns disclosures, base64url
 * @throws VerifierError `usage` when the token is refused; `data_missing`; `log_unreachable`
 */
export async function fetchDisclosures(
  http: HttpClient,
  index: number,
  { token, reason }: { token: string; reason: string },
): Promise<string[]> {
  const path = `api/v1/entries/${index}/disclosures?reason=${encodeURIComponent(reason)}`;
  const answer = await http.get(path, { limit: maxAnswerLength, headers: { authorization: `Bearer ${token}` } });
  if (answer.status === 401 || answer.status === 403) {
    // A log that repeats the token does not get it printed.
    const said = sentence(answer).replaceAll(token, "...");
    const message = `the log refuses the token (${answer.status})${said}: ask its operator for one that is valid, or leave --token out to prove the entry without its sealed values`;
    throw new VerifierError("usage", message);
  }
  const body = contentOf(answer, path);
  if (body.length > maxAnswerLength) throw bad(path, `it has more than ${maxAnswerLength} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw bad(path, "it is not JSON");
  }
  const { index: of, disclosures } = (value ?? {}) as { index?: unknown; disclosures?: unknown };
  if (of !== index) throw bad(path, `its index is ${printableShort(String(of), 20)}`);
  if (!Array.isArray(disclosures)) throw bad(path, "it has no list of disclosures");
  if (!disclosures.every((one) => typeof one === "string" && decodeBase64url(one) !== undefined)) {
    throw bad(path, "one of its disclosures is not base64url");
  }
  return disclosures;
}

function bad(path: string, why: string): VerifierError {
  const message = `what the log answers for the disclosures is not what the interface says: ${why}`;
  return new VerifierError("data_missing", message, { where: path });
}
