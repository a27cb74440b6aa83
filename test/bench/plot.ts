/** Draws growth.svg from growth.json: `node test/dist/bench/plot.js docs/growth.json > docs/growth.svg`. */
import { readFileSync } from "node:fs";
import type { Growth } from "./growth.ts";

const WIDTH = 360;
const HEIGHT = 200;
const MARGIN = { left: 64, right: 16, top: 34, bottom: 40 };
const COLOURS = ["#1f5fa8", "#c0572b", "#3d8361"];

interface Line {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

interface Panel {
  readonly title: string;
  readonly unit: string;
  readonly lines: readonly Line[];
  readonly logarithmic: boolean;
  /** A value that is not to be crossed. */
  readonly bound?: { readonly at: number; readonly name: string };
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}

function text(x: number, y: number, content: string, more = ""): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${escaped(content)}</text>`;
}

/** @returns a round number that is not below the value */
function ceiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= value)!;
}

function short(value: number): string {
  if (value >= 1e6) return `${value / 1e6} M`;
  if (value >= 1e3) return `${value / 1e3} k`;
  return String(Number(value.toPrecision(3)));
}

function draw({ title, unit, lines, logarithmic, bound }: Panel, left: number, top: number): string {
  const xs = lines.flatMap(({ points }) => points.map(([x]) => x));
  const ys = [...lines.flatMap(({ points }) => points.map(([, y]) => y)), bound?.at ?? 0];
  const most = ceiling(Math.max(...ys));
  const scale = logarithmic ? Math.log10 : (x: number): number => x;
  const [low, high] = logarithmic ? [scale(Math.min(...xs)), scale(Math.max(...xs))] : [0, Math.max(...xs)];
  const inner = { width: WIDTH - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom };
  const x = (value: number): number => left + MARGIN.left + ((scale(value) - low) / (high - low)) * inner.width;
  const y = (value: number): number => top + MARGIN.top + (1 - value / most) * inner.height;
  const parts = [text(left + MARGIN.left, top + 16, title, 'font-weight="bold"')];
  for (const share of [0, 0.5, 1]) {
    const at = y(most * share);
    const ends = `x1="${left + MARGIN.left}" x2="${left + WIDTH - MARGIN.right}"`;
    parts.push(`<line ${ends} y1="${at.toFixed(1)}" y2="${at.toFixed(1)}" stroke="#ddd"/>`);
    parts.push(text(left + MARGIN.left - 6, at + 4, short(most * share), 'text-anchor="end"'));
  }
  parts.push(text(left + MARGIN.left - 6, top + 16, unit, 'text-anchor="end" fill="#666"'));
  const ticks = logarithmic ? [...new Set(xs)] : [0, high / 2, high];
  for (const tick of ticks) {
    const anchor = tick === ticks.at(-1) ? "end" : "middle";
    parts.push(
      text(x(tick), top + HEIGHT - MARGIN.bottom + 16, short(Number(tick.toPrecision(2))), `text-anchor="${anchor}"`),
    );
  }
  if (bound !== undefined) {
    const at = y(bound.at).toFixed(1);
    const ends = `x1="${left + MARGIN.left}" x2="${left + WIDTH - MARGIN.right}"`;
    parts.push(`<line ${ends} y1="${at}" y2="${at}" stroke="#999" stroke-dasharray="4 3"/>`);
    parts.push(text(left + WIDTH - MARGIN.right, Number(at) - 4, bound.name, 'text-anchor="end" fill="#666"'));
  }
  for (const [i, { name, points }] of lines.entries()) {
    const colour = COLOURS[i]!;
    const path = points.map(([px, py]) => `${x(px).toFixed(1)},${y(py).toFixed(1)}`);
    parts.push(`<polyline points="${path.join(" ")}" fill="none" stroke="${colour}" stroke-width="1.5"/>`);
    for (const point of path) {
      const [cx, cy] = point.split(",");
      parts.push(`<circle cx="${cx}" cy="${cy}" r="2.5" fill="${colour}"/>`);
    }
    if (lines.length === 1) continue;
    parts.push(text(left + MARGIN.left + i * 104, top + HEIGHT - 6, `● ${name}`, `fill="${colour}"`));
  }
  return parts.join("\n");
}

/** @returns an SVG with four panels */
export function plotGrowth({ tenths, samples, entries }: Growth): string {
  const panels: Panel[] = [
    {
      title: "taken in, acknowledged when durable",
      unit: "entries/s",
      lines: [{ name: "rate", points: tenths.map(({ rate }, i) => [((i + 0.5) / tenths.length) * entries, rate]) }],
      logarithmic: false,
    },
    {
      title: "latency, p99",
      unit: "ms",
      lines: [
        { name: "proof, at rest", points: samples.map((one) => [one.entries, one.proof.p99]) },
        { name: "proof, half rate", points: samples.map((one) => [one.entries, one.proofUnderLoad.p99]) },
        { name: "submission", points: samples.map((one) => [one.entries, one.submission.p99]) },
      ],
      logarithmic: true,
    },
    {
      title: "memory of the log-server",
      unit: "MiB",
      lines: [
        { name: "its own", points: samples.map((one) => [one.entries, one.memory.own]) },
        { name: "mapped files", points: samples.map((one) => [one.entries, one.memory.files]) },
      ],
      logarithmic: true,
    },
    {
      title: "disk",
      unit: "bytes/entry",
      lines: ["store", "index", "search"].map((name) => ({
        name: name === "store" ? "store" : `${name === "index" ? "hash" : name} index`,
        points: samples.map((one) => [one.entries, one.disk[name]!] as const),
      })),
      logarithmic: true,
    },
  ];
  const body = panels.map((panel, i) => draw(panel, (i % 2) * WIDTH, Math.floor(i / 2) * HEIGHT));
  const size = `viewBox="0 0 ${2 * WIDTH} ${2 * HEIGHT}" width="${2 * WIDTH}" height="${2 * HEIGHT}"`;
  const title = `Ingest, latency, memory and disk of a log as it grows to ${entries} entries`;
  const style = 'font-family="system-ui, sans-serif" font-size="11" fill="#222"';
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${style}>\n<title>${escaped(title)}</title>\n<rect width="100%" height="100%" fill="#fff"/>\n${body.join("\n")}\n</svg>\n`;
}

if (process.argv[1] !== undefined && import.meta.url.endsWith("/plot.js") && process.argv[1].endsWith("/plot.js")) {
  process.stdout.write(plotGrowth(JSON.parse(readFileSync(process.argv[2]!, "utf8")) as Growth));
}
