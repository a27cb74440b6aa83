/** What the proxy tells its operator, line by line. */
export { EVENTS, type EventName, type Fields, FORMATS, type Format, LEVELS, type Level } from "./events.ts";
export { Lines } from "./lines.ts";
