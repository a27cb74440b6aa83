import type { Decision } from "../access/index.ts";
import { shownBy } from "../receipts/index.ts";
import type { Statement } from "../statements/index.ts";
import { REJECTED_CALL, REJECTED_EXECUTE, REJECTED_QUERY, rejectedParse } from "../wire/write.ts";
import type { Exchange } from "./exchange.ts";
import {
  type Announced,
  type Execution,
  type Parameters,
  type Portal,
  type Prepared,
  runsAtBind,
  type Subject,
  subjectOf,
} from "./execution.ts";
import { type Judgement, permit } from "./gate.ts";
import type { Candidate } from "./judged.ts";
import { OwnAnswers } from "./own-answers.ts";

/**
 * The client's messages: what each is about to execute, whether it may, and the intents of it. Told in the order in which
 * they are sent; each method returns the spool position that must be durable before its message may be forwarded, 0 for
 * none.
 */
export class Requests {
  readonly #exchange: Exchange;
  readonly #own: OwnAnswers;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
    this.#own = new OwnAnswers(exchange);
  }

  /** What must be sent to the server in place of the message told last, which is denied. Asked for once. */
  takeInstead(): Buffer | undefined {
    const { instead } = this.#exchange;
    if (instead !== undefined) this.#exchange.instead = undefined;
    return instead;
  }

  /**
   * Whether what is no Sync must not be sent: the server skips it, unless it had not come to a Sync that was sent into a
   * COPY before that failed. Then it would execute what is taken for skipped.
   */
  get withholds(): boolean {
    return this.#exchange.skipping && this.#exchange.swallowed > 0;
  }

  /** Whether the proxy itself answers what the client has prepared under this name. */
  isShown(statement: string): boolean {
    return this.#own.has(statement);
  }

  /** What may be bound to a portal, as the client believes and as the server has confirmed; of a cursor of SQL's nothing. */
  boundTo(name: string): Candidate[] {
    const { sent, confirmed } = this.#exchange;
    const both = new Set([sent.portals.get(name), confirmed.portals.get(name)]);
    return [...both].flatMap((portal) => {
      if (portal === undefined || portal.shown !== undefined) return [];
      if (portal.prepared === undefined && portal.statement === "") return [];
      return [{ judged: portal.prepared?.judged, bound: portal.bound }];
    });
  }

  query(text: Buffer, size: number): number {
    const { around, queue, sent, ledger, skipping } = this.#exchange;
    if (skipping) return 0;
    this.#exchange.turn += 1;
    const { settled } = queue;
    const statements = this.#analyze(text);
    const { gate } = around;
    const shown = shownBy(statements);
    if (shown !== undefined) {
      this.#own.query(shown, text);
      return 0;
    }
    const judged = gate?.query(gate.reading(text, statements));
    gate?.asked();
    const executions = this.#executionsOf(text, statements, judged);
    if (executions[0] !== undefined) executions[0].bytesIn = size;
    const denial = judged?.decisions[judged.denied];
    if (denial !== undefined) {
      this.#exchange.instead = REJECTED_QUERY;
      sent.dropUnnamed();
      const refused = { next: 0, failed: false, wait: 0, unsettles: true, denial } as const;
      queue.push({ kind: "query", text, executions, ...refused });
      return 0;
    }
    let wait = 0;
    try {
      for (const execution of executions) wait = Math.max(wait, ledger.intend(execution, settled));
    } catch (error) {
      // The spool takes no more: none of them is forwarded, so none of them happens.
      for (const execution of executions) ledger.drop(execution);
      throw error;
    }
    sent.dropUnnamed();
    const unsettles = !settled || statements.some(mayUnsettle);
    queue.push({ kind: "query", text, executions, next: 0, failed: false, wait, unsettles });
    return wait;
  }

  /** Of a denied text, the one execution that is denied. */
  #executionsOf(text: Buffer, statements: readonly Statement[], judged: Judgement | undefined): Execution[] {
    const executions: Execution[] = [];
    for (const [i, statement] of statements.entries()) {
      if (judged !== undefined && judged.denied >= 0 && i !== judged.denied) continue;
      const sql = text.subarray(statement.start, statement.end);
      const last = i + 1 === statements.length;
      const commented = text.subarray(statements[i - 1]?.end ?? 0, last ? text.length : statement.end);
      const subject: Subject = { protocol: "simple", statement, sql, commented, functionOid: undefined };
      const execution = this.#exchange.ledger.begin(subject, undefined);
      executions.push(execution);
      if (judged !== undefined) permit(execution, judged.decisions[i]!);
    }
    return executions;
  }

  parse(name: string, text: Buffer): number {
    const { around, queue, sent, segment, skipping } = this.#exchange;
    if (skipping) return 0;
    // Kept as long as the statement lives; a view would keep the whole chunk it came in.
    const own = Buffer.from(text);
    const statements = this.#analyze(own);
    const only = statements.length === 1 ? statements[0] : undefined;
    const sql = only === undefined ? own : own.subarray(only.start, only.end);
    const subject: Subject = { protocol: "extended", statement: only, sql, commented: own, functionOid: undefined };
    const { gate } = around;
    const judged = gate?.reading(own, statements) ?? statements;
    const shown = shownBy(statements);
    const prepared: Prepared = { subject, segment, settled: queue.settled, judged, shown };
    if (shown !== undefined) this.#own.parse(name);
    const decided = shown === undefined ? gate?.parse(judged) : undefined;
    if (decided?.allowed === false) {
      this.#exchange.instead = rejectedParse(name);
      if (name === "") sent.prepared.delete("");
      queue.push({ kind: "parse", name, prepared, denial: decided });
      return 0;
    }
    if (name !== "") gate?.renaming(name);
    // The server refuses to replace a named statement (42P05), so such a Parse changes nothing.
    if (name === "" || !sent.prepared.has(name)) sent.prepared.set(name, prepared);
    queue.push({ kind: "parse", name, prepared });
    return 0;
  }

  /** @param format of the first column of the result; matters only to what the proxy itself answers */
  bind(
    portalName: string,
    statement: string,
    parameters: Parameters | undefined,
    size: number,
    format: number = 0,
  ): number {
    const { around, queue, sent, segment, skipping } = this.#exchange;
    if (skipping) return 0;
    const prepared = sent.prepared.get(statement);
    // With parameters it is the server that says that there are none.
    if (prepared?.shown !== undefined && parameters === undefined) {
      this.#own.bind(portalName, statement, prepared, prepared.shown, format);
      return 0;
    }
    const bound = around.gate?.bound();
    const portal: Portal = { statement, prepared, segment, parameters, bound, bytes: size, suspended: undefined };
    const announced = runsAtBind(prepared, parameters) ? this.#announce(portal) : undefined;
    portal.announced = announced;
    // Likewise (42P03).
    if (portalName === "" || !sent.portals.has(portalName)) sent.portals.set(portalName, portal);
    const wait = announced?.wait ?? 0;
    queue.push({ kind: "bind", name: portalName, statement, portal, announced, wait });
    return wait;
  }

  #announce(portal: Portal): Announced {
    const { around, ledger, segment, confirmed, turn } = this.#exchange;
    const { prepared, statement } = portal;
    const execution = this.#executionOf(portal);
    // As the Execute will be, if it comes at once: then it can carry this on.
    const decided = prepared === undefined ? undefined : around.gate?.parse(prepared.judged);
    if (decided?.allowed) execution.decided = decided.members;
    const certain =
      prepared?.settled === true && (prepared.segment === segment || confirmed.prepared.get(statement) === prepared);
    return { execution, wait: ledger.intend(execution, certain), turn, taken: false };
  }

  describe(what: "statement" | "portal", name: string): number {
    const { queue, sent, skipping } = this.#exchange;
    if (skipping) return 0;
    const shown = what === "portal" ? sent.portals.get(name)?.shown : undefined;
    if (shown !== undefined) this.#own.describe(shown);
    else queue.push({ kind: "describe", what, name });
    return 0;
  }

  close(what: "statement" | "portal", name: string): number {
    const { queue, sent, skipping } = this.#exchange;
    if (skipping) return 0;
    if (what === "statement") sent.prepared.delete(name);
    else sent.portals.delete(name);
    queue.push({ kind: "close", what, name });
    return 0;
  }

  execute(name: string, size: number): number {
    const { queue, sent, ledger, skipping } = this.#exchange;
    if (skipping) return 0;
    const portal = sent.portals.get(name);
    if (portal?.shown !== undefined) {
      this.#own.execute(portal.shown);
      return 0;
    }
    const suspended = portal?.suspended;
    const carriedOn = suspended !== undefined;
    const certain = this.#isCertain(name, portal);
    const decided = this.#decideExecute(name, portal, carriedOn, certain);
    if (decided?.allowed === false) return this.#denyExecute(name, portal, size, decided);
    const announced = carriedOn ? undefined : this.#take(portal, decided);
    const execution = suspended ?? announced?.execution ?? this.#executionOf(portal);
    if (decided !== undefined && !carriedOn) permit(execution, decided);
    if (!carriedOn) execution.bytesIn += size;
    // Of empty text too, which executes nothing: what the client believes to be empty may not be.
    const wait = carriedOn ? 0 : (announced?.wait ?? ledger.intend(execution, certain));
    const unsettles = !certain || mayUnsettle(execution.subject.statement);
    queue.push({ kind: "execute", name, execution, carriedOn, announced, resolved: false, size, wait, unsettles });
    return wait;
  }

  /** What was announced with the Bind, if this Execute is the first, and the portal cannot have ended in between. */
  #take(portal: Portal | undefined, decided: Decision | undefined): Announced | undefined {
    const announced = portal?.announced;
    if (announced === undefined || announced.taken || announced.turn !== this.#exchange.turn) return undefined;
    if ((decided?.members ?? "") !== announced.execution.decided) return undefined;
    announced.taken = true;
    return announced;
  }

  /** Whether a FunctionCall may be executed: asked before any of it is passed on; then told. @param oid if it is known */
  decideCall(oid: number | undefined): Decision | undefined {
    return this.#exchange.skipping ? undefined : this.#exchange.around.gate?.functionCall(oid);
  }

  functionCall(oid: number, parameters: Parameters | undefined, size: number, decided?: Decision): number {
    const { around, queue, ledger, skipping } = this.#exchange;
    if (skipping) return 0;
    this.#exchange.turn += 1;
    around.gate?.asked();
    const subject: Subject = { protocol: "function", statement: undefined, sql: undefined, functionOid: oid };
    const execution = ledger.begin(subject, parameters);
    execution.bytesIn = size;
    const pending = { kind: "function", execution, answered: false, failed: false, unsettles: true } as const;
    if (decided?.allowed === false) {
      this.#exchange.instead = REJECTED_CALL;
      queue.push({ ...pending, wait: 0, denial: decided });
      return 0;
    }
    if (decided !== undefined) permit(execution, decided);
    const wait = ledger.intend(execution, true);
    queue.push({ ...pending, wait });
    return wait;
  }

  sync(): number {
    const exchange = this.#exchange;
    // PostgreSQL, COPY operations: the backend ignores Flush and Sync while it reads copy data.
    exchange.segment += 1;
    exchange.turn += 1;
    if (exchange.copyIn) {
      exchange.swallowed += 1;
      return 0;
    }
    exchange.skipping = false;
    exchange.around.gate?.asked();
    exchange.queue.push({ kind: "sync", failed: false });
    return 0;
  }

  copyData(size: number): void {
    const current = this.#exchange.copyIn ? this.#exchange.current() : undefined;
    this.#exchange.queue.copied(current === undefined ? size : 0);
    if (current !== undefined) current.bytesIn += size;
  }

  /** CopyDone or CopyFail. */
  copyEnd(): void {
    const exchange = this.#exchange;
    exchange.queue.copyEnded(!exchange.copyIn);
    exchange.copyIn = false;
  }

  // --- inside ------------------------------------------------------------------------------------------------------

  #analyze(text: Buffer): readonly Statement[] {
    const { analyzer, encoding, standardStrings } = this.#exchange.around;
    return analyzer.analyze(text, encoding(), standardStrings());
  }

  /**
   * All that the Execute may turn out to execute must be allowed: what the client believes to have under the name, and
   * what the server has confirmed, which it still has if something in between fails.
   */
  #decideExecute(name: string, portal: Portal | undefined, carriedOn: boolean, certain: boolean): Decision | undefined {
    const { around, confirmed } = this.#exchange;
    const { gate } = around;
    if (gate === undefined) return undefined;
    const candidates: Candidate[] = [{ judged: portal?.prepared?.judged, bound: portal?.bound }];
    if (!carriedOn && !certain) {
      const known = confirmed.portals.get(name);
      if (known?.prepared !== undefined) candidates.push({ judged: known.prepared.judged, bound: known.bound });
      const prepared = portal === undefined ? undefined : confirmed.prepared.get(portal.statement);
      if (prepared !== undefined) candidates.push({ judged: prepared.judged, bound: portal?.bound });
    }
    return gate.execute(candidates, portal?.statement, !carriedOn);
  }

  /** An execution of its own, also where it would carry on another: that one happened, and this one does not. */
  #denyExecute(name: string, portal: Portal | undefined, size: number, denial: Decision): number {
    const { ledger, queue } = this.#exchange;
    const execution = ledger.begin(subjectOf(portal), portal?.parameters);
    execution.bytesIn = size;
    this.#exchange.instead = REJECTED_EXECUTE;
    const rejected = { carriedOn: false, resolved: true, wait: 0, unsettles: true } as const;
    queue.push({ kind: "execute", name, execution, size, ...rejected, denial });
    return 0;
  }

  /**
   * Whether the server, when it comes to this Execute, has under these names what the client believes. It may not when
   * they were given in an earlier segment that is still unanswered: an error there skips what gave them, and not this.
   */
  #isCertain(name: string, portal: Portal | undefined): boolean {
    const { confirmed, segment } = this.#exchange;
    const prepared = portal?.prepared;
    if (portal === undefined || prepared === undefined) return false;
    if (!prepared.settled) return false;
    if (confirmed.portals.get(name) === portal) return true;
    if (portal.segment !== segment) return false;
    return prepared.segment === segment || confirmed.prepared.get(portal.statement) === prepared;
  }

  #executionOf(portal: Portal | undefined): Execution {
    const execution = this.#exchange.ledger.begin(subjectOf(portal), portal?.parameters);
    if (portal !== undefined) {
      execution.bytesIn = portal.bytes;
      portal.bytes = 0;
    }
    return execution;
  }
}

/** Whether it may change how later texts are to be read, or what a prepared name stands for. */
function mayUnsettle(statement: Statement | undefined): boolean {
  if (statement === undefined) return true;
  const { provenRead, effect, class: kind } = statement;
  if (effect !== undefined) {
    return effect.kind !== "transaction" || !["begin", "savepoint", "release"].includes(effect.verb);
  }
  return !provenRead && kind !== "read" && kind !== "write" && kind !== "copy";
}
