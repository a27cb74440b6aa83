// What a worker's process runs.
import { runWorker } from "./worker.ts";

runWorker();
