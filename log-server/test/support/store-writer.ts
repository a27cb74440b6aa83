import { openLevelStore } from "../../src/store/level-store.ts";
import { turnOf, turnsIn } from "./store-contract.ts";

// Writes turn after turn, and says which are durable, until it is killed.

const store = (await openLevelStore(process.argv[2]!, "origin", true))!;
for (let n = await turnsIn(store, []); ; n += 1) {
  await store.append(turnOf(n));
  process.stdout.write(`${n + 1}\n`);
}
