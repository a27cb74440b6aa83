import { VerifierError, type View } from "../../src/index.ts";

/**
 * Gives a view so much time for all that it is asked in a round, from its checkpoint on. One that sends a byte now and
 * then would else hold up the round for hours, and with it what the log's own checks have found.
 * @param ms milliseconds
 * @returns the same view; what comes later is `log_unreachable`
 */
export function inTime(view: View, ms: number): View {
  let until = 0;
  const within = async <Answer>(answer: Promise<Answer>): Promise<Answer> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const why = new VerifierError("log_unreachable", `it takes longer than ${ms / 1000} s for what it is asked`);
      timer = setTimeout(() => reject(why), Math.max(until - performance.now(), 0));
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  };
  const { tile } = view;
  return {
    name: view.name,
    checkpoint: () => {
      until = performance.now() + ms;
      return within(view.checkpoint());
    },
    ...(tile === undefined ? {} : { tile: (...of: Parameters<typeof tile>) => within(tile(...of)) }),
  };
}
