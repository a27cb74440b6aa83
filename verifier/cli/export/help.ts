export const exportHelp = `Brings the entries of a log to a SIEM as it grows: as OCSF events in JSON lines,
or as OpenTelemetry log records to a collector. Each entry is shown to be in the
tree that the log has signed before it is passed on. At least once: after a
crash rows come again, and none is ever left out.

Usage: vitrine-verifier export --log URL --vkey FILE|KEY --format ocsf|otlp
                               [options]

Options:
  --log URL|DIR    where the log is read
  --vkey FILE|KEY  the log's verifier key, or a file that holds it; while the
                   log changes its key, both
  --policy FILE    the witnesses that must have cosigned (a C2SP tlog-policy)
                   before anything is passed on
  --max-age AGE    cosignatures older than this do not count: 90 (seconds), 15m,
                   24h, 7d
  --format ocsf    OCSF 1.8.0 events, one a line
    --output FILE  append to this file [standard output]
    --rotate SIZE  put the file away when it has so many bytes, as FILE.<index
                   of the next entry> [256M]
    --raw          each event has the entry's own text as raw_data
  --format otlp    OTLP over HTTP, in JSON
    --endpoint URL the collector; the records go to URL/v1/logs
    --headers FILE headers to send along, one "name: value" a line
  --position FILE  how far it came [FILE.position beside --output FILE; else
                   needed]
  --from INDEX     where to begin when there is no position yet [0]
  --since TIME     the same: with the first entry of this time or later, such as
                   2026-11-22 or 2026-11-22T18:00:00.5+01:00
  --once           end when all that is signed now is exported
  --follow         go on until SIGTERM or SIGINT (the default)
  --interval SEC   between two looks at the log [2]
  --max-row SIZE   a row that would be longer goes without disclosures [1M]
  --token FILE|TOKEN  for a log that gives entries to holders of a token alone:
                   the token, or a file that holds it
  --reason TEXT    with the --token of an auditor: rows then have the values
                   that are sealed in the entries. The log records each of these
                   readings, and this reason for it
  --state DIR      where the last verified checkpoint is kept, as for audit
                   [$XDG_STATE_HOME/vitrine-verifier, else
                   ~/.local/state/vitrine-verifier]
  --timeout SEC    give up when the log or the collector is silent for so long
                   [20]
  -h, --help       print this

Example:
  vitrine-verifier export --log https://log.example/audit --vkey log.vkey \\
    --format ocsf --output /var/log/vitrine/ocsf.jsonl
  vitrine-verifier export --log https://log.example/audit --vkey log.vkey \\
    --format otlp --endpoint http://localhost:4318 --position otlp.position
`;
