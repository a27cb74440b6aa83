/** What the console shows and does. */
export { Operations } from "./operations.ts";
export type { View } from "./view.ts";
