export { formatTimestamp, nowMicros } from "./clock.ts";
export { CRASH_POINTS, type CrashPoint } from "./crash-points.ts";
export { type Intent, MAX_DISCLOSED_BYTES, MAX_INTENT_BYTES } from "./intents.ts";
export { KeyFiles, type KeyLines, type KeyStore, makeNextKey } from "./key-file.ts";
export type {
  Durability,
  RecorderOptions,
  SealIntervals,
  SpoolState,
} from "./options.ts";
export { Recorder } from "./recorder.ts";
export { type Sealed, sealJson, sealValue } from "./sealed.ts";
export type { RecorderStats } from "./stats.ts";
export type { SubmitterStats } from "./submitter.ts";
