/** What the console shows and does. */
export { Operations } from "./operations.ts";
