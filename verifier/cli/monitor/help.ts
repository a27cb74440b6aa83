export const monitorHelp = `Follows one or several logs for good: each new checkpoint is verified, held
against the one before and against what others see, and the entries that are new
are audited. What goes wrong is told once when it begins and once when it is
over.

Usage: vitrine-verifier monitor --log URL --vkey FILE|KEY [options]
       vitrine-verifier monitor --config FILE [--once] [--json]

Options:
  --log URL|DIR    where the log is read
  --vkey FILE|KEY  the log's verifier key, or a file that holds it; while the
                   log changes its key, both
  --policy FILE    the witnesses that must have cosigned (a C2SP tlog-policy)
  --max-age AGE    cosignatures older than this do not count: 90 (seconds), 15m,
                   24h, 7d
  --source FILE|KEY  the verifier key of a source. Repeatable
  --token FILE|TOKEN  for a log that gives entries to holders of a token alone:
                   the token, or a file that holds it
  --acknowledged FILE  findings that somebody has looked into, as for audit
  --view URL|DIR|FILE  what a mirror or witness shows of the log, as "compare"
                   takes it: held against the log in each round. Repeatable
  --interval SEC   between two rounds [10], a tenth more or less
  --stale-after SEC  a log that shows no larger tree for so long is stale; so is
                   a view that does not follow, or a log that does not show what
                   a view has shown [300]
  --unreachable-after SEC  so long may the log, or a view, not answer [60]
  --seal-slack SEC  how much later than the source promised a seal may come [30]
  --cosignature-after SEC  so long may no checkpoint have the cosignatures that
                   the policy demands: they come a little later [60]
  --timeout SEC    give up when the log is silent for so long [20]
  --state DIR      where is kept what was verified, as for audit, and which
                   alerts are open [$XDG_STATE_HOME/vitrine-verifier, else
                   ~/.local/state/vitrine-verifier]
  --status FILE    after each round, how all logs stand, as JSON
  --webhook URL    post each alert there too, as JSON
  --config FILE    the same for several logs, as JSON: see the manual
  --once           one round, for cron: the exit status says how things stand
  --json           each alert as a line of JSON instead of a line of text
  -h, --help       print this

Without --once it runs until SIGTERM or SIGINT. Either way the exit status is
that of the worst that is open: 1 when something contradicts, 69 when a log did
not answer in the last round, 2 when something is missing or late, else 0; 3
when all that is open is acknowledged.

Example:
  vitrine-verifier monitor --log https://log.example/audit --vkey log.vkey \\
    --view https://witness.example --status /run/vitrine-monitor.json
`;
