import type { IncomingMessage, ServerResponse } from "node:http";

/** What is read and thrown away of a body that is too long, so that the answer is not lost to a reset connection. */
const mostDiscarded = 1024 * 1024;

/**
 * Reads a request's body without ever holding more than it may have. One that is sent slower than the server's time for
 * a request ends with the connection.
 * @param limit in bytes
 * @returns the bytes; or that there are too many; or that whoever sent them went away before the end
 */
export function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  limit: number,
): Promise<Buffer | "too long" | "broken off"> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const endHere = (): void => {
      request.off("data", take);
      response.setHeader("connection", "close");
      resolve("too long");
    };
    const take = (chunk: Buffer): void => {
      length += chunk.length;
      if (length <= limit) chunks.push(chunk);
      else chunks.length = 0;
      if (length > mostDiscarded) endHere();
    };
    if (Number(request.headers["content-length"] ?? 0) > mostDiscarded) return endHere();
    request.on("data", take);
    request.on("end", () => resolve(length > limit ? "too long" : Buffer.concat(chunks)));
    request.on("close", () => resolve("broken off"));
    request.on("error", () => undefined); // "close" follows
  });
}
