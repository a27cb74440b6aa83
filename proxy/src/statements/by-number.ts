/** Functions that a FunctionCall names by their numbers (pg_proc.oid). */

/** FirstNormalObjectId in PostgreSQL's transam.h: below it stands what PostgreSQL brings along. */
const FIRST_OF_SOMEBODY = 16_384;

/**
 * What libpq calls so for large objects (fe-lobj.c looks the numbers up by name; they are the same in every version):
 * lo_create, lo_open, lo_close, loread, lowrite, lo_lseek, lo_creat, lo_tell, lo_unlink, lo_truncate, and those for 64 bits.
 */
const LARGE_OBJECTS: ReadonlySet<number> = new Set([
  715, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172,
]);

/**
 * @param oid undefined: not known
 * @returns `admin` for what may be any of PostgreSQL's own: those that read files, end sessions or change settings are
 * among them
 */
export function classOfCall(oid: number | undefined): "function" | "admin" {
  if (oid === undefined) return "admin";
  return oid >= FIRST_OF_SOMEBODY || LARGE_OBJECTS.has(oid) ? "function" : "admin";
}
