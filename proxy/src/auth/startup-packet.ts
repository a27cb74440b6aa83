/** StartupMessage: no type; names and values, each with its NUL, and a NUL at the end. */
export function startupPacket(minor: number, parameters: Iterable<readonly [string, string]>): Buffer {
  const pairs = [...parameters].flat();
  if (pairs.some((text) => text.includes("\0"))) throw new Error("a startup parameter with a zero byte");
  const body = Buffer.from(`${pairs.map((text) => `${text}\0`).join("")}\0`);
  const packet = Buffer.alloc(8 + body.length);
  packet.writeUInt32BE(packet.length, 0);
  packet.writeUInt16BE(3, 4);
  packet.writeUInt16BE(minor, 6);
  body.copy(packet, 8);
  return packet;
}
