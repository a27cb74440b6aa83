import path from "node:path";
import { FILES } from "./data-folder.ts";

export interface Started {
  readonly data: string;
  readonly created: boolean;
  /** For the embedded database, with the sample's password; for another, without any. */
  readonly connect: string;
  readonly embedded: boolean;
  readonly log: string;
  readonly vkey: string;
  readonly hasAuditorToken: boolean;
}

/** What `up` tells a person, as aligned lines. */
export function startedReport(started: Started): string {
  const at = (name: keyof typeof FILES): string => quoted(path.join(started.data, FILES[name]));
  const lines: [string, string][] = [
    ["Connect to", started.connect],
    ["Log", started.log],
    ["Log's key", started.vkey],
    ["Audit it with", `npx vitrine-verifier audit --log ${started.log} --vkey ${at("logVkey")}`],
  ];
  const token = started.hasAuditorToken ? ` --token-file ${at("auditorToken")}` : "";
  lines.push(["Search it with", `npx vitrine search --log ${started.log}${token}`]);
  if (started.hasAuditorToken) lines.push(["Auditor's token", `${at("auditorToken")} (to read sealed values)`]);
  return `\n${aligned(lines)}\n${started.created ? `\n${createdReport(started)}` : ""}\nCtrl-C stops everything, in order.\n`;
}

function createdReport(started: Started): string {
  const lines: [string, string][] = [
    [`${FILES.keys}/`, "signing keys of the log and of the proxy: keep them secret"],
    [`${FILES.logVkey}, ${FILES.sourceVkey}`, "their public halves: give them to whoever checks the log"],
    [`${FILES.logServerYaml}, ${FILES.proxyYaml}`, "configuration, yours to edit"],
    ["log/, guard/, spool/", "the log, what it last signed, and what is on its way to it"],
  ];
  if (started.embedded) lines.push([`${FILES.postgres}/`, `PostgreSQL, with the sample database "shop"`]);
  return `Created ${quoted(started.data)}\n${aligned(lines)}\n`;
}

function aligned(lines: readonly [string, string][]): string {
  const width = Math.max(...lines.map(([label]) => label.length)) + 2;
  return lines.map(([label, text]) => `  ${label.padEnd(width)}${text}`).join("\n");
}

/** A path as it can be pasted into a shell. */
function quoted(file: string): string {
  return /^[\w@%+=:,./-]+$/.test(file) ? file : `'${file.replaceAll("'", "'\\''")}'`;
}
