import { existsSync } from "node:fs";
import {
  addToken,
  isTokenName,
  readLogServerConfig,
  readTokens,
  revokeToken,
  type TokenRole,
  tokenRoles,
} from "@vitrine/log-server";
import type { TokenCommand } from "../args/log.ts";
import { CliError } from "../errors.ts";

/**
 * `vitrine log token`: makes, lists and revokes the tokens of a log. It works on the file that the configuration names;
 * the log itself need not run.
 *
 * @returns the exit status
 * @throws CliError `usage`; LogServerError `bad_config`
 */
export async function runToken(command: TokenCommand): Promise<number> {
  const { tokens: file } = await readLogServerConfig(command.config);
  if (file === undefined) {
    throw new CliError(
      "usage",
      `${command.config} has no key "tokens"; name a file there first, such as tokens: tokens`,
    );
  }
  switch (command.action) {
    case "add":
      return add(file, command);
    case "list":
      return list(file);
    case "revoke":
      if (await revokeToken(file, command.name)) return 0;
      throw new CliError(
        "usage",
        `${file} has no token named ${JSON.stringify(command.name)}; see vitrine log token list`,
      );
  }
}

async function add(file: string, command: TokenCommand & { action: "add" }): Promise<number> {
  const { name, expires } = command;
  if (!isTokenName(name)) {
    throw new CliError(
      "usage",
      `--name ${JSON.stringify(name)}: up to 128 bytes without white space, control characters and #`,
    );
  }
  const roles = command.roles.map((role) => {
    const known = tokenRoles.find((each) => each === role);
    if (known !== undefined) return known;
    throw new CliError("usage", `--role ${JSON.stringify(role)} is none of ${tokenRoles.join(", ")}`);
  });
  // The first token makes the file.
  const known = existsSync(file) ? await readTokens(file) : [];
  if (known.some((one) => one.name === name)) {
    throw new CliError(
      "usage",
      `${file} has a token named ${JSON.stringify(name)} already; choose another name, or end that one with vitrine log token revoke`,
    );
  }
  const token = await addToken(file, { name, roles: [...new Set<TokenRole>(roles)], expires });
  process.stdout.write(`${token}\n`);
  process.stderr.write("This is the token. It is shown this once: the log has its digest alone.\n");
  if (expires !== undefined && Date.parse(expires) <= Date.now())
    process.stderr.write("It has expired already, and opens nothing: --expires is in the past.\n");
  return 0;
}

/** A line each: name, roles, expiry. Names hold no control characters. */
async function list(file: string): Promise<number> {
  const now = Date.now();
  for (const { name, roles, expires } of await readTokens(file)) {
    const ends = expires === undefined ? "never" : `${expires}${Date.parse(expires) <= now ? " (expired)" : ""}`;
    process.stdout.write(`${name}\t${roles.join(",")}\t${ends}\n`);
  }
  return 0;
}
