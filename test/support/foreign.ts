/** Drivers of other languages: installed from their registries into a folder, or the reason why that cannot be. */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildGo, type Run, run } from "./go.ts";
import { ROOT } from "./stack.ts";

const PYTHON = ["psycopg==3.3.9", "psycopg-binary==3.3.9", "asyncpg==0.32.0"];
const JDBC = {
  url: "https://repo.maven.apache.org/maven2/org/postgresql/postgresql/42.7.14/postgresql-42.7.14.jar",
  sha256: "73914527305a40cce504b0d3d90b23caf565136912d607ae8ae7c5895512332c",
};
const INSTALL_MS = 180_000;
const RUN_MS = 120_000;

/** How a suite connects, as libpq's environment variables have it. */
export interface Connection {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** In the clear when left out. */
  readonly sslmode?: string;
}

export interface ForeignDriver {
  readonly name: string;
  /** Why it is not here. */
  readonly skip: string | false;
  /** Runs the suite; what it prints is what the driver saw. */
  suite(connection: Connection): Promise<Run>;
}

const source = (name: string): string => join(ROOT, "test/drivers", name);

function environment({
  host,
  port,
  user,
  password,
  database,
  sslmode = "disable",
}: Connection): Record<string, string> {
  return {
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGPASSWORD: password,
    PGDATABASE: database,
    PGSSLMODE: sslmode,
  };
}

function inPython(name: string, file: string, packages: string, skip: string | false): ForeignDriver {
  return {
    name,
    skip,
    suite: (connection) =>
      run("python3", [source(file)], packages, RUN_MS, { ...environment(connection), PYTHONPATH: packages }),
  };
}

async function python(folder: string): Promise<ForeignDriver[]> {
  const packages = join(folder, "python");
  const args = ["-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--target", packages, ...PYTHON];
  const { code, stderr } = await run("python3", args, folder, INSTALL_MS);
  const skip = code === 0 ? false : `pip cannot install ${PYTHON.join(", ")}: ${lastLine(stderr)}`;
  return [
    inPython("psycopg 3", "suite_psycopg.py", packages, skip),
    inPython("asyncpg", "suite_asyncpg.py", packages, skip),
  ];
}

async function jdbc(folder: string): Promise<ForeignDriver> {
  const jar = join(folder, "postgresql.jar");
  const { code, stderr } = await run("javac", ["-version"], folder, INSTALL_MS);
  let skip: string | false = code === 0 ? false : `no JDK: ${lastLine(stderr)}`;
  if (skip === false) {
    try {
      const bytes = Buffer.from(await (await fetch(JDBC.url)).arrayBuffer());
      const sum = createHash("sha256").update(bytes).digest("hex");
      if (sum !== JDBC.sha256) throw new Error(`its SHA-256 is ${sum}`);
      writeFileSync(jar, bytes);
    } catch (error) {
      skip = `${JDBC.url}: ${(error as Error).message}`;
    }
  }
  return {
    name: "pgjdbc",
    skip,
    suite: ({ host, port, user, password, database, sslmode = "disable" }) => {
      const url = `jdbc:postgresql://${host}:${port}/${database}?sslmode=${sslmode}`;
      return run("java", ["-cp", jar, source("Suite.java"), url, user, password], folder, RUN_MS);
    },
  };
}

async function pgx(folder: string): Promise<ForeignDriver> {
  const program = join(folder, "pgx");
  const skip = (await buildGo(source("pgx"), program)) ?? false;
  return { name: "pgx", skip, suite: (connection) => run(program, [], folder, RUN_MS, environment(connection)) };
}

/** All of them, installed where they can be. */
export async function foreignDrivers(folder: string): Promise<ForeignDriver[]> {
  return (await Promise.all([python(folder), jdbc(folder), pgx(folder)])).flat();
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "";
}
