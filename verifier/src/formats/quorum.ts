import type { Policy, PolicyMember, PolicyWitness } from "./policy.ts";

/** Evaluates the quorum of a policy (spec/policy.md, quorum). Witnesses are told apart by their keys, not by names. */

/**
 * @param counted the witnesses of the policy whose cosignatures count
 * @returns whether they are enough
 */
export function isQuorumReached({ quorum }: Policy, counted: ReadonlySet<PolicyWitness>): boolean {
  return quorum === "none" || hasWitnessed(quorum, counted);
}

/** Groups are defined before they are used, so this ends; each member has one place, so none is asked twice. */
function hasWitnessed(member: PolicyMember, counted: ReadonlySet<PolicyWitness>): boolean {
  if (!("members" in member)) return counted.has(member);
  let found = 0;
  for (const one of member.members) if (hasWitnessed(one, counted)) found++;
  return found >= member.threshold;
}

/** @returns the witnesses that the quorum may depend on, in the order of the file. */
export function quorumWitnesses({ quorum, witnesses }: Policy): PolicyWitness[] {
  const asked = new Set<PolicyMember>();
  const ask = (member: PolicyMember): void => {
    asked.add(member);
    if ("members" in member) member.members.forEach(ask);
  };
  if (quorum !== "none") ask(quorum);
  return witnesses.filter((witness) => asked.has(witness));
}

/**
 * @returns who is missing, for people, such as `of X-and-Y 1 of 2 is there and 2 must be (of X 1 of 3 …)`; undefined
 * when the quorum is reached
 */
export function describeShortfall({ quorum }: Policy, counted: ReadonlySet<PolicyWitness>): string | undefined {
  return quorum === "none" || hasWitnessed(quorum, counted) ? undefined : shortfall(quorum, counted);
}

function shortfall(member: PolicyMember, counted: ReadonlySet<PolicyWitness>): string {
  if (!("members" in member)) return `${member.name} is missing`;
  const lacking = member.members.filter((one) => !hasWitnessed(one, counted));
  const there = member.members.length - lacking.length;
  const names = lacking.filter((one) => !("members" in one)).map(({ name }) => name);
  const parts = names.length === 0 ? [] : [`${names.join(", ")} ${names.length === 1 ? "is" : "are"} missing`];
  for (const one of lacking) if ("members" in one) parts.push(shortfall(one, counted));
  return `of ${member.name} ${member.threshold} of ${member.members.length} must have cosigned and ${there} ${there === 1 ? "has" : "have"} (${parts.join("; ")})`;
}
