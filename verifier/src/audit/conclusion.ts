import type { AuditReport, HeadReport } from "./reports.ts";
import type { WitnessingReport } from "./witnesses.ts";

/** The sentence under a verdict: what was established, and what was not. */
export function conclude(head: HeadReport, audit?: AuditReport): string {
  if (head.checkpoint === undefined) {
    return "No checkpoint of this log could be verified, so nothing is established.";
  }
  return `${audit === undefined ? establishedByHead(head) : establishedByAudit(head, audit)} ${limits(head, audit)}`;
}

/** The sentence under a proof of one entry. */
export function concludeProof(head: HeadReport, proof: { index: number; bundle?: string }): string {
  if (proof.bundle === undefined) {
    return `Entry ${proof.index} is not proven, and no bundle was made: the findings say why.`;
  }
  const size = head.checkpoint!.size;
  return `Established: the log's key signed a tree of ${size} entries${history(head)}; ${cosigned(head.witnessing)}it has entry ${proof.index} as the bundle shows it. ${limits(head)}`;
}

function history(head: HeadReport): string {
  if (head.keptSize === undefined) return "";
  return `, and that it continues the tree of ${head.keptSize} entries kept from before`;
}

function establishedByHead(head: HeadReport): string {
  const size = head.checkpoint!.size;
  if (head.keep === undefined) {
    return `Established is only that the log's key signed a tree of ${size} entries; that it continues the one kept is not.`;
  }
  return `Established: the log's key signed a tree of ${size} entries${history(head)}; ${cosigned(head.witnessing)}its entries were not read.`;
}

function establishedByAudit(head: HeadReport, audit: AuditReport): string {
  if (audit.verdict === "FAIL") {
    const where = audit.firstBadIndex === undefined ? "" : `, the first at entry ${audit.firstBadIndex}`;
    return `The log does not hold what it promises: the findings contradict it${where}.`;
  }
  // More may have come since, which were read for the seals of these.
  const all = audit.read > audit.size ? "the first" : "all";
  const span = audit.from === 0 ? `${all} ${audit.size}` : `${audit.size - audit.from} new`;
  if (audit.verdict === "NOT PROVEN") {
    const read = audit.read < audit.size ? `${audit.read - audit.from} of ${audit.size - audit.from}` : span;
    return `Nothing contradicts the log as far as it was read (${read} entries), and the findings say what is not proven.`;
  }
  if (!audit.checks.includes("E")) {
    return `Established: ${span} entries are those the log's key signed${history(head)}${cosignedToo(head)}.`;
  }
  return `Established: ${span} entries are those the log's key signed${history(head)}, and each source's entries are without gap, in order and sealed by its key${cosignedToo(head)}.`;
}

function limits(head: HeadReport, audit?: AuditReport): string {
  const list: string[] = [];
  if (head.keptSize === undefined) {
    list.push("this is the first contact, so nothing is known of earlier trees");
  }
  if (audit !== undefined && audit.from > 0) {
    list.push(`the entries 0 to ${audit.from - 1} were verified by an earlier audit and not read again`);
  }
  const came = audit?.checks.includes("E") ? audit.read - audit.size : 0;
  if (came > 0)
    list.push(`whether the ${came === 1 ? "one that came meanwhile is" : `${came} that came meanwhile are`} sealed`);
  if (audit !== undefined && !audit.checks.includes("E")) {
    list.push(
      "the entries may be of any bytes: nothing was checked in them, and nothing of sources, seals and sessions",
    );
  }
  if (audit !== undefined && audit.unknown > 0) {
    const [are, say] = audit.unknown === 1 ? ["entry is of a kind", "it says"] : ["entries are of kinds", "they say"];
    list.push(`${audit.unknown} ${are} that this version does not know: what ${say} was not looked at`);
  }
  const learned = audit?.sources.filter((source) => source.key === "learned").map((source) => source.name) ?? [];
  if (learned.length > 0) {
    list.push(`the key of ${learned.join(", ")} is the one that its own first entry names`);
  }
  const relaxed = audit?.sources.filter((source) => source.relaxed.epochs > 0) ?? [];
  for (const {
    name,
    relaxed: { window_ms },
  } of relaxed) {
    list.push(`${name} ran with relaxed durability, where a crash may lose up to ${window_ms} ms`);
  }
  const gaps = audit?.sources.filter((source) => source.gaps.length > 0).map((source) => source.name) ?? [];
  if (gaps.length > 0) list.push(`${gaps.join(", ")} declared that entries were lost with its spool`);
  list.push(limitOfWitnesses(head.witnessing));
  return `Not established: ${list.join("; ")}.`;
}

/** @returns who has cosigned, as the beginning of another sentence; nothing unless the quorum demands and has them */
function cosigned(witnessing: WitnessingReport | undefined): string {
  const names = cosigners(witnessing);
  return names === "" ? "" : `${names} cosigned it, as the policy demands; `;
}

function cosignedToo({ witnessing }: HeadReport): string {
  const names = cosigners(witnessing);
  return names === "" ? "" : `; ${names} cosigned the tree of ${witnessing!.size}, as the policy demands`;
}

/** @returns the witnesses by which the quorum is reached, such as `the witnesses w1, w2`; empty when there is none */
export function cosigners(witnessing: WitnessingReport | undefined): string {
  if (witnessing === undefined || !witnessing.reached || witnessing.quorum === "none") return "";
  const names = witnessing.witnesses.filter(({ state, inQuorum }) => inQuorum && state === "cosigned");
  return `the ${names.length === 1 ? "witness" : "witnesses"} ${names.map(({ name }) => name).join(", ")}`;
}

/** @returns what is left open about other views of the log */
export function limitOfWitnesses(witnessing: WitnessingReport | undefined): string {
  const others = "so others may be shown another tree";
  if (witnessing === undefined) return `no witnesses were asked, ${others}`;
  if (witnessing.quorum === "none") return `the policy demands no witnesses (quorum none), ${others}`;
  if (!witnessing.reached) return `the policy's quorum ${witnessing.quorum} is not reached, ${others}`;
  return "that the witnesses are independent of the log and of one another, which the policy takes for granted";
}
