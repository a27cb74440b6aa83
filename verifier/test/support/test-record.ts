import { naiveLeaf, sha256 } from "./naive-tree.ts";

/** Writes a record as spec/record.md says, from the entries of a log. */
export function makeRecord(
  header: { origin: string; source: string; vkey: string },
  entries: readonly Uint8Array[],
  cut: (index: number) => boolean = () => false,
): string[] {
  const lines = [JSON.stringify({ format: "vitrine/submitted/v1", ...header })];
  let open: { epoch: number; seq: number; count: number; index: number; before: string; after: string } | undefined;
  const chains = new Map<number, Buffer>();
  for (const [index, bytes] of entries.entries()) {
    const { source, epoch, seq } = JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown> & {
      epoch: number;
      seq: number;
    };
    const goes = open !== undefined && index === open.index + open.count && epoch === open.epoch && !cut(index);
    if (!goes || source !== header.source) {
      if (open !== undefined) lines.push(JSON.stringify(open));
      open = undefined;
    }
    if (source !== header.source) continue;
    const before = chains.get(epoch) ?? Buffer.alloc(32);
    const after = sha256(before, naiveLeaf(bytes));
    chains.set(epoch, after);
    open ??= { epoch, seq, count: 0, index, before: before.toString("base64"), after: "" };
    open.count++;
    open.after = after.toString("base64");
  }
  if (open !== undefined) lines.push(JSON.stringify(open));
  return lines;
}
