/** A witness that dies as if its power went: at a crash point, the nth time that it comes there. */
import { defaultLimits } from "../../../../cli/witness/server.ts";
import { startWitness } from "../../../../cli/witness/start.ts";

const [state, log, point, nth, compactAt] = process.argv.slice(2);
let left = Number(nth);
const hooks = {
  at: (at: string): void => {
    if (at === point && --left === 0) process.kill(process.pid, "SIGKILL");
  },
  log: (): void => undefined,
};
const flags = { listen: "127.0.0.1:0", name: "witness.example/w1", state: state!, log: [log!] };
const running = await startWitness(flags, hooks, { limits: defaultLimits, compactAt: Number(compactAt) });
process.stdout.write(`${running.port}\n`);
