import { type FindingCode, findingVerdicts, type VerifierError } from "../errors.ts";
import { type Finding, Findings, type Verdict } from "../findings.ts";

/** One step of a check that is shown step by step. */
export type Step<Name extends string = string> = {
  step: Name;
  /** Undefined when it was not reached. */
  passed: boolean | undefined;
  /** The finding, when it did not pass. */
  code?: FindingCode;
  /** What was established, or what is wrong. */
  text: string;
};

/** Carries out steps one after the other, and tells of each what came of it. */
export class Steps<Name extends string> {
  readonly findings: Findings = new Findings();
  readonly #texts: Readonly<Partial<Record<Name, string>>>;
  readonly #done = new Map<Name, Step<Name>>();

  /** @param texts what each step establishes, in their order */
  constructor(texts: Readonly<Partial<Record<Name, string>>>) {
    this.#texts = texts;
  }

  /** @returns what the check gives, or undefined when it threw: then the step has not passed */
  run<Result>(step: Name, check: () => Result): Result | undefined {
    try {
      const result = check();
      this.#done.set(step, { step, passed: true, text: this.#texts[step]! });
      return result;
    } catch (error) {
      this.findings.addError(error);
      const { code, message } = error as VerifierError & { code: FindingCode };
      this.#done.set(step, { step, passed: false, code, text: message });
      return undefined;
    }
  }

  /** @returns whether what the step found, if anything, leaves sense in the steps behind it */
  mayGoOn(step: Name): boolean {
    const code = this.#done.get(step)?.code;
    return code === undefined || findingVerdicts[code] === "NOT PROVEN";
  }

  finish(): { verdict: Verdict; findings: Finding[]; steps: Step<Name>[] } {
    const steps = (Object.keys(this.#texts) as Name[]).map((step): Step<Name> => {
      const text = `not reached: whether ${this.#texts[step]}`;
      return this.#done.get(step) ?? { step, passed: undefined, text };
    });
    return { verdict: this.findings.verdict, findings: this.findings.sorted(), steps };
  }
}

/** @returns the texts without that of one step, which is not carried out */
export function without<Name extends string>(
  texts: Readonly<Record<Name, string>>,
  name: Name,
): Partial<Record<Name, string>> {
  const { [name]: _left, ...rest } = texts;
  return rest as Partial<Record<Name, string>>;
}
