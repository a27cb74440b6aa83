export const COMMANDS = ["up", "log-server", "proxy", "key", "log", "search", "reconcile"] as const;
export type Command = (typeof COMMANDS)[number];

/** What there is a help of: each command, and those of its subcommands that have options of their own. */
export type Topic = Command | "proxy user" | "proxy rules" | "proxy rotate-key";

export const GENERAL_HELP = `vitrine: a PostgreSQL access proxy whose audit log anyone can check

Usage:
  vitrine up                 start everything: database, log-server, proxy
  vitrine log-server         start the log-server alone
  vitrine proxy              start the proxy alone
  vitrine proxy user         say whom the proxy logs in itself
  vitrine proxy rules        check access rules, or try a statement on them
  vitrine proxy rotate-key   make the key that is to follow the proxy's
  vitrine key NAME           make a key pair for a log or a proxy
  vitrine log                administer, check, export or look into a log
  vitrine search             find entries by who, what and when
  vitrine reconcile          find what went past the proxy
  vitrine COMMAND --help     more about one of these

For a first look: vitrine up

Options:
  -h, --help                 print this
  -V, --version              print the version

To check a log, use vitrine-verifier: it shares no code with what it checks.
`;

export const COMMAND_HELP: Record<Topic, string> = {
  up: `Starts a PostgreSQL server, the log-server and the proxy; Ctrl-C stops them.

Usage: vitrine up [options]

Options:
  --data DIR         data folder: keys, configuration, log, spool, database.
                     Created at the first start. [./vitrine-data]
  --proxy HOST:PORT  where applications connect [127.0.0.1:6432]; FOLDER:PORT
                     for a Unix socket
  --log HOST:PORT    where auditors read the log [127.0.0.1:6962]
  --upstream URL     put the proxy before this server instead of the embedded
                     PostgreSQL: postgres://HOST:PORT, with TLS when it has
                     ?sslmode=verify-full&sslrootcert=FILE (or another sslmode),
                     or postgres:///?host=FOLDER for its Unix socket.
                     User and database only shape what is printed.
  -h, --help         print this

Port 0 takes any free port. Options are not remembered: give them at each start.
The line "vitrine: ready" says that everything runs. At SIGHUP both parts read
their configuration again. Ctrl-C (or SIGTERM) stops the proxy, then the
log-server, then the database, and loses nothing.
`,
  "log-server": `Starts the log-server alone.

Usage: vitrine log-server --config FILE
       vitrine log-server --example > log-server.yaml

Options:
  --config FILE  its configuration; paths in it are relative to the file
  --example      print an example configuration that explains every key
  -h, --help     print this

It prints one line when it serves. At SIGHUP it reads its keys, witnesses and
tokens again, and prints what came of it. Ctrl-C (or SIGTERM) stops it after a
last checkpoint.
`,
  proxy: `Starts the proxy alone.

Usage: vitrine proxy --config FILE
       vitrine proxy --example > proxy.yaml
       vitrine proxy user --help        whom the proxy logs in itself
       vitrine proxy rules --help       check access rules, or try them
       vitrine proxy rotate-key --help  change the proxy's key

Options:
  --config FILE  its configuration; paths in it are relative to the file
  --example      print an example configuration that explains every key
  -h, --help     print this

It prints one line when it accepts connections. At SIGHUP it reads its
configuration again; access rules, users and certificates also when their files
change. Ctrl-C (or SIGTERM) ends the sessions, seals the record and submits it.
What the log does not take in time stays in the spool and is submitted at the
next start.
`,
  "proxy user": `Adds, lists and removes the users whom a proxy logs in itself, where its key
"auth" says so. A proxy that runs takes the changes by itself.

Usage: vitrine proxy user add NAME (--file FILE | --config FILE) [options]
       vitrine proxy user list (--file FILE | --config FILE) [--json]
       vitrine proxy user remove NAME (--file FILE | --config FILE)

Options:
  --file FILE         the users' file; "add" makes it when it is not there
  --config FILE       the proxy's configuration, which names that file
  --json              print one JSON object
  -h, --help          print this

Options of "add", which changes what is given of a user who is there:
  --identity NAME     who it is, for the log
  --group NAME        for access rules; may be repeated
  --expires TIME      from when on the login is refused
  --role NAME         the role to use at the database server [the login]
  --certificate NAME  the name its certificate must bear [the login]
  --iterations N      of SCRAM, for a new password [4096]
  --no-password       no password will do: for logins by certificate
  --keep-password     leave the password as it is

"add" asks for the password twice, or takes the first line of standard input; a
SCRAM verifier of PostgreSQL's (pg_authid.rolpassword) is taken as it is.

Example:
  vitrine proxy user add ann --config proxy.yaml --identity ann@example.com
`,
  "proxy rules": `Checks files of access rules, or says what they decide about a statement.

Usage: vitrine proxy rules check FILE... [--json]
       vitrine proxy rules test FILE --user LOGIN --sql TEXT [options]

check  Each error is a line with the file, the line and the column, and the
       status is 64. Of a file that is in order the digest is printed, and notes
       on what is hardly meant so, such as a rule that is never asked.
test   Says of each statement which rule decides, and why the rules before it do
       not. Status 0: all is allowed; 2: something is denied.

Options of "test":
  --user LOGIN        who asks
  --sql TEXT          what; several statements as in one query
  --group NAME        groups beyond those in the file; may be repeated
  --database NAME     [the login]
  --auth METHOD       how the login was authenticated [scram-sha-256]
  --address IP        where the client is; without it, a Unix socket
  --application NAME  its application_name
  --search-path LIST  the session's search_path ["$user", public]
  --at TIME           when, such as 2027-01-31T18:00Z [now]

Options of both:
  --json              print one JSON object
  -h, --help          print this

Example:
  vitrine proxy rules test rules.yaml --user ann --database shop \\
    --sql 'SELECT number FROM shop.cards'
`,
  "proxy rotate-key": `Makes the key that is to follow the proxy's, in a file beside it, and prints its
verifier key.

Usage: vitrine proxy rotate-key --config FILE

Options:
  --config FILE  the proxy's configuration, which names the key
  -h, --help     print this

The proxy takes the next key up at SIGHUP, or when it starts, and writes that
down in the log, signed with the old key and the new one. The log needs to be
told nothing, and auditors who know the old key may go on with it.
`,
  key: `Makes an Ed25519 key pair for a log or a source.

Usage: vitrine key NAME [-o FILE] [--workers N]

NAME is what signatures will carry: the log's origin (such as
example.org/audit), or a source's name (such as example.org/audit/proxy-1). It
holds neither white space nor "+".

Options:
  -o, --output FILE  where the signing key goes, readable by you only
                     [the last part of NAME, and .key]
  --workers N        for a proxy with so many workers: the keys of all of them,
                     as far as they are missing, in FILE, FILE.worker-2 ...
  -h, --help         print this

Prints the verifier key, which is public. A file that exists is never replaced.
`,
  log: `Administers a log, checks its store, exports it, or looks into it.

Usage: vitrine log token add    --config FILE --name NAME --role ROLE[,ROLE]
                                [--expires TIME]
       vitrine log token list   --config FILE
       vitrine log token revoke --config FILE --name NAME
       vitrine log source (register VKEY | retire NAME) --log URL
                           --token-file FILE --reason TEXT
       vitrine log erase   --log URL --token-file FILE --reason TEXT
                           (--index N | --login ROLE | --before TIME)
       vitrine log fsck    --config FILE [--json]
       vitrine log export  --config FILE --out DIR [--resume]
                           [--checkpoint FILE] [--json]
       vitrine log inspect (--config FILE | --log URL) [--token-file FILE]
                           [--reason TEXT] [--json]
                           [INDEX | source NAME | disclosures INDEX]

token  who may read what is not public, and who may administer the log. "add"
       prints the token, once: the file has its digest alone. A log that runs
       takes the changes by itself, at the next use of a token.
source takes in a source, or retires one, while the log runs.
erase  deletes sealed values for good: of one entry, of all that a role did, or
       of all entries before a time, and waits until they are gone.
fsck   reads the whole store of a stopped log and hashes everything again.
       Status 0: it is in order; 2: it is damaged, and the lines say what.
export writes a stopped log as files that any web server can serve as a log:
       checkpoint, tiles and entry bundles.
inspect shows where a log stands, one entry, one source, or what was sealed in
       an entry. It verifies nothing: that is vitrine-verifier's.

Options:
  --config FILE    the log-server's configuration
  --name NAME      the token's name: what the log writes down of its holder
  --role ROLE      viewer (search, and entries that are not public), auditor
                   (sealed values), admin (sources, erasure); several with
                   commas. auditor and admin include viewer
  --out DIR        the folder to write to; it must be empty, or not there yet
  --resume         go on with what is in it: an export that was interrupted, or
                   one of the same log when it was smaller
  --checkpoint FILE  export this checkpoint, as it was served, instead of the
                   last one: the store does not keep cosignatures
  --log URL        a log that runs, over HTTP
  --token-file FILE  holds a token: an auditor's for disclosures, an
                   administrator's for source and erase
  --reason TEXT    why; the log writes it down, sealed
  --index N, --login ROLE, --before TIME  what to erase
  --json           print one JSON object
  --expires TIME   when the token ends, such as 2027-01-31 or
                   2027-01-31T18:00:00Z; never, if not said
  -h, --help       print this
`,
  search: `Asks a log for entries by what they say, and lists them, newest first.

Usage: vitrine search --log URL [options]

Options:
  --log URL          where the log is, such as https://log.example/audit
  --token-file FILE  holds a token, where the log wants one for searching

What to find. Each may be repeated for one value or another; with several, an
entry must match all:
  --user LOGIN       the role that logged in, or the identity behind it; of the
                     log's own acts the name of the token
  --identity NAME    who stands behind the login, as it was authenticated
  --claimed NAME     whom the client says that it works for: nobody checked it
  --database NAME
  --table NAME       a table or view, as NAME or SCHEMA.NAME; the latter finds
                     only what names the schema too
  --operation OP     such as select or "create table", or a kind of entry, such
                     as access.refused; in upper or lower case
  --class CLASS      read, write, ddl, role, function, copy, admin, session,
                     unknown
  --outcome OUTCOME  completed, failed, denied, cancelled, unknown
  --rule NAME        the access rule that decided; default where none matched
  --would-deny NAME  the access rule on trial that would have denied it
  --source NAME      the proxy that recorded it
  --session NAME     such as 3.17; unique within its source
  --kind KIND        such as statement or session.start
  --since TIME       from this time on: 2026-11-22, 2026-11-22T18:00Z, or
  --until TIME       before this time: 2026-11-22T18:00:00+01:00

  --limit N          at most the newest N [50]
  --json             print one JSON object, and nothing else
  -h, --help         print this

Without any of these but times, statements and refused connections are listed.

What it prints is the log's word: a log can leave entries out of its answers. To
rely on a hit, prove it (vitrine-verifier prove); to be sure that none is
missing, search with vitrine-verifier audit, which reads every entry.
`,
  reconcile: `Holds what a database says of itself against the log, and reports backends and
statements that did not come through the proxy. It changes nothing.

Usage: vitrine reconcile --log URL --vkey FILE|KEY --database URL [options]

Options:
  --log URL|DIR      the log, or a folder with an exported one. All of it is
                     read and verified
  --vkey FILE|KEY    the log's verifier key, or a file that holds it. Repeatable
  --policy FILE      witnesses that must have cosigned, as vitrine-verifier
                     takes it; with --max-age AGE in seconds
  --state DIR        where the verifier keeps what it verified
  --token FILE|TOKEN for a log whose entries are not public
  --timeout SEC      how long the log may be silent [30]
  --database URL     postgres://USER@HOST:PORT/DATABASE, as a member of
                     pg_read_all_stats. The password is better given in
                     PGPASSWORD or a password file
  --since TIME       everything goes through the proxy since then [the log's
                     first entry]
  --source NAME      count what this proxy recorded, and no other. Repeatable
  --except ROLE      does not come through the proxy, and need not: monitoring,
                     backups, standbys. Repeatable
  --pool ROLE        the proxy itself connects as this role and lends the
                     connections out: its backends are not told apart, what it
                     executed is counted. Repeatable
  --server-log FILE  PostgreSQL's own log, with log_connections or pgaudit:
                     csvlog, jsonlog, or plain with the prefix '%m [%p] ' or
                     '%m [%p] %u@%d '. Repeatable, oldest first
  --skew SEC         how far the clocks may be apart [5]
  --wait SEC         how long what the log lacks may be on its way [10]
  --json             print one JSON object
  -h, --help         print this

Status 0: PASS; 1: FAIL, something went past the proxy, or the log contradicts
itself; 2: NOT PROVEN, something could not be compared.
`,
};
