import { exportLog, fsckLog, inspectLog, readLogServerConfig } from "@vitrine/log-server";
import type { ToolCommand } from "../args/log-tool.ts";
import { printable, printableJson } from "../printable.ts";
import { inspectUrl } from "./inspect-url.ts";
import { inspectionLines } from "./inspection-lines.ts";

/** The store is damaged. */
const DAMAGED = 2;
const PROGRESS_MS = 500;

/**
 * `vitrine log fsck`, `export` and `inspect`.
 *
 * @returns the exit status
 * @throws LogServerError as `fsckLog`, `exportLog` and `inspectLog`; CliError `log_unreachable`
 */
export async function runTool(command: ToolCommand): Promise<number> {
  switch (command.tool) {
    case "fsck":
      return fsck(command);
    case "export":
      return exporting(command);
    case "inspect":
      return inspect(command);
  }
}

/** Says how far a long piece of work is, on a terminal alone. */
function progress(what: string): { step: (done: number, size: number) => void; end: () => void } {
  let last = Date.now();
  let shown = false;
  return {
    step: (done, size) => {
      if (!process.stderr.isTTY || Date.now() - last < PROGRESS_MS) return;
      last = Date.now();
      shown = true;
      process.stderr.write(`\r${what} ${done} of ${size} entries`);
    },
    end: () => {
      if (shown) process.stderr.write("\r\u001b[K");
    },
  };
}

const json = (value: unknown): void => {
  process.stdout.write(`${printableJson(value)}\n`);
};

async function fsck({ config, json: asJson }: ToolCommand & { tool: "fsck" }): Promise<number> {
  const { step, end } = progress("checked");
  const report = await fsckLog(await readLogServerConfig(config), step).finally(end);
  const { origin, size, root, signed, disclosures, findings, omitted } = report;
  const status = findings.length === 0 ? 0 : DAMAGED;
  if (asJson) {
    json({ command: "fsck", inOrder: status === 0, ...report, signed: signed ?? null });
    return status;
  }
  for (const { code, message } of findings) process.stdout.write(`${code}: ${printable(message)}\n`);
  for (const [code, count] of Object.entries(omitted)) process.stdout.write(`${code}: and ${count} more\n`);
  const what = `${printable(origin)}: ${size} entries, ${disclosures} disclosures, root ${root}`;
  const until = signed === undefined ? "nothing signed yet" : `signed up to ${signed}`;
  process.stdout.write(`${what}, ${until}: ${status === 0 ? "in order" : "DAMAGED"}\n`);
  return status;
}

async function exporting(command: ToolCommand & { tool: "export" }): Promise<number> {
  const { out, resume, checkpoint } = command;
  const { step, end } = progress("exported");
  const config = await readLogServerConfig(command.config);
  const report = await exportLog(config, { out, resume, checkpoint, onProgress: step }).finally(end);
  if (command.json) {
    json({ command: "export", ...report });
    return 0;
  }
  const { origin, size, before, written } = report;
  const since = before === 0 ? "" : `, ${before} of them were there before`;
  process.stdout.write(
    `${printable(origin)}: ${size} entries${since}; ${written} files written to ${printable(out)}\n`,
  );
  return 0;
}

async function inspect(command: ToolCommand & { tool: "inspect" }): Promise<number> {
  const { of, question } = command;
  const inspection =
    "config" in of
      ? await inspectLog(await readLogServerConfig(of.config), question)
      : await inspectUrl(of.url, of, question);
  if (command.json) json({ command: "inspect", ...inspection });
  else
    process.stdout.write(
      inspectionLines(inspection)
        .map((line) => `${printable(line)}\n`)
        .join(""),
    );
  return 0;
}
