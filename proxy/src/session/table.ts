import type { BackendName, FrontendName } from "../wire/messages.ts";

/**
 * Where a connection stands, as far as messages are concerned.
 * - `authenticating`: the startup packet was passed on; client and server authenticate each other through us
 * - `starting`: the server said AuthenticationOk, and has not said ReadyForQuery yet
 * - `ready`: from the first ReadyForQuery on. With pipelines the frontend is always ahead of the backend, so what a
 *   backend message answers is known by the tracker's queue and not by a phase
 * - `ended`: one side said its last word
 */
export type Phase = "authenticating" | "starting" | "ready" | "ended";

/** `track`: its answer is expected and matters; `relay`: passed on unread; `drop`: ignored; `refuse`: a violation. */
export type FrontendAction = "authenticate" | "track" | "relay" | "terminate" | "drop" | "refuse";

type FrontendRow = Readonly<Record<FrontendName, FrontendAction>>;

const BEFORE_READY: FrontendRow = {
  bind: "refuse",
  close: "refuse",
  copyData: "refuse",
  copyDone: "refuse",
  copyFail: "refuse",
  describe: "refuse",
  execute: "refuse",
  flush: "refuse",
  functionCall: "refuse",
  parse: "refuse",
  password: "refuse",
  query: "refuse",
  sync: "refuse",
  terminate: "terminate",
};

/** Every phase and every frontend message: a pair left out does not compile. */
export const FRONTEND_TABLE: Readonly<Record<Phase, FrontendRow>> = {
  authenticating: { ...BEFORE_READY, password: "authenticate" },
  starting: BEFORE_READY,
  ready: {
    bind: "track",
    close: "track",
    // The server ignores CopyData, CopyDone and CopyFail outside of COPY: after an error the client may still send some.
    copyData: "track",
    copyDone: "track",
    copyFail: "track",
    describe: "track",
    execute: "track",
    flush: "relay",
    functionCall: "track",
    parse: "track",
    password: "refuse",
    query: "track",
    sync: "track",
    terminate: "terminate",
  },
  ended: {
    bind: "drop",
    close: "drop",
    copyData: "drop",
    copyDone: "drop",
    copyFail: "drop",
    describe: "drop",
    execute: "drop",
    flush: "drop",
    functionCall: "drop",
    parse: "drop",
    password: "drop",
    query: "drop",
    sync: "drop",
    terminate: "drop",
  },
};

/** `answer`: belongs to the oldest unanswered frontend message; `async`: may come at any time. */
export type BackendAction =
  | "authentication"
  | "key"
  | "status"
  | "negotiate"
  | "ready"
  | "error"
  | "answer"
  | "async"
  | "refuse";

type BackendRow = Readonly<Record<BackendName, BackendAction>>;

const ANSWERS_REFUSED = {
  bindComplete: "refuse",
  closeComplete: "refuse",
  commandComplete: "refuse",
  copyBothResponse: "refuse",
  copyData: "refuse",
  copyDone: "refuse",
  copyInResponse: "refuse",
  copyOutResponse: "refuse",
  dataRow: "refuse",
  emptyQueryResponse: "refuse",
  functionCallResponse: "refuse",
  noData: "refuse",
  parameterDescription: "refuse",
  parseComplete: "refuse",
  portalSuspended: "refuse",
  rowDescription: "refuse",
} as const;

/** Every phase and every backend message. */
export const BACKEND_TABLE: Readonly<Record<Phase, BackendRow>> = {
  authenticating: {
    ...ANSWERS_REFUSED,
    authentication: "authentication",
    backendKeyData: "refuse",
    errorResponse: "error",
    negotiateProtocolVersion: "negotiate",
    noticeResponse: "async",
    notificationResponse: "refuse",
    parameterStatus: "refuse",
    readyForQuery: "refuse",
  },
  starting: {
    ...ANSWERS_REFUSED,
    authentication: "refuse",
    backendKeyData: "key",
    errorResponse: "error",
    negotiateProtocolVersion: "negotiate",
    noticeResponse: "async",
    notificationResponse: "async",
    parameterStatus: "status",
    readyForQuery: "ready",
  },
  ready: {
    authentication: "refuse",
    backendKeyData: "refuse",
    bindComplete: "answer",
    closeComplete: "answer",
    commandComplete: "answer",
    copyBothResponse: "refuse",
    copyData: "answer",
    copyDone: "async",
    copyInResponse: "answer",
    copyOutResponse: "async",
    dataRow: "answer",
    emptyQueryResponse: "answer",
    errorResponse: "error",
    functionCallResponse: "answer",
    negotiateProtocolVersion: "refuse",
    noData: "answer",
    noticeResponse: "async",
    notificationResponse: "async",
    parameterDescription: "async",
    parameterStatus: "status",
    parseComplete: "answer",
    portalSuspended: "answer",
    readyForQuery: "ready",
    rowDescription: "answer",
  },
  // The server's last words behind a FATAL error are passed on unread.
  ended: {
    authentication: "async",
    backendKeyData: "async",
    bindComplete: "async",
    closeComplete: "async",
    commandComplete: "async",
    copyBothResponse: "async",
    copyData: "async",
    copyDone: "async",
    copyInResponse: "async",
    copyOutResponse: "async",
    dataRow: "async",
    emptyQueryResponse: "async",
    errorResponse: "async",
    functionCallResponse: "async",
    negotiateProtocolVersion: "async",
    noData: "async",
    noticeResponse: "async",
    notificationResponse: "async",
    parameterDescription: "async",
    parameterStatus: "async",
    parseComplete: "async",
    portalSuspended: "async",
    readyForQuery: "async",
    rowDescription: "async",
  },
};
