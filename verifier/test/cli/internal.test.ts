import t from "tap";
import { run } from "./support/run.ts";

/** Node ends with 1 when an error goes unhandled, and 1 is the verdict FAIL. */
t.test("an error of the program itself is never a verdict", async (t) => {
  const faults = {
    rejection: "Promise.reject(new Error('nobody awaited this'))",
    exception: "queueMicrotask(() => { throw new Error('nobody caught this') })",
  };
  for (const [name, fault] of Object.entries(faults)) {
    const code = `const write = process.stdout.write;
      process.stdout.write = function (...all) { process.stdout.write = write; ${fault}; return write.apply(this, all) }`;
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` };
    const { status, stderr } = await run(["--version"], { env });
    t.equal(status, 70, name);
    t.match(stderr, /internal: Error: nobody/, name);
  }
});
