import { chmodSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { isFolder, socketPath } from "../address/unix-socket.ts";
import type { ListenAddress } from "./address.ts";

export interface ListenerEvents {
  /** @param local it came by a Unix socket */
  client(socket: Socket, local: boolean): void;
  /** One that could not be accepted. @param why what the system says; undefined: too many sockets are open */
  refused(why: string | undefined): void;
}

/** The sockets that clients connect to. */
export class Listeners {
  /**
   * Client sockets at a time; more are closed unheard. Not by `maxConnections`: what is above that a cluster worker hands
   * back, and it is given to the next one, without end once all are full.
   */
  maxSockets: number = Infinity;
  readonly #events: ListenerEvents;
  readonly #servers: Server[] = [];
  #open = 0;

  constructor(events: ListenerEvents) {
    this.#events = events;
  }

  /** Whether clients can come. */
  get listening(): boolean {
    return this.#servers.some(({ listening }) => listening);
  }

  /** How many client sockets are open; also those whose session has ended, and whose client was slow to notice. */
  async sockets(): Promise<number> {
    const counts = await Promise.all(
      this.#servers.map(
        (server) =>
          new Promise<number>((resolve, reject) => {
            server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
          }),
      ),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /**
   * @param mode who may connect to a Unix socket, as chmod(2) has it; what its folder lets through counts as well
   * @returns where it listens, with the port that the system chose
   * @throws the system's error when the address is taken or not ours
   */
  async listen(address: ListenAddress, mode: number): Promise<ListenAddress> {
    const local = isFolder(address.host);
    // A Unix socket has no delay and needs no keeping alive.
    const options = { allowHalfOpen: true, ...(local ? {} : { noDelay: true, keepAlive: true }) };
    const server = createServer(options, (client) => this.#accept(client, local));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      const listening = (): void => {
        // Where a worker listens, another process has made the file.
        if (local) chmodSync(socketPath(address), mode);
        server.off("error", reject);
        // A client that could not be accepted, for want of descriptors, say: there is nobody to tell, and others to serve.
        server.on("error", (error: NodeJS.ErrnoException) => this.#events.refused(error.code ?? error.message));
        resolve();
      };
      const listen = (where: object): unknown => server.listen({ ...where, backlog: 1024 }, guarded(listening, reject));
      if (local) masked(mode, () => listen({ path: socketPath(address) }));
      else listen(address);
    });
    this.#servers.push(server);
    if (local) return address;
    const at = server.address() as { address: string; port: number };
    return { host: at.address, port: at.port };
  }

  #accept(client: Socket, local: boolean): void {
    if (this.#open >= this.maxSockets) {
      client.resetAndDestroy();
      this.#events.refused(undefined);
      return;
    }
    this.#open += 1;
    client.once("close", () => {
      this.#open -= 1;
    });
    this.#events.client(client, local);
  }

  /** Takes in nobody else. The files of Unix sockets are gone when this returns. */
  close(): void {
    for (const server of this.#servers) server.close();
  }
}

/** What is made under this mask is never open to others than it is meant for, not even for a moment. */
function masked(mode: number, make: () => void): void {
  const before = process.umask(0o777 & ~mode);
  try {
    make();
  } finally {
    process.umask(before);
  }
}

function guarded(work: () => void, fail: (error: unknown) => void): () => void {
  return () => {
    try {
      work();
    } catch (error) {
      fail(error);
    }
  };
}
