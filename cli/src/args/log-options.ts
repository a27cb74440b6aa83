import { readFileSync } from "node:fs";
import { CliError, oneLine } from "../errors.ts";

/**
 * @param see where to look, for the error
 * @returns the URL of a log, without a slash at its end
 * @throws CliError `usage`
 */
export function readUrl(value: string | undefined, see: string): string {
  if (value === undefined) throw new CliError("usage", `--log URL is missing; ${see}`);
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new CliError("usage", `--log ${JSON.stringify(value)} is not the URL of a log, such as https://log.example`);
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw new CliError(
      "usage",
      "--log has a user, a query or a fragment in it; give the URL without, and a --token-file",
    );
  }
  return url.href.replace(/\/+$/, "");
}

/** @returns the token that a file holds. @throws CliError `usage` */
export function readToken(file: string): string {
  let token: string;
  try {
    token = readFileSync(file, "utf8").trim();
  } catch (error) {
    throw new CliError("usage", `--token-file cannot be read: ${oneLine(error)}`, { cause: error });
  }
  if (/^[A-Za-z0-9._~+/=-]+$/.test(token)) return token;
  throw new CliError("usage", `--token-file ${JSON.stringify(file)} does not hold one token, and nothing else`);
}
