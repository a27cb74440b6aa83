import { version } from "../../../src/index.ts";
import { type Row, withoutDisclosures } from "../row.ts";
import { otlpRecord } from "./record.ts";

/** A row as it is sent. */
export type Sent = { row: Row; json: string; isReduced: boolean };

/**
 * @param maxRow bytes; a record that is longer is made without its disclosures
 * @returns the row with its record
 */
export function toSend(row: Row, maxRow: number): Sent {
  const json = otlpRecord(row);
  return json.length * 3 > maxRow && Buffer.byteLength(json) > maxRow ? reduced(row) : { row, json, isReduced: false };
}

export function reduced(row: Row): Sent {
  return { row, json: otlpRecord(withoutDisclosures(row), true), isReduced: true };
}

const scope = JSON.stringify({ name: "vitrine-verifier export", version });

/** @returns the body of an ExportLogsServiceRequest, in which each source is a resource */
export function requestBody(rows: readonly Sent[]): string {
  const bySource = new Map<string, string[]>();
  for (const { row, json } of rows) {
    const source = row.entry?.source ?? "";
    const records = bySource.get(source);
    if (records === undefined) bySource.set(source, [json]);
    else records.push(json);
  }
  const resources = [...bySource].map(([source, records]) => {
    const scopeLogs = `[{"scope":${scope},"logRecords":[${records.join(",")}]}]`;
    return `{"resource":${resourceOf(source)},"scopeLogs":${scopeLogs}}`;
  });
  return `{"resourceLogs":[${resources.join(",")}]}`;
}

function resourceOf(source: string): string {
  const text = (key: string, stringValue: string): object => ({ key, value: { stringValue } });
  const attributes = [text("service.name", "vitrine")];
  if (source !== "") attributes.push(text("service.instance.id", source));
  return JSON.stringify({ attributes });
}
