/** @returns the bytes of a padded base64 text; undefined for any other spelling than the one that encodes them */
export function strictBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}
