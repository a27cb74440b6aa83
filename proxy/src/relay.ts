import type { OpenBackend } from "./backend.ts";
import { cancelUpstream, connectUpstream, type UpstreamAddress } from "./upstream/index.ts";

/** Each client gets a server connection of its own, and both authenticate each other through it. */
export function relayTo(upstream: UpstreamAddress, connectTimeoutMs: number): OpenBackend {
  return async ({ raw }) => {
    const stream = await connectUpstream(upstream, connectTimeoutMs);
    stream.write(raw);
    return { stream, cancel: ({ pid, key }) => cancelUpstream(upstream, pid, key, connectTimeoutMs) };
  };
}
