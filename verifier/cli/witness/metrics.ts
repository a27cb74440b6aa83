import type { Answer, RefusalCode } from "./answers.ts";
import type { Witness } from "./witness.ts";

/** Counts what was answered; the rest of what `/metrics` says is asked for when somebody looks. */
export class Metrics {
  readonly #answers = new Map<Answer["code"] | RefusalCode, number>();

  count(code: Answer["code"]): void {
    this.#answers.set(code, (this.#answers.get(code) ?? 0) + 1);
  }

  /** @returns Prometheus's text format, version 0.0.4 */
  text(witness: Witness, waiting: number): string {
    const { journal } = witness.state;
    const out: string[] = [];
    const family = (name: string, type: "counter" | "gauge", help: string, samples: readonly string[]): void => {
      out.push(`# HELP vitrine_witness_${name} ${help}`, `# TYPE vitrine_witness_${name} ${type}`);
      for (const sample of samples) out.push(`vitrine_witness_${name}${sample}`);
    };
    const answers = [...this.#answers].map(([code, n]) => `{code="${code}"} ${n}`);
    family("answers_total", "counter", "Requests to add-checkpoint, by what was answered.", answers);
    family("waiting", "gauge", "Requests to add-checkpoint that are not answered yet.", [` ${waiting}`]);
    family("logs", "gauge", "Logs that are cosigned for.", [` ${witness.logs.size}`]);
    family("state_bytes", "gauge", "Length of the state file.", [` ${journal.length}`]);
    family("state_syncs_total", "counter", "Writes to the state, each synced.", [` ${journal.syncs}`]);
    family("state_compactions_total", "counter", "Times that the state was made anew.", [` ${journal.compactions}`]);
    const sizes: string[] = [];
    const times: string[] = [];
    for (const { origin, durable } of witness.state.logs) {
      if (durable === undefined) continue;
      const label = `{origin="${escapeLabel(origin)}"}`;
      sizes.push(`${label} ${durable.size}`);
      times.push(`${label} ${durable.time}`);
    }
    family("size", "gauge", "Size of the latest tree that was cosigned.", sizes);
    family("cosigned_timestamp_seconds", "gauge", "When that was.", times);
    return `${out.join("\n")}\n`;
  }
}

function escapeLabel(text: string): string {
  return text.replace(/[\\"\n]/g, (character) => (character === "\n" ? "\\n" : `\\${character}`));
}
