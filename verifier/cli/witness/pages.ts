import { printable } from "../printable.ts";
import type { Witness } from "./witness.ts";

/** A page for people, not for programs; what is beyond this many logs, `/metrics` has. */
const mostLogs = 1000;

/**
 * C2SP tlog-policy: a line for the file of whoever relies on the witness.
 * @param url where logs reach the witness
 */
export function policyLine(witness: Witness, url: string | undefined): string {
  const { name, text } = witness.cosigner.vkey;
  // The name in a policy has no meaning outside of it; a key's name has no white space, as one there must not.
  return `witness ${name} ${text}${url === undefined ? "" : ` ${url}`}`;
}

/** `GET /`: what the witness is, and what it has cosigned. */
export function frontPage(witness: Witness, url: string | undefined): string {
  const lines = [
    `The witness ${printable(witness.cosigner.vkey.name)}, C2SP tlog-witness.`,
    "",
    `vkey    ${printable(witness.cosigner.vkey.text)}`,
    `policy  ${printable(policyLine(witness, url))}`,
    "",
    "POST add-checkpoint                     submit a checkpoint",
    "GET  <SHA-256 of the origin>/checkpoint  the latest that was cosigned",
    "",
    `Logs: ${witness.logs.size}`,
  ];
  const origins = [...witness.logs.keys()];
  for (const origin of origins.slice(0, mostLogs)) {
    const { durable } = witness.state.log(origin);
    const what =
      durable === undefined
        ? "nothing cosigned"
        : `size ${durable.size}, ${new Date(durable.time * 1000).toISOString().slice(0, 19)}Z`;
    lines.push(`  ${printable(origin)}  ${what}`);
  }
  if (origins.length > mostLogs) lines.push(`  … and ${origins.length - mostLogs} more`);
  return `${lines.join("\n")}\n`;
}
