import { unwatchFile, watchFile } from "node:fs";
import { ProxyError } from "../errors.ts";
import type { ClientTls } from "./client-side.ts";
import type { ServerTls } from "./server-side.ts";

/** Polled, because a file that is replaced by another, or by a link to another, is not seen by every way of watching. */
const POLL_MS = 1000;

/** Keeps certificates up to date: at a signal, and when a file changes. */
export class TlsInForce {
  readonly #client: ClientTls | undefined;
  readonly #server: ServerTls;
  readonly #notice: (line: string) => void;
  readonly #files: readonly string[];
  #last: Promise<void> = Promise.resolve();

  constructor(client: ClientTls | undefined, server: ServerTls, notice: (line: string) => void) {
    this.#client = client;
    this.#server = server;
    this.#notice = notice;
    const { rootCert, crl, cert, key } = server.settings;
    const files = [
      client?.settings.cert,
      client?.settings.key,
      client?.settings.clientCa,
      client?.settings.clientCrl,
      rootCert,
      crl,
      cert,
      key,
    ];
    this.#files = files.filter((path) => path !== undefined && path !== "system") as string[];
  }

  /** Reads all of them again; what came of it is a notice. One reload at a time. */
  reload(): Promise<void> {
    this.#last = this.#last.then(() => this.#reload());
    return this.#last;
  }

  watch(): void {
    for (const path of this.#files) watchFile(path, { persistent: false, interval: POLL_MS }, this.#onChange);
  }

  close(): void {
    for (const path of this.#files) unwatchFile(path, this.#onChange);
  }

  readonly #onChange = (): void => {
    void this.reload();
  };

  async #reload(): Promise<void> {
    await this.#try("clients", async () => {
      if (await this.#client?.reload()) this.#notice(this.#client!.says);
    });
    await this.#try("the server", async () => {
      if (await this.#server.reload()) this.#notice("TLS to the server: other files are in force for new connections");
    });
  }

  /** Of two files of a pair one changes first: then they do not fit, until the other one has changed too. */
  async #try(which: string, act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      this.#notice(`TLS with ${which} stays as it was: ${error.code}: ${error.message}`);
    }
  }
}
