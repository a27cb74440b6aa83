import { exportHelp } from "./export/help.ts";
import { monitorHelp } from "./monitor/help.ts";
import { witnessHelp } from "./witness/help.ts";

export const commandNames = ["head", "audit", "prove", "verify", "compare", "monitor", "witness", "export"] as const;
export type CommandName = (typeof commandNames)[number];

export const generalHelp = `vitrine-verifier: checks a Vitrine log and its evidence, trusting nobody but the
key that it is given

Usage:
  vitrine-verifier head      is the log's head signed, and does it continue the
                             one seen last?
  vitrine-verifier audit     read the entries: are they all there, unchanged, in
                             order? And list them
  vitrine-verifier prove     make an evidence bundle of one entry
  vitrine-verifier verify    check an evidence bundle, offline
  vitrine-verifier compare   are log, mirrors and witnesses shown one and the
                             same tree?
  vitrine-verifier monitor   follow the log for good, and tell what is wrong
                             when it begins
  vitrine-verifier export    bring the signed entries to a SIEM, as they come
  vitrine-verifier witness   cosign the checkpoints of logs, as a server that
                             others rely on
  vitrine-verifier COMMAND --help    more about one command

To begin with: vitrine-verifier audit --log URL --vkey KEY

Options:
  -h, --help     print this
  -V, --version  print the version

KEY is the log's verifier key, or a file that holds it. Have it from somebody
you trust, by another way than from the log itself.

The verdict is the last word of every command, and its exit status:
  0  PASS         everything that the command checks was established
  1  FAIL         something contradicts
  2  NOT PROVEN   nothing contradicts, but something could not be established
  3  one of these two, and somebody has looked into all that was found
  64 usage: the command line, a key or a file given to it is wrong
  69 the log did not answer, so there is no verdict
The witness gives no verdict; its other ends are in the manual.
`;

const trusting = `  --vkey FILE|KEY  the log's verifier key, or a file that holds it; while the
                   log changes its key, both: all that are given must have
                   signed
  --policy FILE    the witnesses that must have cosigned (a C2SP tlog-policy);
                   if it names exactly one log, --vkey can be left out
  --max-age AGE    cosignatures older than this do not count: 90 (seconds), 15m,
                   24h, 7d`;

const whereLog = `  --log URL|DIR    where the log is read, such as https://log.example/audit; or
                   a folder with a log exported as files, or its file:// URL`;

const keeping = `  --state DIR      where the last verified checkpoint is kept, and how far the
                   log was audited [$XDG_STATE_HOME/vitrine-verifier, else
                   ~/.local/state/vitrine-verifier]
  --timeout SEC    give up when the log is silent for so long [20]; a single
                   answer may take ten times as long`;

const reading = `${whereLog}
${trusting}
${keeping}`;

const entering = `  --token FILE|TOKEN  for a log that gives entries to holders of a token alone:
                   the token, or a file that holds it. Other users of this
                   machine can read a command line, so prefer a file`;

const ending = `  --json           print one JSON object, and nothing else, to standard output
  -h, --help       print this`;

