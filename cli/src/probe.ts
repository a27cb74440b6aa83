import net from "node:net";
import { type Address, formatAddress, isFolder, socketFile } from "./address.ts";
import { CliError, codeOf, oneLine } from "./errors.ts";

/**
 * Finds out, before anything is created or started, whether an address can be listened on.
 *
 * @param what who will listen there, for the message: `the proxy`
 * @param option the option that chooses another
 * @throws CliError `port_in_use`, `address_unusable`
 */
export async function checkListen(address: Address, what: string, option: string): Promise<void> {
  // What stands in a folder may be what a killed one left behind: who listens there knows how to tell.
  if (isFolder(address.host)) return;
  const server = net.createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: address.host, port: address.port, exclusive: true }, resolve);
    });
  } catch (error) {
    const where = formatAddress(address);
    if (codeOf(error) === "EADDRINUSE") {
      throw new CliError(
        "port_in_use",
        `${where}, the address for ${what}, is taken; stop what listens there, or choose another with ${option} HOST:PORT`,
      );
    }
    throw new CliError(
      "address_unusable",
      `${what} cannot listen on ${where}: ${oneLine(error)}; choose another address with ${option} HOST:PORT`,
    );
  } finally {
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  }
}

/** A port on 127.0.0.1 that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** SSLRequest: length 8, code 80877103 (PostgreSQL section 54.7). */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

/**
 * Makes sure that a PostgreSQL server answers at an address. It asks for TLS and hangs up at the answer: the one
 * question that a server answers before it knows who asks, and that leaves nothing in its log.
 *
 * @throws CliError `upstream_unreachable`
 */
export async function checkUpstream(address: Address, timeoutMs: number): Promise<void> {
  const fail = (why: string): CliError =>
    new CliError(
      "upstream_unreachable",
      `the database at ${formatAddress(address)} ${why}; check --upstream, and that the server runs and accepts connections there`,
    );
  const { host, port } = address;
  const socket = net.connect(isFolder(host) ? { path: socketFile(address) } : { host, port });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.setTimeout(timeoutMs, () => reject(fail(`did not answer within ${timeoutMs / 1000} s`)));
      socket.once("connect", () => socket.write(SSL_REQUEST));
      socket.once("error", (error) => reject(fail(`cannot be reached (${connectFailure(error)})`)));
      socket.once("close", () => reject(fail("closed the connection without an answer")));
      socket.once("data", (data) => {
        // 'E' is what a server says when it is out of processes or too old to know the question: it is one, all the same.
        if (data[0] === 0x53 || data[0] === 0x4e || data[0] === 0x45) resolve();
        else reject(fail("answers, but is not a PostgreSQL server"));
      });
    });
  } finally {
    socket.destroy();
  }
}

function connectFailure(error: Error): string {
  // Several addresses for one name: Node reports an AggregateError whose own message is empty.
  if (error instanceof AggregateError && error.errors.length > 0) return oneLine(error.errors[0]);
  return oneLine(error);
}
