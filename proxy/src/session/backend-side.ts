import { ProxyError } from "../errors.ts";
import { parseReady, parseTag } from "../wire/backend.ts";
import type { FrameSink } from "../wire/framer.ts";
import { BACKEND, BACKEND_NAMES, showType } from "../wire/messages.ts";
import type { Session } from "./session.ts";
import { BACKEND_TABLE } from "./table.ts";

/** Of a message that is read, no more than this is kept; an ErrorResponse begins with what matters. */
const KEEP = 65_536;

/**
 * Reads the server's messages and tells the session of them. The bytes are passed on by the connection, chunk by
 * chunk; nothing here holds or copies them.
 */
export class BackendSide implements FrameSink {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  begin(type: number, size: number): number {
    switch (type) {
      case BACKEND.dataRow:
      case BACKEND.copyData:
        return 0;
      case BACKEND.authentication:
      case BACKEND.backendKeyData:
      case BACKEND.commandComplete:
      case BACKEND.errorResponse:
      case BACKEND.negotiateProtocolVersion:
      case BACKEND.parameterStatus:
      case BACKEND.readyForQuery:
        return Math.min(size, KEEP);
      default:
        return 0;
    }
  }

  end(type: number, size: number, head: Buffer): void {
    const session = this.#session;
    const name = BACKEND_NAMES[type];
    if (name === undefined) throw new ProxyError("protocol_violation", `unknown backend message ${showType(type)}`);
    switch (BACKEND_TABLE[session.phase][name]) {
      case "answer":
        if (type === BACKEND.dataRow) session.tracker.answers.dataRow(size);
        else if (type === BACKEND.copyData) session.tracker.answers.copyOutData(size);
        else session.tracker.answers.answer(name, size, type === BACKEND.commandComplete ? parseTag(head) : undefined);
        return;
      case "ready":
        session.readyForQuery(parseReady(head));
        return;
      case "error":
        session.errorResponse(head);
        return;
      case "status":
        session.parameterStatus(head);
        return;
      case "authentication":
        session.authentication(head);
        return;
      case "key":
        session.keyData(head);
        return;
      case "negotiate":
        session.negotiated(head);
        return;
      case "async":
        return;
      case "refuse":
        throw new ProxyError("protocol_violation", `the server sent ${name} while ${session.phase}`);
    }
  }
}
