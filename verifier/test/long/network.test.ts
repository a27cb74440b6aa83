import { writeFileSync } from "node:fs";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import t from "tap";
import { vectorLog, vectors } from "../cli/support/log.ts";
import { type Result, run, temporaryFolder } from "../cli/support/run.ts";
import { type Hook, serve } from "../cli/support/server.ts";

type Test = { teardown(what: () => unknown): void };

/** Runs `audit` against the good log of the vectors, of which the hook changes something. */
async function audit(t: Test, hook: Hook, ...more: string[]): Promise<Result & { paths: string[] }> {
  const server = await serve(vectorLog(), hook);
  t.teardown(() => server.close());
  const args = ["audit", "--log", server.url, "--vkey", vectors.vkey, "--state", temporaryFolder(t), "--json", ...more];
  return Object.assign(await run(args), { paths: server.paths });
}

t.test("nobody answers", async (t) => {
  const server = await serve(vectorLog());
  await server.close();
  const state = temporaryFolder(t);
  for (const command of ["head", "audit", "prove"]) {
    const args = [command, "--log", server.url, "--vkey", vectors.vkey, "--state", state];
    const result = await run(command === "prove" ? [...args, "--index", "0"] : args);
    t.equal(result.status, 69);
    t.equal(result.stdout, "");
    t.match(result.stderr, /^vitrine-verifier: log_unreachable: .*\/checkpoint: .*refused/);
  }
  const json = await run(["head", "--log", server.url, "--vkey", vectors.vkey, "--state", state, "--json"]);
  t.equal(json.status, 69);
  t.match(json.json, { error: { code: "log_unreachable", message: /refused/ } });
});

