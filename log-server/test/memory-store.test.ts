import t from "tap";
import { MemoryStore } from "../src/memory-store.ts";
import { storeContract } from "./store-contract.ts";

storeContract(t, { open: async () => new MemoryStore() });
