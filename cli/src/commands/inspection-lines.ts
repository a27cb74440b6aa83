import type { Inspection, LevelShape } from "@vitrine/log-server";

const COLUMN = 12;

const line = (name: string, value: string | number): string => `${name.padEnd(COLUMN)}${value}`;

function shape({ level, full, partial }: LevelShape): string {
  const name = level === "entries" ? "bundles" : `level ${level}`;
  const last = partial === 0 ? "" : `${full === 0 ? "" : " and "}one of ${partial}`;
  return line(name, `${full === 0 ? "" : `${full} full`}${last}`);
}

/** @returns an inspection for a person, line by line; what stands in them is not yet fit for a terminal. */
export function inspectionLines(inspection: Inspection): string[] {
  switch (inspection.about) {
    case "log":
      return logLines(inspection);
    case "entry":
      return entryLines(inspection);
    case "source":
      return [
        line("source", inspection.name),
        line("key", inspection.vkey),
        line("epoch", inspection.epoch),
        line("next", inspection.next),
        line("chain", inspection.chain),
        ...inspection.epochs.map(({ epoch, entries, firstIndex, lastIndex }) =>
          line(`epoch ${epoch}`, `${entries} entries, between ${firstIndex} and ${lastIndex}`),
        ),
      ];
    case "disclosures":
      if (inspection.disclosures.length === 0) return [`entry ${inspection.index} has no disclosures`];
      return inspection.disclosures.map(({ name, value }) => line(name, ` ${JSON.stringify(value)}`));
  }
}

function logLines(log: Inspection & { about: "log" }): string[] {
  const { origin, size, root, checkpoint, stored, levels, sources } = log;
  const signed = checkpoint === undefined ? "nothing is signed yet" : `${size} entries`;
  return [
    line("log", origin),
    line("signed", signed),
    line("root", root),
    ...(stored === undefined ? [] : [line("stored", `${stored} entries`)]),
    ...levels.map(shape),
    ...sources.map(({ name, epoch, next }) => line("source", `${name}: epoch ${epoch}, ${next} entries`)),
  ];
}

function entryLines(entry: Inspection & { about: "entry" }): string[] {
  const { index, bytes, leaf, text, ofSource, bundle, tile, size, proof } = entry;
  return [
    line("entry", `${index}, ${bytes} bytes, ${ofSource ? "of a source" : "without a source"}`),
    line("leaf hash", leaf),
    line("bundle", bundle),
    line("tile", tile),
    line("proof", `${proof.length} hashes to the root of size ${size}`),
    ...proof.map((hash) => line("", hash)),
    text ?? "(not text)",
  ];
}
