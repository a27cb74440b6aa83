/** spec/schema/entry.schema.json, for holding real entries against it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { type Entry, ROOT } from "./stack.ts";

const schema = JSON.parse(readFileSync(join(ROOT, "spec/schema/entry.schema.json"), "utf8")) as object;
const validate = new Ajv2020({ strict: false, allErrors: true }).compile<unknown>(schema);

/** @returns what is wrong with each entry that is not as the schema says */
export function schemaErrors(entries: readonly Entry[]): string[] {
  return entries.flatMap((entry, index) =>
    validate(entry as unknown)
      ? []
      : [
          `entry ${index} (${entry.kind}): ${validate.errors?.map(({ instancePath, message }) => `${instancePath} ${message}`).join("; ")}`,
        ],
  );
}
