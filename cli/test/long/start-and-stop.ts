// Run by server.test.ts as another user: starts a cluster in the folder named, counts the sample's orders, stops.
import { statSync } from "node:fs";
import path from "node:path";
import { ensureSample } from "../../src/postgres/sample.ts";
import { startPostgres } from "../../src/postgres/server.ts";

const dir = process.argv[2] as string;
const postgres = await startPostgres({
  folder: path.join(dir, "postgres"),
  passwordFile: path.join(dir, "superuser.password"),
  logFile: path.join(dir, "postgres.log"),
});
await ensureSample(postgres, path.join(dir, "app.password"));
const client = await postgres.connect("shop");
const orders = Number((await client.query("SELECT count(*) FROM orders")).rows[0].count);
await client.end();
await postgres.stop();
process.stdout.write(
  JSON.stringify({ uid: process.getuid?.(), owner: statSync(path.join(dir, "postgres")).uid, orders }),
);
