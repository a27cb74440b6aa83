import { ProxyError } from "../errors.ts";
import { type Execution, type Parameters, type Portal, type Subject, subjectOf } from "./execution.ts";
import { Ledger, type Surroundings } from "./ledger.ts";
import { Names } from "./names.ts";
import { type Pending, Queue, unanswered } from "./queue.ts";

/**
 * What the client asked and the server has not answered, and what stands under the names between the two. The client's
 * messages come by `Requests`, the server's by `Answers`; both work on this.
 */
export class Exchange {
  readonly around: Surroundings;
  readonly ledger: Ledger;
  readonly queue: Queue = new Queue();
  /** What the client believes, in the order of sending; and what the server confirmed, in the order of answers. */
  readonly sent: Names = new Names();
  readonly confirmed: Names = new Names();
  /** Grows with each Sync. The server skips what stands behind an error in its segment, and nothing beyond. */
  segment = 0;
  /** How many messages were sent that ReadyForQuery answers: at each an implicit transaction ends, and its portals. */
  turn = 0;
  /** The server skips everything up to the next Sync, which was not sent yet. */
  skipping = false;
  /** The server is in COPY FROM STDIN and swallows Flush and Sync. */
  copyIn = false;
  /** The same, up to its CommandComplete or error. */
  copying = false;
  /**
   * Syncs that the server swallowed in COPY, as it seems. One that fails before it has read them (FREEZE, a trigger)
   * answers them after all; and which it was, nobody says.
   */
  swallowed = 0;
  /** What must be sent to the server in place of the frontend message told last. */
  instead: Buffer | undefined;

  constructor(around: Surroundings) {
    this.around = around;
    this.ledger = new Ledger(around);
  }

  /** The execution that the head of the queue is at; undefined when the head executes nothing. */
  current(): Execution | undefined {
    const { head } = this.queue;
    if (head === undefined) return undefined;
    switch (head.kind) {
      case "query":
        return head.failed ? undefined : this.currentOfQuery(head);
      case "execute":
        this.resolve(head);
        return head.execution;
      case "function":
        return head.answered ? undefined : head.execution;
      default:
        return undefined;
    }
  }

  currentOfQuery(head: Pending & { kind: "query" }): Execution {
    const known = head.executions[head.next];
    if (known !== undefined) return known;
    // The server sees more statements in the text than our grammar: each is recorded, under the whole text.
    const subject: Subject = { protocol: "simple", statement: undefined, sql: head.text, functionOid: undefined };
    const extra = this.ledger.begin(subject, undefined);
    head.executions.push(extra);
    return extra;
  }

  /**
   * The first answer to an Execute is here, so the portal is known for certain now. When the client was ahead of an
   * error, it may not be the one the intent was written for; and it may be one that was suspended.
   */
  resolve(head: Pending & { kind: "execute" }): void {
    if (head.resolved) return;
    head.resolved = true;
    const portal = this.confirmed.portals.get(head.name);
    const { execution: assumed, carriedOn } = head;
    const announced = portal?.announced?.execution;
    this.executed(portal, head.announced !== undefined);
    if (head.announced !== undefined && announced !== undefined) {
      // Another than was sent, where the Bind meant another statement than the client believed.
      if (announced !== assumed) announced.quota = assumed.quota;
      head.execution = announced;
      return;
    }
    const suspended = portal?.suspended;
    if (suspended !== undefined) {
      suspended.bytesIn += carriedOn ? head.size : assumed.bytesIn;
      if (!carriedOn) this.ledger.drop(assumed);
      head.execution = suspended;
      return;
    }
    // A client that is told of an error does not go on with the portal; the server, where it ended in time, would.
    if (portal?.spent !== undefined) assumed.quota = { ...portal.spent, rows: 0, bytes: 0, beyond: undefined };
    if (!carriedOn && (portal === undefined || subjectOf(portal) === assumed.subject)) return;
    const [subject, parameters] =
      portal === undefined ? [assumed.subject, assumed.parameters] : [subjectOf(portal), portal.parameters];
    head.execution = this.#inPlaceOf(assumed, subject, parameters, carriedOn ? head.size : undefined);
  }

  /** @param size given where the other one stays: what this one's message has */
  #inPlaceOf(assumed: Execution, subject: Subject, parameters: Parameters | undefined, size?: number): Execution {
    const actual = this.ledger.begin(subject, parameters);
    actual.bytesIn = size ?? assumed.bytesIn;
    actual.decided = assumed.decided;
    actual.quota = assumed.quota;
    try {
      const wait = this.ledger.intend(actual, true);
      // It is under way already: its answer at least must wait.
      this.ledger.hold(wait);
    } catch (error) {
      // The spool takes no more intents. Its entry is written when it ends, which is always possible.
      if (!(error instanceof ProxyError)) throw error;
    }
    if (size === undefined) this.ledger.drop(assumed);
    return actual;
  }

  /** The portal is gone: by COMMIT, ROLLBACK TO, CLOSE and the like. What stood in it had ended with that. */
  lost(head: Pending & { kind: "execute" }): void {
    const portal = this.confirmed.closePortal(head.name);
    if (portal === undefined) return;
    if (head.announced !== undefined) portal.announced = undefined;
    this.endPortal(portal);
    if (!head.execution.ended) return;
    head.execution = this.ledger.begin(subjectOf(portal), portal.parameters);
    head.execution.bytesIn = head.size;
    head.resolved = true;
  }

  /** The server has bound the portal. */
  bound(name: string, statement: string, sent: Portal): void {
    const prepared = this.confirmed.prepared.get(statement);
    this.endPortal(this.confirmed.closePortal(name));
    // The same object as the client's view, unless the client was wrong about the statement.
    const portal = sent.prepared === prepared ? sent : { ...sent, prepared };
    this.confirmed.portals.set(name, portal);
    const { announced } = portal;
    if (announced === undefined || announced.execution.subject === subjectOf(portal)) return;
    const execution = this.#inPlaceOf(announced.execution, subjectOf(portal), portal.parameters);
    portal.announced = { ...announced, execution };
  }

  /** What was suspended in it ends with it; what was only bound is said to be that. */
  endPortal(portal: Portal | undefined): void {
    if (portal === undefined) return;
    const { suspended, announced } = portal;
    portal.suspended = undefined;
    portal.announced = undefined;
    if (suspended?.ended === false) this.ledger.finish(suspended, { outcome: "completed" });
    if (announced?.execution.ended === false)
      this.ledger.finish(announced.execution, { outcome: "completed", unexecuted: true });
  }

  /** @param told what was announced with its Bind is carried on; else the Execute's own entry tells of it */
  executed(portal: Portal | undefined, told: boolean): void {
    const announced = portal?.announced?.execution;
    if (portal === undefined || announced === undefined) return;
    portal.announced = undefined;
    if (!told) this.ledger.drop(announced);
  }

  endPortals(): void {
    this.confirmed.portals.forEach((portal) => {
      this.endPortal(portal);
    });
    this.confirmed.portals.clear();
  }

  /** It was not sent, or the server skips it: nothing of it happens. */
  drop(pending: Pending): void {
    if (pending.kind === "execute" && pending.announced !== undefined && !pending.resolved) {
      // Its Bind may have been answered, and another Execute can carry it on.
      pending.announced.taken = false;
      return;
    }
    const suspended = pending.kind === "execute" ? this.confirmed.portals.get(pending.name)?.suspended : undefined;
    for (const execution of unanswered(pending)) {
      // What was suspended did happen; only its continuation does not.
      if (execution !== suspended) this.ledger.drop(execution);
    }
  }
}
