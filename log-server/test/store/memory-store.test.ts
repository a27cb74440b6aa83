import t from "tap";
import { MemoryStore } from "../../src/store/memory-store.ts";
import { storeContract } from "../support/store-contract.ts";

storeContract(t, { open: async () => new MemoryStore() });
