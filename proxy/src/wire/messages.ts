/**
 * Message types of the frontend/backend protocol 3, as bytes.
 * PostgreSQL documentation, chapter "Frontend/Backend Protocol", section "Message Formats".
 */
export const FRONTEND = {
  bind: 0x42, // B
  close: 0x43, // C
  copyData: 0x64, // d
  copyDone: 0x63, // c
  copyFail: 0x66, // f
  describe: 0x44, // D
  execute: 0x45, // E
  flush: 0x48, // H
  functionCall: 0x46, // F
  parse: 0x50, // P
  password: 0x70, // p (also SASLInitialResponse, SASLResponse, GSSResponse)
  query: 0x51, // Q
  sync: 0x53, // S
  terminate: 0x58, // X
} as const;

export const BACKEND = {
  authentication: 0x52, // R
  backendKeyData: 0x4b, // K
  bindComplete: 0x32, // 2
  closeComplete: 0x33, // 3
  commandComplete: 0x43, // C
  copyBothResponse: 0x57, // W
  copyData: 0x64, // d
  copyDone: 0x63, // c
  copyInResponse: 0x47, // G
  copyOutResponse: 0x48, // H
  dataRow: 0x44, // D
  emptyQueryResponse: 0x49, // I
  errorResponse: 0x45, // E
  functionCallResponse: 0x56, // V
  negotiateProtocolVersion: 0x76, // v
  noData: 0x6e, // n
  noticeResponse: 0x4e, // N
  notificationResponse: 0x41, // A
  parameterDescription: 0x74, // t
  parameterStatus: 0x53, // S
  parseComplete: 0x31, // 1
  portalSuspended: 0x73, // s
  readyForQuery: 0x5a, // Z
  rowDescription: 0x54, // T
} as const;

export type FrontendName = keyof typeof FRONTEND;
export type BackendName = keyof typeof BACKEND;

/** Byte to name, for table look-ups; undefined for a type the protocol does not have. */
function namesByByte<N extends string>(types: Record<N, number>): readonly (N | undefined)[] {
  const names = new Array<N | undefined>(256).fill(undefined);
  for (const name of Object.keys(types) as N[]) names[types[name]] = name;
  return names;
}

export const FRONTEND_NAMES: readonly (FrontendName | undefined)[] = namesByByte(FRONTEND);
export const BACKEND_NAMES: readonly (BackendName | undefined)[] = namesByByte(BACKEND);

/** A type byte as a person can read it in an error message. */
export function showType(type: number): string {
  return type > 0x20 && type < 0x7f ? `'${String.fromCharCode(type)}'` : `0x${type.toString(16).padStart(2, "0")}`;
}
