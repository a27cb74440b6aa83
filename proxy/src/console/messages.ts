import { BACKEND } from "../wire/messages.ts";
import { frame } from "../wire/write.ts";
import type { ColumnKind, Columns, Row } from "./table.ts";

/** Type oids and sizes of pg_type: text and int8. */
const TYPES: Readonly<Record<ColumnKind, { readonly oid: number; readonly size: number }>> = {
  text: { oid: 25, size: -1 },
  int: { oid: 20, size: 8 },
};

/** Whether a column is sent as PostgreSQL's binary format; asked by the column's place. */
export type Formats = (column: number) => boolean;

export const ALL_TEXT: Formats = () => false;

export const EMPTY: Readonly<Record<"parsed" | "bound" | "closed" | "noData" | "emptyQuery" | "suspended", Buffer>> = {
  parsed: frame(BACKEND.parseComplete, Buffer.alloc(0)),
  bound: frame(BACKEND.bindComplete, Buffer.alloc(0)),
  closed: frame(BACKEND.closeComplete, Buffer.alloc(0)),
  noData: frame(BACKEND.noData, Buffer.alloc(0)),
  emptyQuery: frame(BACKEND.emptyQueryResponse, Buffer.alloc(0)),
  suspended: frame(BACKEND.portalSuspended, Buffer.alloc(0)),
};

/** ParameterDescription: no command has parameters. */
export const NO_PARAMETERS: Buffer = frame(BACKEND.parameterDescription, Buffer.alloc(2));

export function commandComplete(tag: string): Buffer {
  return frame(BACKEND.commandComplete, Buffer.from(`${tag}\0`));
}

export function rowDescription(columns: Columns, formats: Formats): Buffer {
  const parts = Object.entries(columns).map(([name, kind], i) => {
    const head = Buffer.from(`${name}\0`);
    const rest = Buffer.alloc(18);
    // Of no table; then type, size, no modifier, format.
    rest.writeInt32BE(TYPES[kind].oid, 6);
    rest.writeInt16BE(TYPES[kind].size, 10);
    rest.writeInt32BE(-1, 12);
    rest.writeInt16BE(formats(i) ? 1 : 0, 16);
    return Buffer.concat([head, rest]);
  });
  return frame(BACKEND.rowDescription, Buffer.concat([uint16(parts.length), ...parts]));
}

export function dataRow(columns: Columns, row: Row, formats: Formats): Buffer {
  const names = Object.keys(columns);
  const parts: Buffer[] = [uint16(names.length)];
  for (const [i, name] of names.entries()) {
    const value = row[name] ?? null;
    const length = Buffer.alloc(4);
    if (value === null) {
      length.writeInt32BE(-1);
      parts.push(length);
      continue;
    }
    const bytes = columns[name] === "int" && formats(i) ? int64(Number(value)) : Buffer.from(String(value));
    length.writeInt32BE(bytes.length);
    parts.push(length, bytes);
  }
  return frame(BACKEND.dataRow, Buffer.concat(parts));
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function int64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(Math.trunc(value)));
  return bytes;
}
