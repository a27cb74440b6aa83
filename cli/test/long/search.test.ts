import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import t from "tap";
import { searchLog } from "../../src/search-client.ts";
import { parseTime } from "../../src/time.ts";
import { vitrine } from "../run.ts";

// The command against a log that answers as a test wants it to; against a real one it is in the tests of the whole.

type Answer = readonly [status: number, body: unknown, headers?: Record<string, string>];

let answers: Answer[] = [];
const asked: IncomingMessage[] = [];
const server = createServer((request: IncomingMessage, response: ServerResponse) => {
  asked.push(request);
  const [status, body, headers] = answers.shift() ?? [500, "nothing is left to answer"];
  response.writeHead(status, headers);
  response.end(typeof body === "string" ? body : JSON.stringify(body));
});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
t.after(() => {
  server.closeAllConnections();
  server.close();
});

function statement(index: number, changes: object = {}): { index: number; entry: string } {
  const time = "2026-11-22T22:10:00.123456Z";
  const relations = [{ schema: "public", name: "accounts", access: "write" }];
  const entry = { v: 1, kind: "statement", source: "s", epoch: 1, seq: index, time, actor: { login: "alice" } };
  const rest = { database: "shop", operation: "UPDATE", relations, outcome: "completed", rows: 3 };
  return { index, entry: JSON.stringify({ ...entry, ...rest, ...changes }) };
}

async function search(given: Answer[], ...args: string[]): Promise<Awaited<ReturnType<typeof vitrine>>> {
  answers = given;
  asked.length = 0;
  return vitrine(["search", "--log", `${url}/prefix/`, ...args]);
}

const parameters = (): string[][] => asked.map((request) => [...new URL(request.url!, url).searchParams].map(String));

