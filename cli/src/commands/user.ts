import { putUser, readProxyConfig, readUsers, removeUser } from "@vitrine/proxy";
import type { UserCommand, UsersPlace } from "../args/user.ts";
import { CliError } from "../errors.ts";
import { askPassword } from "../password.ts";
import { printable, printableJson } from "../printable.ts";

/**
 * `vitrine proxy user`: adds, changes, lists and removes those whom a proxy authenticates. It works on the file; a proxy
 * that runs reads it by itself.
 *
 * @returns the exit status
 * @throws CliError `usage`; ProxyError `bad_config`
 */
export async function runUser(command: UserCommand): Promise<number> {
  const file = await fileOf(command.where);
  switch (command.action) {
    case "add":
      return add(file, command);
    case "list":
      return list(file, command.json);
    case "remove":
      if (await removeUser(file, command.name)) return 0;
      throw new CliError("usage", `${file} has no user ${JSON.stringify(command.name)}; see vitrine proxy user list`);
  }
}

async function fileOf({ file, config }: UsersPlace): Promise<string> {
  if (file !== undefined) return file;
  const { users } = (await readProxyConfig(config!)).auth;
  if (users !== undefined) return users;
  throw new CliError("usage", `${config} has no key "users"; name a file there first, such as users: users.txt`);
}

async function add(file: string, command: UserCommand & { action: "add" }): Promise<number> {
  const { name, iterations, identity, groups, expires, role, certificate } = command;
  const password =
    command.password === "ask" ? await askPassword(printable(name)) : command.password === "none" ? null : undefined;
  const isNew = await putUser(file, { name, password, iterations, identity, groups, expires, role, certificate });
  process.stderr.write(`${printable(name)} ${isNew ? "added" : "changed"}\n`);
  return 0;
}

/** A line each: login, identity, groups, role, expiry, and what it can log in by. */
async function list(file: string, json: boolean): Promise<number> {
  const now = Date.now();
  const { byName } = await readUsers(file);
  for (const user of [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const { name, identity, groups, role, certificate, verifier } = user;
    const expires = user.expires === undefined ? undefined : new Date(user.expires).toISOString();
    const expired = user.expires !== undefined && user.expires <= now;
    if (json) {
      const about = { name, identity, groups, role, certificate, expires, expired, password: verifier !== undefined };
      process.stdout.write(`${printableJson(about)}\n`);
      continue;
    }
    const columns = [
      name,
      identity ?? "-",
      groups.join(",") || "-",
      role ?? name,
      expires === undefined ? "never" : `${expires}${expired ? " (expired)" : ""}`,
      verifier === undefined ? "no password" : `SCRAM-SHA-256, ${verifier.iterations} iterations`,
    ];
    process.stdout.write(`${columns.map(printable).join("\t")}\n`);
  }
  return 0;
}
