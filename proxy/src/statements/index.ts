export { Analyzer, type AnalyzerOptions } from "./analyzer.ts";
export { classOfCall } from "./by-number.ts";
export { type Encoding, encodingOf } from "./encoding.ts";
export { together } from "./facts.ts";
export {
  type Access,
  CLASSES,
  type Facts,
  type Incomplete,
  type Relation,
  type SessionEffect,
  type Statement,
  type StatementClass,
  strongest,
  UNKNOWN_FACTS,
} from "./statement.ts";