t.test("it asks page by page, and lists what it is told as the log's word", async (t) => {
  const { status, stdout, stderr } = await search(
    [
      [200, { size: 9, hits: [statement(7), statement(5)], next: "abc", scanned: 4 }],
      [200, { size: 9, hits: [], next: "def", scanned: 4 }],
      [200, { size: 9, hits: [statement(1, { outcome: "failed", sqlstate: "42501" })], next: null, scanned: 1 }],
    ],
    ...["--user", "alice", "--user", "o'hara", "--table", "public.accounts", "--class", "write"],
    ...["--since", "2026-11-01", "--limit", "20"],
  );
  t.same([status, stderr], [0, ""]);
  const fields = ["actor,alice", "actor,o'hara", "relation,public.accounts", "class,write"];
  const since = "since,2026-11-01T00:00:00.000000Z";
  t.same(parameters(), [
    [...fields, since, "limit,20"],
    [...fields, since, "limit,18", "cursor,abc"],
    [...fields, since, "limit,18", "cursor,def"],
  ]);
  t.equal(new URL(asked[0]!.url!, url).pathname, "/prefix/api/v1/search");
  const lines = stdout.split("\n");
  t.match(lines[0], /^index {2}time \(UTC\) +operation {2}login {2}database {2}tables +outcome +rows$/);
  t.match(lines[1], /^ {4}7 {2}2026-11-22 22:10:00.123 {2}UPDATE +alice +shop +public\.accounts +completed +3$/);
  t.match(lines[3], /failed 42501/);
  t.match(stdout, /^3 hits among 9 entries, newest first\.$/m);
  t.match(stdout, /This is the log's word/);
  t.match(stdout, /vitrine-verifier prove --log \S+\/prefix --vkey KEY --index 7 /);
  t.match(stdout, /vitrine-verifier audit .* --all --table public.accounts --since 2026-11-01T00:00:00.000000Z$/m);
});

t.test("who is behind a login, whom the client claims, and which rule: each by itself", async (t) => {
  const hits = [
    statement(7, { actor: { login: "app", identity: "ann" } }),
    statement(6, { claimed: { user: { name: "eve", from: "comment" } } }),
  ];
  const { stdout } = await search(
    [[200, { size: 9, hits, next: null, scanned: 9 }]],
    ...["--identity", "ann", "--claimed", "eve", "--rule", "cards", "--would-deny", "trial"],
  );
  t.same(parameters(), [["identity,ann", "claimed,eve", "rule,cards", "would_deny,trial", "limit,50"]]);
  t.match(stdout, / app \(ann\) +shop/);
  t.notMatch(stdout.split("\n\n")[0], /eve/, "what is claimed is not shown as if it were true");
  t.match(stdout, /vitrine-verifier audit .* --all --identity ann --claimed eve/);
});

t.test("without filters, statements and refused connections; it stops at the limit", async (t) => {
  const { status, stdout } = await search(
    [[200, { size: 9, hits: [statement(7)], next: "abc", scanned: 2 }]],
    "--limit",
    "1",
  );
  t.equal(status, 0);
  t.same(parameters(), [["kind,statement", "kind,access.refused", "limit,1"]]);
  t.match(stdout, /^1 hit among 9 entries, newest first; there may be older ones, see --limit\.$/m);
  const none = await search([[200, { size: 0, hits: [], next: null, scanned: 0 }]]);
  t.match(none.stdout, /^0 hits among 0 entries/);
});

t.test("--json is one object, and what it holds cannot move a cursor", async (t) => {
  const evil = "a\u001b[2J\u202e\u2028b";
  const hits = [statement(3, { actor: { login: evil } })];
  const answer: Answer = [200, { size: 4, hits, next: null, scanned: 4 }];
  const { stdout } = await search([answer], "--json");
  t.notMatch(stdout, /[\u001b\u202e\u2028]/);
  const found = JSON.parse(stdout);
  t.same(
    { ...found, hits: undefined },
    { log: `${url}/prefix`, verified: false, size: 4, complete: true, hits: undefined },
  );
  t.same(found.hits, [{ index: 3, entry: JSON.parse(hits[0]!.entry) }]);
  const shown = await search([answer]);
  t.notMatch(shown.stdout, /[\u001b\u202e\u2028]/);
  t.match(shown.stdout, /a\\u\{1b\}\[2J\\u\{202e\}\\u\{2028\}b|a\\u\{1b\}\[2J.*…/);
});

t.test("the token goes along, and nowhere else", async (t) => {
  const file = `${t.testdir({ token: "secret-token\n", two: "a b" })}/token`;
  const { status, stdout, stderr } = await search(
    [[200, { size: 0, hits: [], next: null, scanned: 0 }]],
    "--token-file",
    file,
  );
  t.equal(status, 0);
  t.equal(asked[0]!.headers.authorization, "Bearer secret-token");
  t.notMatch(stdout + stderr, /secret/);
  const moved = await search([[302, "", { location: "http://127.0.0.1:1/" }]], "--token-file", file);
  t.match([moved.status, moved.stderr], [69, /log_unreachable: .*redirect/]);
  const wrong = await search([], "--token-file", file.replace(/token$/, "two"));
  t.match([wrong.status, wrong.stderr], [64, /does not hold one token/]);
});

t.test("a log that refuses, is not ready, is no log, or is not there", async (t) => {
  const error = (code: string): object => ({ error: { code, message: "because\u001b[2J" } });
  const refused = await search([[401, error("unauthorized")]]);
  t.match(
    [refused.status, refused.stderr],
    [1, /^vitrine: log_refused: the log answers 401, unauthorized: because\\u\{1b\}/],
  );
  t.match(refused.stderr, /; give the file of one with --token-file\n$/);
  for (const [status, body] of [
    [404, ""],
    [500, "<html>"],
    [400, { error: "bad" }],
  ] as const) {
    const other = await search([[status, body]]);
    t.match([other.status, other.stderr], [1, /^vitrine: log_answer: http:\/\/127[^ ]+ answers \d+, and not as a log/]);
  }
  const tls = await vitrine(["search", "--log", url.replace("http:", "https:")]);
  t.match([tls.status, tls.stderr], [69, /^vitrine: log_unreachable: .* it does not speak TLS; if it is plain HTTP, /]);
  const empty: Answer = [200, { size: 0, hits: [], next: null, scanned: 0 }];
  const patient = await search([
    [503, error("index_behind"), { "retry-after": "0.01" }],
    [429, "", { "retry-after": "0.01" }],
    empty,
  ]);
  t.same([patient.status, asked.length], [0, 3]);
  const never = await search(
    Array.from({ length: 8 }, () => [503, error("index_behind"), { "retry-after": "0.01" }] as const),
  );
  t.match([never.status, never.stderr], [69, /log_unreachable: the log answers 503, index_behind/]);
  const page = { size: 9, hits: [statement(7)], next: null, scanned: 9 };
  const bad: unknown[] = [
    "<html>",
    [],
    { ...page, size: -1 },
    { ...page, hits: {} },
    { ...page, next: 5 },
    { ...page, hits: [statement(7), statement(7)] },
    { ...page, hits: [statement(9)] },
    { ...page, hits: [{ index: 1.5, entry: "{}" }] },
    { ...page, hits: [{ index: 1, entry: "[]" }] },
    { ...page, hits: [{ index: 1 }] },
  ];
  const command = { log: url, token: undefined, fields: new Map(), since: undefined, until: undefined } as const;
  for (const body of bad) {
    answers = [[200, body]];
    const found = searchLog({ ...command, limit: 10, json: false });
    await t.rejects(found, { code: "log_answer" }, JSON.stringify(body));
  }
  const html = await search([[200, "<html>"]]);
  t.match([html.status, html.stdout, html.stderr], [1, "", /^vitrine: log_answer: [^\n]+\n$/]);
  const gone = await vitrine(["search", "--log", "http://127.0.0.1:1"]);
  t.match(
    [gone.status, gone.stderr],
    [69, /^vitrine: log_unreachable: no answer from the log at http:\/\/127\.0\.0\.1:1: [^\n]+\n$/],
  );
});

t.test("an entry of an odd shape is listed by what it has", async (t) => {
  const odd = [
    statement(5, { actor: 5, relations: [null, { name: 7 }], operation: ["x"], time: {}, rows: "many", outcome: null }),
    statement(4, { kind: "access.refused", sqlstate: "28P01", relations: undefined, outcome: undefined }),
    statement(3, { database: "x".repeat(10_000) }),
    statement(2, { executed: false }),
  ];
  const { status, stdout } = await search([[200, { size: 6, hits: odd, next: null, scanned: 6 }]]);
  t.equal(status, 0);
  t.match(stdout, /access\.refused .* refused 28P01/);
  t.match(stdout, / x{23}… /);
  t.match(stdout, /^ *2 {2}.* completed, bound only /m);
});

t.test("times keep their fractions", async (t) => {
  t.equal(parseTime("2026-11-22T18:00:00.1+01:00", "--since"), "2026-11-22T17:00:00.100000Z");
  t.equal(parseTime("2026-11-22T18:00:00.123456Z", "--since"), "2026-11-22T18:00:00.123456Z");
  for (const wrong of ["2026-11-22T24:00Z", "2026-02-30", "2026-11-22T18:00:00.Z", "2026-11-22T18:00:00.1234567Z"]) {
    t.throws(() => parseTime(wrong, "--since"), { code: "usage" }, wrong);
  }
});

t.end();
