/** PostgreSQL's own grammar: libpg_query compiled to WebAssembly. Bytes in, the tree or the reason out. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

/** The raw tree as libpg_query's JSON has it; node types in @pgsql/types. */
export interface Tree {
  readonly stmts?: readonly { readonly stmt?: unknown; readonly stmt_location?: number; readonly stmt_len?: number }[];
}

/**
 * `syntax`: the grammar rejects the text. `analysis`: it has no answer (too deeply nested, out of memory).
 */
export type Parsed = { readonly tree: Tree } | { readonly failed: "syntax" | "analysis" };

/** The functions of the compiled module that are called here; pointers are offsets into HEAPU8. */
interface Module {
  readonly HEAPU8: Uint8Array;
  readonly HEAPU32: Uint32Array;
  _malloc(bytes: number): number;
  _free(pointer: number): void;
  _wasm_parse_query_raw(text: number): number;
  _wasm_free_parse_result(result: number): void;
  _wasm_fingerprint(text: number): number;
  _wasm_free_string(text: number): void;
}
type CreateModule = (options: {
  print: (line: string) => void;
  printErr: (line: string) => void;
  instantiateWasm: (imports: object, done: (instance: object) => void) => void;
}) => Promise<Module>;

/** The part of the global that @types/node leaves to the DOM's types. */
interface WebAssemblyGlobal {
  compile(bytes: Uint8Array): Promise<object>;
  instantiate(module: object, imports: object): Promise<object>;
}

/** An instance's memory never shrinks; above this it is replaced after use. Bytes. */
const MAX_MEMORY = 192 * 1024 * 1024;

/**
 * libpg_query's own entry point is not used: it has one module for good, which a text that overflows its stack or its
 * memory leaves unusable (or, worse, subtly broken), and it would copy every text through a JavaScript string.
 */
export class Grammar {
  readonly #create: () => Promise<Module>;
  /** The first is in use; the others wait, because a new one is there a few microtasks too late for the next text. */
  readonly #ready: Module[];
  #coming = 0;

  private constructor(create: () => Promise<Module>, ready: Module[]) {
    this.#create = create;
    this.#ready = ready;
  }

  /** @throws when the package's files cannot be read or compiled: a broken installation */
  static async load(): Promise<Grammar> {
    const require = createRequire(import.meta.url);
    const factory = require("libpg-query/wasm/libpg-query.js") as CreateModule;
    const wasm = (globalThis as unknown as { WebAssembly: WebAssemblyGlobal }).WebAssembly;
    const compiled = await wasm.compile(await readFile(require.resolve("libpg-query/wasm/libpg-query.wasm")));
    const create = (): Promise<Module> =>
      factory({
        // What it prints is PostgreSQL's memory statistics when it dies; the answer `analysis` says enough.
        print: () => {},
        printErr: () => {},
        instantiateWasm: (imports, done) => void wasm.instantiate(compiled, imports).then(done),
      });
    return new Grammar(create, [await create(), await create()]);
  }

  /** @param text valid UTF-8 without NUL */
  parse(text: Uint8Array): Parsed {
    return (
      this.#use(text, (module, pointer): Parsed => {
        const result = module._wasm_parse_query_raw(pointer);
        if (result === 0) return { failed: "analysis" };
        // struct PgQueryParseResult: parse_tree, stderr_buffer, error (whose first member is the message)
        const words = module.HEAPU32;
        const error = words[result / 4 + 2]!;
        const parsed: Parsed =
          error !== 0
            ? { failed: rejection(read(module, words[error / 4]!)) }
            : { tree: JSON.parse(read(module, words[result / 4]!)) as Tree };
        module._wasm_free_parse_result(result);
        return parsed;
      }) ?? { failed: "analysis" }
    );
  }

  /** @returns 16 hex digits; undefined when libpg_query gives none (a syntax error, too deeply nested) */
  fingerprint(text: Uint8Array): string | undefined {
    return this.#use(text, (module, pointer) => {
      const result = module._wasm_fingerprint(pointer);
      if (result === 0) return undefined;
      const answer = read(module, result);
      module._wasm_free_string(result);
      // The answer is the digits or an error's message, without a mark of which.
      return /^[0-9a-f]{16}$/.test(answer) ? answer : undefined;
    });
  }

  #use<T>(text: Uint8Array, call: (module: Module, pointer: number) => T): T | undefined {
    const module = this.#ready[0];
    if (module === undefined) {
      this.#refill();
      return undefined;
    }
    const exitCode = process.exitCode;
    try {
      const pointer = module._malloc(text.length + 1);
      if (pointer === 0) throw new RangeError("no memory for the text");
      module.HEAPU8.set(text, pointer);
      module.HEAPU8[pointer + text.length] = 0;
      const answer = call(module, pointer);
      module._free(pointer);
      if (module.HEAPU8.length > MAX_MEMORY) this.#replace();
      return answer;
    } catch {
      // A stack overflow (RangeError), a trap (WebAssembly.RuntimeError), or the C library's exit() thrown as an object
      // after it set the exit code of this process. Whatever it was, the module's stack and heap are in no known state.
      process.exitCode = exitCode;
      this.#replace();
      return undefined;
    }
  }

  #replace(): void {
    this.#ready.shift();
    this.#refill();
  }

  #refill(): void {
    if (this.#ready.length + this.#coming >= 2) return;
    this.#coming++;
    this.#create().then(
      (module) => {
        this.#coming--;
        this.#ready.push(module);
        this.#refill();
      },
      () => {
        // No memory for another instance now. Texts are answered with `analysis` until one can be made.
        this.#coming--;
      },
    );
  }
}

/** The grammar's stack is bounded (YYMAXDEPTH); the server's is the same, so it would reject the text as well. */
function rejection(message: string): "syntax" | "analysis" {
  return /^(?:memory exhausted|out of memory|stack depth limit)/.test(message) ? "analysis" : "syntax";
}

/** The C string at a pointer. */
function read(module: Module, pointer: number): string {
  const heap = module.HEAPU8;
  return Buffer.from(heap.buffer, pointer, heap.indexOf(0, pointer) - pointer).toString("utf8");
}
