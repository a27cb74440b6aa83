import { CliError } from "./errors.ts";

const MAX_BYTES = 4096;
const INTERRUPT = 0x03;
const END = 0x04;
const BACKSPACE = 0x08;
const LINE_FEED = 0x0a;
const RETURN = 0x0d;
/** Ctrl-U, which in a terminal takes back the whole line. */
const KILL = 0x15;
const DELETE = 0x7f;

/**
 * Asks for a password: twice on a terminal, where it is not shown; else it is the first line of standard input.
 * @returns its bytes, as they were typed
 * @throws CliError `usage` when it is empty, longer than 4,096 bytes, typed differently the second time, or broken off
 */
export async function askPassword(name: string): Promise<Buffer> {
  if (!process.stdin.isTTY) return checked(await firstLine());
  const ahead: number[] = [];
  const one = checked(await askHidden(`Password for ${name}: `, ahead));
  const two = await askHidden("Once more: ", ahead);
  if (!one.equals(two)) throw new CliError("usage", "the two passwords differ; nothing was changed");
  return one;
}

function checked(password: Buffer): Buffer {
  if (password.length === 0)
    throw new CliError("usage", "the password is empty; --no-password makes a user without one");
  if (password.includes(0)) throw new CliError("usage", "the password has a zero byte, which no client can send");
  return password;
}

async function firstLine(): Promise<Buffer> {
  let bytes: Buffer = Buffer.alloc(0);
  for await (const chunk of process.stdin) {
    bytes = Buffer.concat([bytes, chunk as Buffer]);
    if (bytes.includes(LINE_FEED)) break;
    tooLong(bytes);
  }
  const end = bytes.indexOf(LINE_FEED);
  const line = end < 0 ? bytes : bytes.subarray(0, end);
  const password = line.at(-1) === RETURN ? line.subarray(0, -1) : line;
  tooLong(password);
  return password;
}

function tooLong({ length }: Buffer): void {
  if (length > MAX_BYTES) throw new CliError("usage", `the password has more than ${MAX_BYTES} bytes`);
}

/**
 * Reads keys until Return, without an echo.
 * @param ahead keys that were typed before they were asked for: read first; those behind the Return are left there
 */
function askHidden(prompt: string, ahead: number[]): Promise<Buffer> {
  const { stdin, stderr } = process;
  stdin.setRawMode(true);
  stderr.write(prompt);
  return new Promise((resolve, reject) => {
    const typed: number[] = [];
    const done = (act: () => void): void => {
      stdin.off("data", onData);
      stdin.pause();
      stdin.setRawMode(false);
      stderr.write("\n");
      act();
    };
    const read = (): void => {
      while (ahead.length > 0) {
        const key = ahead.shift()!;
        if (key === RETURN || key === LINE_FEED) {
          done(() => resolve(Buffer.from(typed)));
          return;
        }
        if (key === INTERRUPT || key === END) {
          done(() => reject(new CliError("usage", "no password was given; nothing was changed")));
          return;
        }
        if (key === KILL) typed.length = 0;
        else if (key === BACKSPACE || key === DELETE) removeLast(typed);
        else if (typed.length < MAX_BYTES) typed.push(key);
      }
    };
    const onData = (keys: Buffer): void => {
      ahead.push(...keys);
      read();
    };
    stdin.on("data", onData);
    stdin.resume();
    read();
  });
}

/** One character, which in UTF-8 is a first byte and those that follow it. */
function removeLast(typed: number[]): void {
  let byte = typed.pop();
  while (byte !== undefined && byte >= 0x80 && byte < 0xc0) byte = typed.pop();
}
