/** Where the log stands with this source, held against what the spool knows (spec/submission.md, end). */
import { ProxyError } from "../errors.ts";
import { decodeBase64 } from "./keys.ts";
import { type Answer, describe } from "./log-client.ts";
import { comparePlaces, EMPTY_CHAIN, type Place } from "./state.ts";

export interface Standing extends Place {
  /** Base64. */
  readonly chain: string;
}

/** With the key by which the log knows the source. */
export interface KnownStanding extends Standing {
  readonly vkey: string;
}

export interface SpoolStanding extends Standing {
  readonly acknowledged: Place;
}

/**
 * Reads an answer of `GET /api/v1/sources`.
 * @param vkeys those by which it may know the source, the present one first
 * @param origin the name of the log that is meant; a log may say its own
 * @returns undefined when it could not be had or understood, which may change
 * @throws ProxyError `log_refused` when it is another log, or does not know the source, or knows it by another key
 */
export function standingOf(
  answer: Answer,
  name: string,
  vkeys: readonly string[],
  origin: string,
): KnownStanding | undefined {
  if (answer.status === 403) throw new ProxyError("log_refused", `the log refuses this source: ${describe(answer)}`);
  if ("reason" in answer || answer.status !== 200) return undefined;
  const { sources, origin: its } = (answer.body ?? {}) as { sources?: unknown; origin?: unknown };
  if (!Array.isArray(sources)) return undefined;
  if (typeof its === "string" && its !== origin)
    throw new ProxyError(
      "log_refused",
      `the log that answers is ${its}, and the key in "log.vkey" is that of ${origin}: correct "log.url" or "log.vkey"`,
    );
  const found = (sources as Record<string, unknown>[]).find((one) => one?.name === name);
  if (found === undefined)
    throw new ProxyError("log_refused", `the log does not know the source ${name}; register its key ${vkeys[0]}`);
  const { vkey, epoch, next, chain } = found;
  if (typeof vkey !== "string" || !vkeys.includes(vkey))
    throw new ProxyError("log_refused", `the log knows the source ${name} by the key ${vkey}, not ${vkeys[0]}`);
  if (!isCount(epoch) || !isCount(next)) return undefined;
  if (epoch === 0) return { vkey, epoch, next: 0, chain: EMPTY_CHAIN };
  if (typeof chain !== "string" || decodeBase64(chain)?.length !== 32) return undefined;
  return { vkey, epoch, next, chain };
}

/**
 * @param spool as it was before this run began its epoch
 * @throws ProxyError `log_rolled_back`, `spool_behind`
 */
export function checkStanding(log: Standing, spool: SpoolStanding): void {
  const at = (place: Place): string => `epoch ${place.epoch}, next ${place.next}`;
  if (comparePlaces(log, spool.acknowledged) < 0)
    throw new ProxyError(
      "log_rolled_back",
      `the log has this source at ${at(log)}, but acknowledged everything up to ${at(spool.acknowledged)}; find out what it lost`,
    );
  const ahead = comparePlaces(log, spool);
  if (ahead > 0)
    throw new ProxyError(
      "spool_behind",
      `the log has this source at ${at(log)}, the spool ends at ${at(spool)}; put back the newer spool`,
    );
  if (ahead === 0 && log.chain !== spool.chain)
    throw new ProxyError(
      "spool_behind",
      `the log has other entries of this source than the spool, up to ${at(spool)}; put back the spool they came from`,
    );
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
