import type { Row } from "../console/index.ts";

const COMMANDS: readonly (readonly [string, string])[] = [
  ["SHOW CLIENTS", "connections of clients"],
  ["SHOW SERVERS", "connections to servers"],
  ["SHOW POOLS", "both, by user and database"],
  ["SHOW POOL_TOTALS", "what the pools have done since the start"],
  ["SHOW DATABASES | USERS | LISTS", "how many there are of what"],
  ["SHOW STATS | STATS_TOTALS", "statements, bytes and times, by database; times in microseconds"],
  ["SHOW SPOOL", "entries on their way to the log"],
  ["SHOW CONFIG", "the configuration in force, and what a reload can change of it"],
  ["SHOW STATE | VERSION | HELP", "whether clients are served; the version; this list"],
  ["PAUSE [database]", "let what was begun end, and nothing else begin; answers when all is quiet"],
  ["RESUME [database]", "end a pause"],
  ["RECONNECT [database]", "close pooled server connections as they are given back"],
  ["KILL database", "end all its sessions now, and pause it"],
  ["KILL_CLIENT id [worker]", "end one session now; id and worker are those of SHOW CLIENTS"],
  ["RELOAD", "read the configuration and the access rules again"],
  ["SHUTDOWN", "stop as at SIGTERM"],
  ["SHUTDOWN WAIT_FOR_SERVERS", "stop when all statements and transactions have ended"],
  ["SHUTDOWN WAIT_FOR_CLIENTS", "take in nobody else, and stop when all have left"],
];

export function help(): Row[] {
  return COMMANDS.map(([command, meaning]) => ({ command, meaning }));
}
