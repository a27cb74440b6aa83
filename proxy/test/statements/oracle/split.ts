/** The statements of a psql script, as far as psql would send them as they stand. */

/**
 * Data behind COPY … FROM stdin and lines of psql's own commands are left out; statements that use its variables are not resolved, and no SQL.
 * @returns each statement without the semicolon behind it
 */
export function statementsOf(script: string): string[] {
  const lines: string[] = [];
  let inData = false;
  for (const line of script.split("\n")) {
    if (inData) inData = line !== "\\.";
    else if (/^\s*\\/.test(line)) continue;
    else {
      // \gset, \gexec and the like end a statement.
      lines.push(line.replace(/\s\\g\w*.*$/, ";"));
      inData = /^\s*copy\b.*\bfrom\s+stdin\b.*;/i.test(line) || /\bfrom\s+stdin\b[^;]*;\s*$/i.test(line);
    }
  }
  return cut(lines.join("\n")).filter((text) => text !== "");
}

/** At semicolons outside of strings, comments, parentheses and BEGIN ATOMIC … END. */
function cut(text: string): string[] {
  const found: string[] = [];
  // s: a newline is a token of its own as well.
  const token =
    /'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$[\s\S]*?\$\1\$|--[^\n]*|\/\*[\s\S]*?\*\/|[()[\];]|\b(?:begin\s+atomic|case|end)\b|\w+|./gisy;
  let from = 0;
  let depth = 0;
  let atomic = 0;
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const [part] = match;
    if (part === "(" || part === "[") depth++;
    else if (part === ")" || part === "]") depth = Math.max(0, depth - 1);
    else if (/^begin\s+atomic$/i.test(part)) atomic = 1;
    else if (atomic > 0 && /^case$/i.test(part)) atomic++;
    else if (atomic > 0 && /^end$/i.test(part)) atomic--;
    else if (part === ";" && depth === 0 && atomic === 0) {
      found.push(text.slice(from, match.index).trim());
      from = token.lastIndex;
    }
  }
  return [...found, text.slice(from).trim()];
}
