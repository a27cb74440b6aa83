/** `vitrine-verifier witness --help`. */
export const witnessHelp = `Runs a witness (C2SP tlog-witness): a server that cosigns the checkpoints of the
logs it is told of, after checking that each continues the one it cosigned last.
Who demands its cosignature cannot be shown two different logs. It runs until it
is stopped; it needs no database, and a witness of one log needs no more than:

  vitrine-verifier witness --name witness.example/w1 --log VKEY

Usage: vitrine-verifier witness [--config FILE] [options]

Options:
  --config FILE    read what follows from a file: a line for each, with the name
                   without dashes and the value, such as "listen 0.0.0.0:7380".
                   The command line goes before it; logs of both count
  --name NAME      the witness's name, such as witness.example/w1. Needed at the
                   first start, which makes its key
  --log VKEY       the verifier key of a log to cosign for. Repeatable; several
                   keys of one name are several keys of one log
  --logs FILE      a list of logs (C2SP tlog-list, "logs/v0"), or verifier keys,
                   one a line. Repeatable. Read again at SIGHUP
  --listen HOST:PORT  where it is asked [127.0.0.1:7380]
  --prefix PATH    serve everything below this path, such as /w1
  --url URL        where logs reach it, for the policy line that is printed
  --state DIR      its folder: what it has cosigned, and its key
                   [$XDG_STATE_HOME/vitrine-verifier/witness, else
                   ~/.local/state/vitrine-verifier/witness]
  --key FILE       its key [witness.key in that folder]
  --fresh          begin with no state although the key is there: only for a key
                   that has never cosigned anything
  -h, --help       print this

It prints its verifier key, and a line for the policy file of whoever relies on
it. Never restore its folder from a copy that may be older than its last answer:
it would cosign again what it cosigned differently before, and nothing in the
copy can tell. Begin with a new name and key instead.

It speaks HTTP. For HTTPS put a server in front that does, and hand on the path.

  POST add-checkpoint                      a log asks for a cosignature
  GET  SHA-256(origin) in hex/checkpoint   the latest that was cosigned
  GET  /, /healthz, /metrics               a page, health, and Prometheus

Example:
  vitrine-verifier witness --name witness.example/w1 --listen 0.0.0.0:7380 \\
    --state /var/lib/witness --logs /etc/witness/logs \\
    --url https://witness.example
`;
