import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

// Makes dist/page/verifier.js, the ES module, and dist/page/verify.html, the page with all that it needs in it:
// opened from a disk, a page may load no module from beside it.

const root = fileURLToPath(new URL("../../", import.meta.url));

async function bundle(entry: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [`${root}dist/browser/${entry}.js`],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    charset: "utf8",
    legalComments: "none",
    write: false,
  });
  return outputFiles[0]!.text;
}

/** A source of a Content-Security-Policy: exactly this text. */
function exactly(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

async function page(): Promise<string> {
  const [html, style, script] = await Promise.all([
    readFile(`${root}browser/page.html`, "utf8"),
    readFile(`${root}browser/page.css`, "utf8"),
    // The end tag would end the element, also inside a string.
    bundle("page").then((text) => text.replaceAll("</script", "<\\/script")),
  ]);
  const policy = `default-src 'none'; script-src ${exactly(script)}; style-src ${exactly(style)}; base-uri 'none'; form-action 'none'`;
  // By functions: in a replacement text "$&" has a meaning, and a script may have it in it.
  return html
    .replace("%CSP%", () => policy)
    .replace("/*STYLE*/", () => style)
    .replace("/*SCRIPT*/", () => script);
}

await mkdir(`${root}dist/page`, { recursive: true });
await writeFile(`${root}dist/page/verifier.js`, await bundle("evidence"));
await writeFile(`${root}dist/page/verify.html`, await page());