export const commandHelp: Readonly<Record<CommandName, string>> = {
  head: `Fetches the log's checkpoint, verifies its signature, and demands that its tree
continues the one verified last. The entries are not read: audit does that.

Usage: vitrine-verifier head --log URL --vkey FILE|KEY [options]

Options:
${reading}
${ending}

When the log shows a tree that is smaller than, or different from, the one kept,
both signed checkpoints are kept in the state folder, in a file that is named in
the report: together they are evidence against the log's key. The one kept
before stays the one to compare with.

Example:
  vitrine-verifier head --log https://log.example/audit --vkey log.vkey
`,
  audit: `Reads all entries that were not audited before, verifies them, and lists those
that match. Verified are the tree under the signed checkpoint, the form of each
entry, each source's sequence, chain and seals, and each session's totals.

Usage: vitrine-verifier audit --log URL --vkey FILE|KEY [options]

Options:
${reading}
${entering}
  --all            read from entry 0, whatever was audited before
  --source FILE|KEY  the verifier key of a source. Without it, a source's key is
                   the one that its first entry names. Repeatable
  --acknowledged FILE  findings that somebody has looked into: they are shown
                   with what was said of them, and where there are no others,
                   the exit status is 3. The verdict stays what it is
  --wait SEC       how long to wait for seals of entries that have none yet: a
                   source seals within seconds [15; 0 for a folder]
  --entries any    the log is not one of Vitrine's: its entries may be of any
                   bytes. Checked are the signed head, that it continues the
                   last one, and that the entries are the signed ones; not what
                   they hold

What to list (with several, entries that match all):
  --user LOGIN     the role that logged in
  --identity NAME  who stands behind the login, as it was authenticated
  --claimed NAME   whom the client says that it works for: nobody checked it
  --database NAME
  --table NAME     a table or view, as NAME or SCHEMA.NAME; the latter lists
                   only what names the schema too. What may have reached it
                   otherwise is counted
  --operation OP   such as select or "create table", or a kind of entry, such as
                   access.refused; in upper or lower case
  --since TIME     from this time on: 2026-11-22, 2026-11-22T18:00Z, or
  --until TIME     before this time: 2026-11-22T18:00:00.5+01:00. UTC if not
                   said
  --limit N        at most the newest N [50; with --all or one of the above
                   10000]
${ending}

Without any of these but times, statements and refused connections are listed. A
filter changes what is listed, never what is verified.
A later audit carries on where the last one ended, unless that one failed, and
lists what is new; --all reads and lists everything.

Example:
  vitrine-verifier audit --log https://log.example/audit --vkey log.vkey \\
    --all --table accounts --operation update --since 2026-11-01
`,
  prove: `Makes an evidence bundle: one entry, the proof that it is in the signed tree,
and, with a token, the values that are sealed in it. Whoever has the log's key
can check the bundle offline with "vitrine-verifier verify". Everything is
verified before anything is written.

Usage: vitrine-verifier prove --log URL --vkey FILE|KEY --index N [options]

Options:
  --index N        the entry's index
  -o, --output FILE  where the bundle goes [standard output]
  --reason TEXT    why the sealed values are read, with the --token of an
                   auditor: the bundle then discloses them. The log makes an
                   entry of each reading, with the token's name and the reason
${reading}
${entering}
${ending}

Example:
  vitrine-verifier prove --log https://log.example/audit --vkey log.vkey \\
    --index 4711 --token auditor.token --reason "case 12/2026" -o evidence.json
`,
  verify: `Checks an evidence bundle, offline: its form (B1), the signed checkpoint (B2),
its witnesses (W, with --policy), the way from the entry to the signed root
(B3), the entry (B4), and the disclosed values (B5).

Usage: vitrine-verifier verify FILE --vkey FILE|KEY [options]

FILE is the bundle; "-" reads standard input.

Options:
${trusting}
  --entry FILE     FILE is a bare C2SP tlog-proof, and this file is the entry,
                   byte for byte: B1 to B3, of any log. What the entry says is
                   not looked at
  --checkpoint     FILE is a checkpoint that was saved: its origin and
                   signatures (C1 to C5) and its witnesses (W); no entry is
                   proven by it
  --log URL|DIR    FILE is the record that a source keeps of what it submitted:
                   does this log hold all of it, unchanged, where it
                   acknowledged it (R1 to R10)? Reads the log; with --source,
                   --token, --state and --timeout as for audit
  --receipt        FILE is a receipt, what SHOW vitrine.receipt returned to a
                   client: does the log that --log names hold that entry,
                   unchanged (Q1 to Q7)? With --source: is it that source's
${ending}

Example:
  vitrine-verifier verify evidence.json --vkey log.vkey
  vitrine-verifier verify submitted --vkey log.vkey \\
    --log https://log.example/audit
  vitrine-verifier verify receipt.json --receipt --vkey log.vkey \\
    --log https://log.example/audit --source proxy.vkey
  vitrine-verifier verify 17.tlog-proof --entry 17.json --policy our.policy
`,
  compare: `Compares what the log, its mirrors and its witnesses show, and what was kept
here: whether each is a checkpoint signed by the log's key, and all are of one
history. Run it from another network than the log's, or with notes that others
sent you.

Usage: vitrine-verifier compare VIEW... --vkey FILE|KEY [options]

VIEW is the URL of a log or mirror; the URL of a witness, or a mirror of several
logs, where the log is found under the SHA-256 of its origin; a folder of either
kind; or a file with a signed checkpoint ("-" for standard input). The tiles for
the comparison are taken from any of the views that has them.

Options:
  --log URL|DIR    one more VIEW, the first
  --vkey FILE|KEY  the log's verifier key, or a file that holds it
${keeping}
${ending}

Two signed checkpoints that cannot be of one history are kept in the state
folder, as evidence against the log's key. The state is not advanced.

Example:
  vitrine-verifier compare --log https://log.example/audit --vkey log.vkey \\
    https://mirror.example/logs https://witness.example checkpoint.from.a.friend
`,
  monitor: monitorHelp,
  witness: witnessHelp,
  export: exportHelp,
};
