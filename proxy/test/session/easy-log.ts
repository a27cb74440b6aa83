/** A log that answers at once and checks nothing, in a process of its own, so that what it costs is not counted. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const vkey = process.argv[2]!;

const server = createServer((request, response) => {
  const pieces: Buffer[] = [];
  request.on("data", (piece: Buffer) => pieces.push(piece));
  request.on("end", () => {
    if (request.method === "GET") {
      const source = { name: vkey.slice(0, vkey.indexOf("+")), vkey, epoch: 0, next: 0, chain: "" };
      response.end(JSON.stringify({ sources: [source] }));
      return;
    }
    const body = Buffer.concat(pieces);
    const [, , source, epoch, first, count] = body.toString("utf8", 4, 4 + body.readUInt32BE(0)).split("\n");
    const range = { seq: Number(first), index: Number(first), count: Number(count) };
    const next = range.seq + range.count;
    response.end(JSON.stringify({ source, epoch: Number(epoch), next, ranges: [range] }));
  });
});
// Nobody is measured any more.
process.once("disconnect", () => process.exit());
server.listen(0, "127.0.0.1", () => process.send!((server.address() as AddressInfo).port));
