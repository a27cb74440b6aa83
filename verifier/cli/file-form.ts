/** The formats that a first line of JSON names, and how each is verified. */
const jsonForms: Readonly<Record<string, { form: Form; advice: string }>> = {
  "vitrine/evidence/v1": { form: "bundle", advice: "an evidence bundle, which is verified without --log" },
  "vitrine/receipt/v1": { form: "receipt", advice: "a receipt, which is verified with --receipt and --log" },
  "vitrine/submitted/v1": { form: "record", advice: "a proxy's record of what it submitted, which takes --log" },
};

type Form = "bundle" | "receipt" | "record" | "checkpoint" | "proof";

/**
 * What a file is meant to be, the command line says: it is never verified as something else. But who mixed them up is
 * told, on standard error.
 * @param meant what it was to be
 * @param findings about it; where none says that it is malformed, it is what it was to be
 */
export function tellOtherForm(bytes: Uint8Array, meant: Form, findings: readonly { code: string }[]): void {
  if (!findings.some(({ code }) => code.endsWith("_malformed"))) return;
  const found = formOf(new TextDecoder().decode(bytes));
  if (found !== undefined && found.form !== meant) process.stderr.write(`The file looks like ${found.advice}.\n`);
}

function formOf(text: string): { form: Form; advice: string } | undefined {
  if (text.startsWith("c2sp.org/tlog-proof@v1\n"))
    return { form: "proof", advice: "a tlog-proof, which is verified with --entry" };
  const format = /^\{\s*"format"\s*:\s*"([^"]{1,40})"/.exec(text)?.[1];
  if (format !== undefined) return Object.hasOwn(jsonForms, format) ? jsonForms[format] : undefined;
  if (text.includes("\n\n\u2014 "))
    return { form: "checkpoint", advice: "a signed checkpoint, which is verified with --checkpoint" };
  return undefined;
}
