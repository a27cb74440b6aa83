/** What the console shows and does. */
export { Operations, sayCommand } from "./operations.ts";
export { together } from "./together.ts";
