import { VerifierError } from "../../src/index.ts";
import { readBounded } from "../files.ts";
import { printableShort } from "../printable.ts";

/** What only `export` is told. */
export type ExportSettings = {
  to: { format: "ocsf"; output: string | undefined; rotate: number; raw: boolean } | OtlpSettings;
  /** The path of the position file. */
  position: string;
  from: number;
  /** A timestamp of spec/README.md. */
  since: string | undefined;
  once: boolean;
  intervalMs: number;
  /** Bytes. */
  maxRow: number;
  /** Why disclosures are asked for; undefined when they are not. */
  reason: string | undefined;
};
export type OtlpSettings = { format: "otlp"; endpoint: string; headers: string | undefined };

export const defaultRotate = "256M";
export const defaultMaxRow = "1M";
/** An entry has at most 65,535 bytes; as a JSON string within JSON, with the row around it, it fits into this. */
const leastMaxRow = 262_144;

const factors: Readonly<Record<string, number>> = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 };

/**
 * @param value a number of bytes, or of KiB, MiB or GiB with K, M or G behind it
 * @throws VerifierError `usage`
 */
export function readSize(value: string, name: string): number {
  const parts = /^([1-9][0-9]{0,8})([KMG]?)$/.exec(value);
  const size = parts === null ? undefined : Number(parts[1]) * factors[parts[2]!]!;
  if (size !== undefined && Number.isSafeInteger(size)) return size;
  throw usage(`${name} is not a size such as 1000000, 512K, 256M or 2G: ${printableShort(value)}`);
}

/** @throws VerifierError `usage` */
export function readMaxRow(value: string): number {
  const size = readSize(value, "--max-row");
  if (size >= leastMaxRow) return size;
  throw usage(`--max-row is below ${leastMaxRow}: a row without its disclosures could be longer`);
}

const maxHeadersLength = 16_384;

/**
 * @param path of a file with one `name: value` a line
 * @returns the headers, by name in lower case; they are never part of a message
 * @throws VerifierError `usage`
 */
export async function readHeaders(path: string): Promise<Record<string, string>> {
  const bytes = await readBounded(path, maxHeadersLength, "--headers");
  if (bytes.length > maxHeadersLength) throw usage(`--headers ${printableShort(path)} is too long for a few headers`);
  const headers = new Map<string, string>();
  for (const [at, line] of bytes.toString("utf8").split(/\r?\n/).entries()) {
    if (line === "" || line.startsWith("#")) continue;
    // RFC 9110 section 5.6.2, token, and section 5.5, visible characters of ASCII.
    const parts = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([!-~](?:[ -~]*[!-~])?)$/.exec(line);
    const [, given, value] = parts ?? [];
    const name = given?.toLowerCase();
    if (name === undefined || value === undefined || fixed.has(name) || headers.has(name)) {
      throw usage(
        `--headers ${printableShort(path)}, line ${at + 1}: not one header as name: value, or one that is not to be set`,
      );
    }
    headers.set(name, value);
  }
  return Object.fromEntries(headers);
}

const fixed: ReadonlySet<string> = new Set([
  "content-type",
  "content-length",
  "transfer-encoding",
  "connection",
  "host",
  "expect",
  "upgrade",
  "keep-alive",
]);

function usage(message: string): VerifierError {
  return new VerifierError("usage", message);
}
