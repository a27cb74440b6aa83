import { ProxyError } from "../errors.ts";
import { parseError, parseReady, parseTag } from "../wire/backend.ts";
import { BACKEND, showType } from "../wire/messages.ts";
import type { Asked } from "./answers.ts";
import { type Effects, PLAIN } from "./effects.ts";
import { isDuplicate, isMissingStatement, isStalePlan, renamed } from "./rewrite.ts";
import type { TransactionLane } from "./transaction-lane.ts";

/** An ErrorResponse or NoticeResponse above this passes by unread. */
const ERROR_BYTES = 65_536;

/**
 * Reads the server's messages: knows by them what is answered, keeps back the answers to what the client did not ask,
 * and learns what statements have done to the session. Rows pass by: only their headers are looked at.
 */
export class Replies {
  readonly #lane: TransactionLane;

  constructor(lane: TransactionLane) {
    this.#lane = lane;
  }

  /** @returns `size` for a message that `end` is to have, and pass on; 0 for one that passes by */
  begin(type: number, size: number): number {
    if (type !== BACKEND.errorResponse && type !== BACKEND.noticeResponse) this.#lane.stays();
    switch (type) {
      case BACKEND.dataRow:
      case BACKEND.copyData:
        return 0;
      case BACKEND.readyForQuery:
      case BACKEND.parseComplete:
      case BACKEND.closeComplete:
        return size;
      case BACKEND.commandComplete:
        return isPlain(this.#lane.answers.head) ? 0 : size;
      case BACKEND.errorResponse:
        return size <= ERROR_BYTES ? size : 0;
      case BACKEND.noticeResponse:
        return size <= ERROR_BYTES && this.#lane.mayWithhold ? size : 0;
      default:
        return 0;
    }
  }

  end(type: number, size: number, head: Buffer): void {
    const lane = this.#lane;
    const { answers } = lane;
    switch (type) {
      case BACKEND.dataRow:
      case BACKEND.copyData:
      case BACKEND.notificationResponse:
        return;
      case BACKEND.parameterStatus:
        lane.tell(head);
        return;
      case BACKEND.noticeResponse:
        if (head.length > 0 && !lane.withholds(head)) lane.tell(head);
        return;
      case BACKEND.readyForQuery:
        this.#ready(answers.head, head);
        return;
      default:
    }
    if (lane.swallowed > 0 && !lane.copying) {
      // A Sync that was not swallowed is answered before anything else is: there was none.
      lane.swallowed = 0;
      lane.settleOwn();
    }
    const asked = answers.head;
    if (type === BACKEND.errorResponse) {
      this.#failed(asked, head);
      return;
    }
    if (asked?.kind === "query") asked.begun = true;
    switch (type) {
      case BACKEND.parseComplete:
      case BACKEND.closeComplete: {
        const kind = type === BACKEND.parseComplete ? "parse" : "close";
        if (asked?.kind === "fence" && kind === "close") {
          answers.shift();
          lane.ready(lane.status);
          return;
        }
        if (asked?.kind !== kind || asked.way === "own") throw outOfStep(type, asked);
        asked.done?.();
        if (asked.way === "sent") lane.tell(head);
        break;
      }
      case BACKEND.bindComplete:
        if (asked?.kind !== "bind") throw outOfStep(type, asked);
        break;
      case BACKEND.rowDescription:
        if (asked?.kind === "describe") break;
        return;
      case BACKEND.noData:
        if (asked?.kind !== "describe") throw outOfStep(type, asked);
        break;
      case BACKEND.portalSuspended:
        if (asked?.kind !== "execute") throw outOfStep(type, asked);
        break;
      case BACKEND.emptyQueryResponse:
        if (asked?.kind === "query") return;
        if (asked?.kind !== "execute") throw outOfStep(type, asked);
        break;
      case BACKEND.commandComplete:
        if (!this.#completed(asked, size, head)) return;
        break;
      case BACKEND.copyInResponse:
        this.#entersCopy();
        return;
      default:
        return;
    }
    answers.shift();
    lane.settleOwn();
  }

  #ready(asked: Asked | undefined, head: Buffer): void {
    const lane = this.#lane;
    if (lane.swallowed > 0 && !isDue(asked)) {
      // It answers a Sync that it seemed to have swallowed, and with that goes on.
      lane.swallowed -= 1;
      lane.skipping = false;
      lane.tell(head);
      lane.fence();
      lane.settleOwn();
      lane.ready(parseReady(head));
      return;
    }
    if (asked?.kind !== "query" && asked?.kind !== "sync" && asked?.kind !== "function") {
      throw outOfStep(BACKEND.readyForQuery, asked);
    }
    lane.tell(head);
    if (asked.kind === "query") asked.done();
    lane.answers.shift();
    lane.copyIn = false;
    lane.fence();
    lane.settleOwn();
    lane.ready(parseReady(head));
  }

  #entersCopy(): void {
    const lane = this.#lane;
    const { syncs, ended } = lane.answers.swallowSyncs();
    lane.copyIn = !ended;
    lane.copying = true;
    lane.swallowed = syncs;
  }