t.test("a host that does not exist, and one that does not speak HTTP", async (t) => {
  const args = ["--vkey", vectors.vkey, "--state", temporaryFolder(t)];
  const nowhere = await run(["head", "--log", "http://nowhere.invalid", ...args]);
  t.equal(nowhere.status, 69);
  const server = createTcpServer((socket) => socket.on("error", () => undefined).end("SSH-2.0-OpenSSH_9.9\r\n"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const ssh = await run(["head", "--log", `http://127.0.0.1:${port}`, ...args]);
  t.equal(ssh.status, 69);
  t.match(ssh.stderr, "does not speak HTTP");
  const tls = await run(["head", "--log", `https://127.0.0.1:${port}`, ...args]);
  t.equal(tls.status, 69);
  t.match(tls.stderr, /: it does not speak TLS; if it is plain HTTP, the URL begins with http:\/\/\n$/);
  const plain = await serve(vectorLog());
  t.teardown(() => plain.close());
  const http = await run(["head", "--log", plain.url.replace("http:", "https:"), ...args]);
  t.match(http, { status: 69, stderr: /it does not speak TLS/ });
});

t.test(
  "what a store of files says of a partial tile that is gone is as good as nothing: the full one does",
  async (t) => {
    const isPartial = (path: string): boolean => /^\/tile\/.*\.p\/[0-9]+$/.test(path);
    const refuse: Hook = (path, response) => {
      if (!isPartial(path)) return false;
      response.writeHead(403).end("AccessDenied");
      return true;
    };
    const missing = await audit(t, refuse);
    t.match([missing.status, missing.json.findings], [2, [{ code: "data_missing", message: /answers 403/ }]]);
    // The log has grown: where the checkpoint implies partial tiles, there are full ones by now.
    const earlier = vectorLog(200).checkpoint();
    const server = await serve(vectorLog(), (path, response, request) => {
      if (path !== "/checkpoint") return refuse(path, response, request);
      response.end(earlier);
      return true;
    });
    t.teardown(() => server.close());
    const state = temporaryFolder(t);
    const proved = await run(["prove", "--log", server.url, "--vkey", vectors.vkey, "--state", state, "--index", "7"]);
    t.equal(proved.status, 0, proved.stderr);
    t.ok(server.paths.some(isPartial));
  },
);

t.test("a log that gives its entries to holders of a token alone", async (t) => {
  const secret = "a-viewers.token";
  const sent: (string | undefined)[] = [];
  const guard: Hook = (path, response, request) => {
    const { authorization } = request.headers;
    if (!path.startsWith("/tile/entries/")) {
      sent.push(authorization);
      return false;
    }
    if (authorization === `Bearer ${secret}`) return false;
    const message = `reading entries needs a token, and not ${authorization}`;
    response.writeHead(401).end(JSON.stringify({ error: { code: "unauthorized", message } }));
    return true;
  };
  const without = await audit(t, guard);
  t.match([without.status, without.json.findings], [2, [{ code: "data_missing", message: /401.*given with --token/ }]]);
  const wrong = await audit(t, guard, "--token", "another.token");
  t.equal(wrong.status, 2);
  t.notMatch(wrong.stdout + wrong.stderr, "another.token", "a secret is never printed, also when the log repeats it");
  const file = join(temporaryFolder(t), "token");
  writeFileSync(file, `${secret}\n`);
  const audited = await audit(t, guard, "--token", file);
  t.match([audited.status, audited.json.verdict], [0, "PASS"]);
  const server = await serve(vectorLog(), guard);
  t.teardown(() => server.close());
  const ofLog = ["--log", server.url, "--vkey", vectors.vkey, "--state", temporaryFolder(t), "--token", file];
  const proved = await run(["prove", ...ofLog, "--index", "3"]);
  t.equal(proved.status, 0, proved.stderr);
  t.match(proved.stderr, /sealed values are not asked for: --reason/);
  const config = join(temporaryFolder(t), "logs.json");
  const one = { log: server.url, vkeys: [vectors.vkey], token: file };
  writeFileSync(config, JSON.stringify({ logs: [one], state: temporaryFolder(t) }));
  t.equal((await run(["monitor", "--once", "--config", config])).status, 0);
  const lines = join(temporaryFolder(t), "events.jsonl");
  const exported = await run(["export", ...ofLog, "--format", "ocsf", "--output", lines, "--once"]);
  t.equal(exported.status, 0, exported.stderr);
  t.same([...new Set(sent)], [undefined], "with nothing but requests for entries");
});

t.test("a log that is silent is given up, before its answer and in the middle of it", async (t) => {
  const before = await audit(t, () => true, "--timeout", "0.3");
  t.equal(before.status, 69);
  t.match(before.json, { error: { code: "log_unreachable", message: /sent nothing for 0.3 s/ } });
  const within = await audit(
    t,
    (path, response) => {
      if (!path.startsWith("/tile/entries/001")) return false;
      response.write("abc");
      return true;
    },
    "--timeout",
    "0.3",
  );
  t.equal(within.status, 69);
  t.match(within.json, { error: { message: /sent nothing for 0.3 s/ } });
});

t.test("a log that sends a byte at a time is given up as well", async (t) => {
  const drip: Hook = (path, response) => {
    if (path !== "/checkpoint") return false;
    const timer = setInterval(() => response.write("x"), 20);
    response.on("close", () => clearInterval(timer));
    return true;
  };
  const result = await audit(t, drip, "--timeout", "1");
  t.equal(result.status, 69);
  t.match(result.json, { error: { message: /not complete after 10 s/ } });
});

t.test("an answer that breaks off is no answer", async (t) => {
  const result = await audit(t, (path, response) => {
    if (!path.startsWith("/tile/entries/001")) return false;
    response.writeHead(200, { "content-length": "100000" });
    response.write("abc", () => response.destroy());
    return true;
  });
  t.equal(result.status, 69);
  t.match(result.json, { error: { code: "log_unreachable" } });
});

t.test("what is longer than it can be is not read to its end", async (t) => {
  const limits = { "/checkpoint": 65536, "/tile/0/000": 8192, "/tile/entries/001.p/45": 256 * 65537 };
  for (const [path, limit] of Object.entries(limits)) {
    let sent = 0;
    let open = true;
    const chunk = Buffer.alloc(64 * 1024, "a");
    const endless: Hook = (asked, response) => {
      if (asked !== path) return false;
      response.on("close", () => {
        open = false;
      });
      const more = (): void => {
        // Far more than fits into the buffers on the way; a reader without a bound would read on for ever.
        while (open && response.write(chunk)) sent += chunk.length;
        if (open && sent < 512 * 1024 * 1024) response.once("drain", more);
      };
      more();
      return true;
    };
    const result = await audit(t, endless);
    t.equal(result.status, 1, path);
    const code = path === "/checkpoint" ? "note_malformed" : "tile_malformed";
    t.match(result.json, { verdict: "FAIL", findings: [{ code }] });
    t.ok(sent < limit + 32 * 1024 * 1024, `${path}: ${sent} bytes were taken`);
  }
});

t.test("redirects are not followed", async (t) => {
  let followed = false;
  const target = await serve(vectorLog(), () => {
    followed = true;
    return false;
  });
  t.teardown(() => target.close());
  const result = await audit(t, (path, response) => {
    response.writeHead(302, { location: `${target.url}${path}` }).end();
    return true;
  });
  t.equal(result.status, 2);
  t.match(result.json, {
    verdict: "NOT PROVEN",
    findings: [{ code: "data_missing", message: /redirect to http.*not followed/, where: "checkpoint" }],
  });
  t.notOk(followed);
});

t.test("compressed answers were not asked for", async (t) => {
  const log = vectorLog();
  const result = await audit(t, (path, response, request) => {
    t.equal(request.headers["accept-encoding"], "identity");
    if (path !== "/tile/entries/000") return false;
    response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(log.file(path)!));
    return true;
  });
  t.equal(result.status, 2);
  t.match(result.json.findings, [{ code: "data_missing", message: /Content-Encoding gzip/ }]);
});

t.test("what the log does not have is missing, whatever it says instead", async (t) => {
  for (const status of [404, 410, 400, 403, 500]) {
    const result = await audit(t, (path, response) => {
      if (!path.startsWith("/tile/entries/000")) return false;
      response.writeHead(status).end(JSON.stringify({ error: { code: "internal", message: "it \u001b[2Jbroke" } }));
      return true;
    });
    t.equal(result.status, 2, String(status));
    t.match(result.json, { verdict: "NOT PROVEN", findings: [{ code: "data_missing" }], entriesSigned: false });
    if (status !== 404 && status !== 410) {
      t.match(
        (result.json.findings as { message: string }[])[0]!.message,
        `answers ${status} (internal: it \\x1b[2Jbroke)`,
      );
    }
  }
});

t.test("the full tile serves in place of a partial one", async (t) => {
  const log = vectorLog();
  const server = await serve(log, (path, response) => {
    if (path === "/checkpoint") response.end(log.checkpoint(200));
    else if (path.includes(".p/")) response.writeHead(404).end();
    else return false;
    return true;
  });
  t.teardown(() => server.close());
  const args = ["audit", "--log", server.url, "--vkey", vectors.vkey, "--state", temporaryFolder(t), "--json"];
  const result = await run([...args, "--wait", "0"]);
  t.match(result.json, { size: 200, read: 200, entriesSigned: true });
});

t.test("what a log cannot answer just now is asked again", async (t) => {
  let refusals = 0;
  const result = await audit(t, (path, response) => {
    if (path !== "/tile/entries/000" || ++refusals > 2) return false;
    response.writeHead(refusals === 1 ? 503 : 429, { "retry-after": "0.1" }).end();
    return true;
  });
  t.equal(result.status, 0);
  t.equal(result.paths.filter((path) => path === "/tile/entries/000").length, 3);

  const never = await audit(t, (path, response) => {
    if (path !== "/checkpoint") return false;
    response.writeHead(503, { "retry-after": "0.01" }).end('{"error":{"code":"stopping","message":"shutting down"}}');
    return true;
  });
  t.equal(never.status, 69);
  t.match(never.json, { error: { code: "log_unreachable", message: /answers 503.*stopping: shutting down/ } });
});

t.test("a kept connection that the log closes is not a log that does not answer", async (t) => {
  // Half of the requests on a used connection are cut off before they are answered.
  const used = new Set<unknown>();
  let cut = 0;
  const result = await audit(t, (_path, _response, { socket }) => {
    if (!used.has(socket)) {
      used.add(socket);
      return false;
    }
    cut++;
    socket.destroy();
    return true;
  });
  t.equal(result.status, 0, result.stderr);
  t.ok(cut > 0);
});
