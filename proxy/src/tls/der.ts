/** One element of DER (X.690): its tag octet, its contents, and where it ends. */
export interface Element {
  readonly tag: number;
  readonly body: Buffer;
  readonly end: number;
}

/** @returns the element at this place; undefined where there is none of definite length that fits */
export function elementAt(bytes: Buffer, at: number): Element | undefined {
  const tag = bytes[at];
  const first = bytes[at + 1];
  // Tags of several octets do not occur in certificates.
  if (tag === undefined || first === undefined || tag % 32 === 31) return undefined;
  let from = at + 2;
  let length = first;
  if (first >= 0x80) {
    const octets = first - 0x80;
    if (octets === 0 || octets > 4 || from + octets > bytes.length) return undefined;
    length = bytes.readUIntBE(from, octets);
    from += octets;
  }
  if (from + length > bytes.length) return undefined;
  return { tag, body: bytes.subarray(from, from + length), end: from + length };
}

/** @returns the elements that fill these bytes; undefined when they do not */
export function elementsOf(bytes: Buffer): readonly Element[] | undefined {
  const elements: Element[] = [];
  let at = 0;
  while (at < bytes.length) {
    const element = elementAt(bytes, at);
    if (element === undefined) return undefined;
    elements.push(element);
    at = element.end;
  }
  return elements;
}

export const SEQUENCE = 0x30;
export const OBJECT_IDENTIFIER = 0x06;
