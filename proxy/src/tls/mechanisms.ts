import { BACKEND } from "../wire/messages.ts";
import { frame } from "../wire/write.ts";

const HEADER_BYTES = 5;
const AUTHENTICATION_SASL = 10;
const PLUS = "-PLUS";
/** Longer messages do not stand before a request for authentication. */
const MAX_BYTES = 65_536;

/**
 * Takes the mechanisms that bind the login to the server's TLS connection (RFC 5802 section 6) out of its offer: the client
 * would bind it to its own connection, which ends at the proxy, and the server would refuse that.
 *
 * @param bytes the server's first ones
 * @returns them without the offer; undefined when it is not seen yet whether there is one
 */
export function withoutPlus(bytes: Buffer): { readonly bytes: Buffer; readonly removed: boolean } | undefined {
  const asTheyAre = { bytes, removed: false };
  let at = 0;
  while (at + HEADER_BYTES <= bytes.length) {
    const type = bytes[at];
    const end = at + 1 + bytes.readUInt32BE(at + 1);
    // Whoever reads it next says what is wrong with it.
    if (end < at + HEADER_BYTES || end - at > MAX_BYTES) return asTheyAre;
    const passing = type === BACKEND.negotiateProtocolVersion || type === BACKEND.noticeResponse;
    if (!passing && type !== BACKEND.authentication) return asTheyAre;
    if (bytes.length < end) return undefined;
    if (!passing) {
      const offer = withoutPlusIn(bytes.subarray(at + HEADER_BYTES, end));
      if (offer === undefined) return asTheyAre;
      return { bytes: Buffer.concat([bytes.subarray(0, at), frame(type, offer), bytes.subarray(end)]), removed: true };
    }
    at = end;
  }
  return at > MAX_BYTES ? asTheyAre : undefined;
}

/** @returns the body of an AuthenticationSASL without them; undefined when there is nothing to take out, or nothing left */
function withoutPlusIn(body: Buffer): Buffer | undefined {
  if (body.length < 4 || body.readInt32BE(0) !== AUTHENTICATION_SASL) return undefined;
  const offered = body.toString("latin1", 4).split("\0").filter(Boolean);
  const kept = offered.filter((name) => !name.endsWith(PLUS));
  if (kept.length === offered.length || kept.length === 0) return undefined;
  return Buffer.concat([body.subarray(0, 4), Buffer.from(`${kept.join("\0")}\0\0`, "latin1")]);
}
