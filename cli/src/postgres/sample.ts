import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { SHARE } from "./binaries.ts";
import type { Postgres } from "./server.ts";

export const SAMPLE_DATABASE = "shop";
export const SAMPLE_ROLE = "app";

/**
 * Creates the sample database and the role that owns it, once: `passwordFile` says that it was done, so a sample that
 * somebody drops stays dropped.
 *
 * CRASH: the database is filled under another name and renamed when it is whole; the file with the role's password is
 * written last. A start that finds no such file gives the role a new password, and fills the database anew unless it
 * already has its name.
 *
 * @returns the role's password
 */
export async function ensureSample(postgres: Postgres, passwordFile: string): Promise<string> {
  if (existsSync(passwordFile)) return readFileSync(passwordFile, "utf8").trim();
  const password = randomBytes(15).toString("base64url");
  const admin = await postgres.connect("postgres");
  try {
    const role = await admin.query("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1", [SAMPLE_ROLE]);
    // Role names and passwords cannot be parameters; these hold no quote.
    await admin.query(`${role.rowCount === 0 ? "CREATE" : "ALTER"} ROLE ${SAMPLE_ROLE} LOGIN PASSWORD '${password}'`);
    const there = await admin.query("SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1", [SAMPLE_DATABASE]);
    if (there.rowCount === 0) {
      const unfinished = `${SAMPLE_DATABASE}_unfinished`;
      await admin.query(`DROP DATABASE IF EXISTS ${unfinished} WITH (FORCE)`);
      await admin.query(`CREATE DATABASE ${unfinished} OWNER ${SAMPLE_ROLE}`);
      await fill(postgres, unfinished);
      await admin.query(`ALTER DATABASE ${unfinished} RENAME TO ${SAMPLE_DATABASE}`);
    }
  } finally {
    await admin.end();
  }
  writeFileSync(`${passwordFile}.new`, `${password}\n`, { mode: 0o600, flush: true });
  renameSync(`${passwordFile}.new`, passwordFile);
  return password;
}

async function fill(postgres: Postgres, database: string): Promise<void> {
  const client = await postgres.connect(database);
  try {
    await client.query(`SET ROLE ${SAMPLE_ROLE}`);
    // One Query message is one transaction.
    await client.query(readFileSync(path.join(SHARE, "shop.sql"), "utf8"));
    await client.query("RESET ROLE");
    await client.query("ANALYZE");
  } finally {
    await client.end();
  }
}
