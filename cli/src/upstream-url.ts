import path from "node:path";
import { type Address, isFolder } from "./address.ts";
import { CliError } from "./errors.ts";

export interface Upstream extends Address {
  /** For the connection string that is printed: the proxy passes on whatever user and database a client names. */
  readonly user: string | undefined;
  readonly database: string | undefined;
  /** Further connection parameters, carried over to the printed connection string. */
  readonly parameters: string;
  /** Those that concern TLS, which are the proxy's: it is the one who connects to the server. */
  readonly tls: string;
}

/** Values that ask for what ends at the proxy. */
const DEMANDS_ALL_THE_WAY: Record<string, RegExp> = {
  gssencmode: /^require$/,
  channel_binding: /^require$/,
};
const YES = /^(1|true|yes|on|require)$/i;
/** Parameters that name files. Those are here, and not where the proxy's configuration is. */
const FILES = new Set(["sslrootcert", "sslcrl", "sslcert", "sslkey"]);

/**
 * Reads the URL of a PostgreSQL server, in libpq's form (PostgreSQL section 34.1.1.2). A password in it is dropped.
 *
 * @throws CliError `usage` when it is no such URL, `upstream_tls` when it demands a protection that ends at the proxy
 */
export function parseUpstream(text: string): Upstream {
  // The text may hold a password, so no message repeats it.
  const example = "such as postgres://127.0.0.1:5432";
  if (!/^postgres(ql)?:\/\//.test(text)) {
    throw new CliError("usage", `--upstream must be a URL that begins with postgres://, ${example}`);
  }
  const authority = text.slice(text.indexOf("//") + 2).split(/[/?#]/, 1)[0] as string;
  if (authority.includes(",")) throw new CliError("usage", "--upstream names several hosts; give one");
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) throw new CliError("usage", `--upstream is not a well-formed URL, ${example}`);
  const at = takeHost(url, example);
  for (const [name, value] of url.searchParams) {
    if (DEMANDS_ALL_THE_WAY[name]?.test(value)) {
      throw new CliError(
        "upstream_tls",
        `--upstream has ${name}=${value}, which the proxy cannot give, for it stands between: ` +
          "leave it out, and say sslmode=verify-full to have the server verified",
      );
    }
  }
  const decode = (part: string): string | undefined => (part === "" ? undefined : decodeURIComponent(part));
  const port = at.port === "" ? 5432 : Number(at.port);
  if (port === 0) throw new CliError("usage", "--upstream names port 0; name the port of the server");
  for (const name of ["password", "passfile"]) url.searchParams.delete(name);
  const tls = takeTls(url.searchParams);
  try {
    return {
      host: at.host,
      port,
      user: decode(url.username),
      database: decode(url.pathname.slice(1)),
      parameters: url.searchParams.toString(),
      tls,
    };
  } catch (error) {
    throw new CliError("usage", "--upstream has a malformed percent-escape", { cause: error });
  }
}

/** Takes the host out of where libpq looks for it: before the path, or, which is usual for a Unix socket, behind it. */
function takeHost(url: URL, example: string): { host: string; port: string } {
  const { searchParams: parameters } = url;
  const take = (name: string): string | null => {
    const value = parameters.get(name);
    parameters.delete(name);
    return value;
  };
  const [host, port] = [take("host"), take("port")];
  if ((host !== null && url.hostname !== "") || (port !== null && url.port !== "")) {
    throw new CliError("usage", "--upstream names its host or port twice; give each once");
  }
  const named = host ?? decoded(url.hostname.replace(/^\[|\]$/g, ""));
  if (named.includes(",")) throw new CliError("usage", "--upstream names several hosts; give one");
  if (!(named.startsWith("/") ? /^\P{Cc}+$/u : /^[\w.:%-]+$/).test(named)) {
    throw new CliError("usage", `--upstream must name a host, or a folder with a Unix socket; ${example}`);
  }
  if (port !== null && !(/^[0-9]{1,5}$/.test(port) && Number(port) <= 65535)) {
    throw new CliError("usage", "--upstream has a port that is none, 1 to 65535");
  }
  return { host: named, port: port ?? url.port };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw new CliError("usage", "--upstream has a malformed percent-escape", { cause: error });
  }
}

/** Takes out what the proxy has to know, in libpq's present names. */
function takeTls(parameters: URLSearchParams): string {
  const taken = new URLSearchParams();
  for (const [name, value] of [...parameters]) {
    if (!/^ssl|^requiressl$/.test(name)) continue;
    parameters.delete(name);
    if (name === "ssl" || name === "requiressl") {
      if (YES.test(value) && !taken.has("sslmode")) taken.set("sslmode", "require");
      // `allow` begins in the clear, and that is as far as the proxy goes.
    } else if (value !== "allow") taken.set(name, FILES.has(name) && value !== "system" ? path.resolve(value) : value);
  }
  return taken.toString();
}

/**
 * A connection string to paste into psql or an application.
 *
 * @param password only ever that of the sample database, which exists to be printed
 */
export function connectionString(
  to: Address,
  as: { user?: string | undefined; password?: string; database?: string | undefined; parameters?: string | undefined },
): string {
  let { host } = to;
  if (isFolder(host)) host = encodeURIComponent(host);
  else if (host.includes(":")) host = `[${host}]`;
  const user = as.user === undefined ? "" : encodeURIComponent(as.user);
  const password = as.password === undefined ? "" : `:${encodeURIComponent(as.password)}`;
  const login = user === "" ? "" : `${user}${password}@`;
  const database = as.database === undefined ? "" : `/${encodeURIComponent(as.database)}`;
  const parameters = as.parameters ? `?${as.parameters}` : "";
  return `postgres://${login}${host}:${to.port}${database}${parameters}`;
}
