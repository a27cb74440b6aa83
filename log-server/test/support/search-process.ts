import { withDefaults } from "../../src/hooks.ts";
import { SearchIndex } from "../../src/search/search-index.ts";
import { TreeReader } from "../../src/tree/log.ts";
import { growEntries } from "./search-tree.ts";

// Builds an index until it reaches a crash point for the second time, says so, and waits to be killed there.

const [path, wanted] = process.argv.slice(2) as [string, string];
const { store } = await growEntries(2 * 4096 + 300);
let times = 0;
const atSearch = async (point: string): Promise<void> => {
  if (point !== wanted) return;
  times += 1;
  if (times < 2) return;
  process.send!("here");
  await new Promise((resolve) => setTimeout(resolve, 60_000));
};
const index = new SearchIndex(path, "o", new TreeReader(store), withDefaults({ atSearch }));
index.follow(2 * 4096 + 300);
await index.settled();
