export { CliError, type CliErrorCode } from "./errors.ts";
export { ensureSample, SAMPLE_DATABASE, SAMPLE_ROLE } from "./postgres/sample.ts";
export { type Postgres, type PostgresConfig, startPostgres } from "./postgres/server.ts";
