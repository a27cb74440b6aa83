import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type Request = { path: string; headers: IncomingMessage["headers"]; indexes: number[]; body: string };

/** Answers a request itself, or gives false to have it taken. */
export type Answer = (request: Request, response: ServerResponse, nth: number) => boolean;

type Body = {
  resourceLogs: {
    scopeLogs: { logRecords: { attributes: { key: string; value: { intValue?: string } }[] }[] }[];
  }[];
};

/** A collector that holds what it is sent to be OTLP, and remembers which entries it took. */
export class FakeCollector {
  readonly requests: Request[] = [];
  /** Of what was answered with 200, in order. */
  readonly taken: number[] = [];
  readonly url: string;
  readonly close: () => Promise<void>;

  private constructor(url: string, close: () => Promise<void>) {
    this.url = url;
    this.close = close;
  }

  static async start(answer: Answer = () => false): Promise<FakeCollector> {
    let collector: FakeCollector;
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const body = Buffer.concat(chunks).toString("utf8");
      const one = { path: request.url!, headers: request.headers, indexes: indexesIn(body), body };
      collector.requests.push(one);
      if (answer(one, response, collector.requests.length)) return;
      collector.taken.push(...one.indexes);
      response.setHeader("content-type", "application/json").end("{}");
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const close = async (): Promise<void> => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    };
    collector = new FakeCollector(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, close);
    return collector;
  }
}

function indexesIn(body: string): number[] {
  const { resourceLogs } = JSON.parse(body) as Body;
  const records = resourceLogs.flatMap(({ scopeLogs }) => scopeLogs.flatMap(({ logRecords }) => logRecords));
  return records.map(({ attributes }) => Number(attributes.find(({ key }) => key === "vitrine.index")!.value.intValue));
}