  /** By an error, if it is in COPY. What it had read by then is known as the session above knows it (answers.ts there). */
  #leavesCopy(asked: Asked | undefined, sqlstate: string): void {
    const lane = this.#lane;
    const known = !lane.copying || sqlstate === "08P01" || asked === undefined || !("copied" in asked);
    if (lane.copying && known && sqlstate !== "08P01") lane.answers.giveBackSyncs(lane.swallowed);
    if (known) lane.swallowed = 0;
    lane.copying = false;
    lane.copyIn = false;
  }

  /** @returns whether that was all that was asked */
  #completed(asked: Asked | undefined, size: number, head: Buffer): boolean {
    const lane = this.#lane;
    lane.copyIn = false;
    lane.copying = false;
    lane.swallowed = 0;
    if (asked?.kind !== "query" && asked?.kind !== "execute") throw outOfStep(BACKEND.commandComplete, asked);
    if (!isPlain(asked)) {
      if (head.length !== size) throw outOfStep(BACKEND.commandComplete, asked);
      lane.tell(head);
      const tag = parseTag(head);
      if (asked.kind === "execute") this.#done(asked.effects, asked.sql, tag);
      else {
        const effects = asked.effects[asked.next];
        // The server sees more statements in the text than our grammar.
        if (effects === undefined) lane.state.pin("unknown");
        else this.#done(effects, asked.texts[asked.next]!, tag);
        asked.next += 1;
      }
    }
    return asked.kind === "execute";
  }

  #done(effects: Effects, sql: string, tag: string): void {
    const lane = this.#lane;
    lane.state.completed(effects, sql, tag);
    if (effects.definition) lane.texts.forget();
    const { effect } = effects;
    if (effect?.kind === "deallocate" && effect.name !== undefined) lane.shelf.deallocated(effect.name);
    if (tag === "DEALLOCATE ALL" || tag === "DISCARD ALL") lane.names.clear(lane.shelf);
  }

  #failed(asked: Asked | undefined, head: Buffer): void {
    const lane = this.#lane;
    if (lane.withholds(head)) return;
    // A long one has passed by: none that COPY raises before it reads.
    this.#leavesCopy(asked, head.length === 0 ? "" : parseError(head).sqlstate);
    lane.state.failed();
    // What it did may outlive its failure, and what was answered before may have undone the same pin.
    if (asked?.kind === "execute") lane.state.sent(asked.effects);
    else if (asked?.kind === "query") for (const effects of asked.effects) lane.state.sent(effects);
    const text = asked !== undefined && "text" in asked ? asked.text : undefined;
    // A long one has passed by.
    if (head.length > 0) {
      if (text === undefined || asked === undefined || !("name" in asked)) lane.tell(head);
      else {
        lane.tell(renamed(head, text.serverName, asked.name));
        if (isStalePlan(head)) {
          if (lane.shelf.lost(text)) lane.shelf.stale.push(text);
          lane.texts.forget();
        } else if (isMissingStatement(head)) lane.shelf.lost(text);
      }
    }
    if (asked === undefined || asked.kind === "function" || asked.kind === "sync") return;
    if (asked.kind === "query") {
      asked.failed = true;
      if (asked.next === 0) asked.failedAtOnce?.();
      return;
    }
    lane.answers.shift();
    // Section "Extended Query": after an error the backend reads and discards messages until a Sync is reached.
    const { skipped, synced } = lane.answers.skip();
    // The last first, and what failed behind what it was followed by.
    for (const item of skipped) if ("undo" in item) item.undo?.();
    if ((asked.kind === "parse" || asked.kind === "close") && asked.failed !== undefined) asked.failed();
    else if ("undo" in asked) asked.undo?.();
    // It was there though we did not know: the next who wants it has it closed first.
    if (asked.kind === "parse" && asked.undo !== undefined && text !== undefined && isDuplicate(head)) {
      if (!lane.shelf.named.has(text)) lane.shelf.stale.push(text);
    }
    if (!synced) lane.skipping = true;
  }
}

/** Whether ReadyForQuery can be its answer now. */
function isDue(asked: Asked | undefined): boolean {
  if (asked?.kind === "query") return asked.begun === true || asked.failed;
  return asked?.kind === "sync" || asked?.kind === "function";
}

function isPlain(asked: Asked | undefined): boolean {
  if (asked?.kind === "query") return asked.effects.length === 0;
  return asked?.kind !== "execute" || asked.effects === PLAIN;
}

/** Either the server breaks the protocol or we misread it: whose answers these are is not known any more. */
function outOfStep(type: number, asked: Asked | undefined): ProxyError {
  return new ProxyError(
    "protocol_violation",
    `the server sent ${showType(type)} where ${asked?.kind ?? "nothing"} was to be answered`,
  );
}
