"""What psycopg 3 sees: one line of JSON a step. Run with the connection in libpq's environment variables."""

import datetime
import decimal
import json
import sys
import threading

import psycopg
from psycopg import sql
from psycopg.rows import dict_row


def show(step, value):
    print(json.dumps([step, value], default=str, sort_keys=True))


def failing(step, work):
    try:
        show(step, work())
    except psycopg.Error as error:
        diag = error.diag
        show(step, [type(error).__name__, diag.sqlstate, diag.message_primary, diag.statement_position, diag.source_function])


def everything(connection):
    one = connection.execute("SELECT 1 AS one, 'two' AS two, NULL AS three, 4.50::numeric AS four")
    show("select", [one.fetchall(), [(c.name, c.type_code, c.internal_size) for c in one.description], one.statusmessage])
    show("types", connection.execute(
        "SELECT %s::int, %s::text, %s::bytea, %s::timestamptz, %s::int[], %s::jsonb, %s::numeric, %s::date, %s::bool",
        [7, "käse\n'\"", b"\x00\xff\x01", datetime.datetime(2026, 1, 2, 3, 4, 5, 678900, datetime.timezone.utc),
         [1, None, 3], json.dumps({"a": [1, 2]}), decimal.Decimal("12.340"), datetime.date(1999, 12, 31), True],
    ).fetchall())
    with connection.cursor(binary=True) as cursor:
        show("binary", cursor.execute("SELECT %s::int8, %s::float8, %s::uuid", [2**40, 0.1, "0f" * 16]).fetchall())
    connection.execute("CREATE TEMP TABLE seen (n int PRIMARY KEY, t text)")
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO seen VALUES (%s, %s)", [(i, f"row {i}") for i in range(300)])
        show("executemany", cursor.rowcount)
        cursor.executemany("UPDATE seen SET t = upper(t) WHERE n = %s RETURNING n", [(1,), (2,), (999,)], returning=True)
        rows = []
        while True:
            rows.append(cursor.fetchall())
            if not cursor.nextset():
                break
        show("executemany returning", rows)
    failing("unique", lambda: connection.execute("INSERT INTO seen VALUES (1, 'again')"))
    failing("syntax", lambda: connection.execute("SELEC 1"))
    failing("division", lambda: connection.execute("SELECT 1 / %s", [0]))
    failing("no such table", lambda: connection.execute("SELECT * FROM nowhere"))
    with connection.transaction():
        connection.execute("DELETE FROM seen WHERE n >= 200")
        try:
            with connection.transaction():
                connection.execute("DELETE FROM seen")
                connection.execute("SELECT 1 / 0")
        except psycopg.Error as error:
            show("inner", error.sqlstate)
        show("after savepoint", connection.execute("SELECT count(*) FROM seen").fetchone())
    try:
        with connection.transaction():
            connection.execute("DELETE FROM seen")
            raise psycopg.Rollback()
    except psycopg.Error as error:
        show("rollback", error.sqlstate)
    show("after rollback", connection.execute("SELECT count(*) FROM seen").fetchone())
    for i in range(8):
        connection.execute("SELECT t FROM seen WHERE n = %s", [i], prepare=True)
    show("prepared", connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone())
    with connection.pipeline() as pipeline:
        first = connection.execute("SELECT %s::text", ["in a pipeline"])
        second = connection.execute("SELECT n FROM seen WHERE n < %s ORDER BY n", [4])
        pipeline.sync()
        show("pipeline", [first.fetchone(), second.fetchall()])

    def broken():
        with connection.pipeline():
            connection.execute("INSERT INTO seen VALUES (500, 'kept?')")
            connection.execute("SELECT 1 / 0")
            connection.execute("INSERT INTO seen VALUES (501, 'kept?')")

    failing("broken pipeline", broken)
    show("after pipeline", connection.execute("SELECT count(*) FROM seen WHERE n >= 500").fetchone())
    with connection.transaction(), connection.cursor(name="by_name") as cursor:
        cursor.execute("SELECT n FROM seen ORDER BY n")
        show("server cursor", [cursor.fetchmany(3), cursor.fetchone(), len(cursor.fetchall())])
    with connection.cursor() as cursor:
        with cursor.copy("COPY seen (n, t) FROM STDIN") as copy:
            for i in range(1000, 3000):
                copy.write_row((i, "copied\t" + "x" * (i % 100)))
        show("copy in", [cursor.rowcount, cursor.statusmessage])
        with cursor.copy("COPY (SELECT * FROM seen ORDER BY n) TO STDOUT (FORMAT BINARY)") as copy:
            copy.set_types(["int4", "text"])
            rows = list(copy.rows())
        show("copy out", [len(rows), rows[-1]])

        def failed_copy():
            with cursor.copy("COPY seen FROM STDIN") as copy:
                copy.write("not a number\tx\n")

        failing("copy of nonsense", failed_copy)

        def given_up():
            with cursor.copy("COPY seen FROM STDIN") as copy:
                copy.write("1\tx\n")
                raise KeyError("the client gives up")

        try:
            given_up()
        except KeyError as error:
            show("copy given up", str(error))
    notices = []
    connection.add_notice_handler(lambda diag: notices.append([diag.severity, diag.message_primary]))
    connection.execute("DO $$ BEGIN RAISE NOTICE 'look'; RAISE WARNING 'here'; END $$")
    show("notices", notices)
    connection.execute("LISTEN channel")
    connection.execute("NOTIFY channel, 'payload'")
    show("notification", [(n.channel, n.payload) for n in connection.notifies(timeout=5, stop_after=1)])
    over = threading.Event()

    def cancel():
        # Again until it is heard: it may come before the statement.
        while not over.wait(0.3):
            connection.cancel_safe()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    failing("cancel", lambda: connection.execute("SELECT pg_sleep(20)"))
    over.set()
    canceller.join()
    connection.execute("SET DateStyle TO 'SQL, DMY'; SET TimeZone TO 'Asia/Kathmandu'")
    show("settings", [connection.info.parameter_status(n) for n in ("DateStyle", "TimeZone", "client_encoding")])
    connection.execute("RESET ALL")
    show("several", [connection.execute("SELECT 1; SELECT 2, 3; CREATE TEMP TABLE x (a int)").statusmessage])
    with connection.cursor(row_factory=dict_row) as cursor:
        show("names", cursor.execute(sql.SQL("SELECT 1 AS {}").format(sql.Identifier('odd "name"'))).fetchall())
    failing("two phases", lambda: (connection.execute("BEGIN"), connection.execute("PREPARE TRANSACTION 'x'")))
    connection.execute("ROLLBACK")
    with connection.transaction():
        oid = connection.execute("SELECT lo_from_bytea(0, %s)", [b"large" * 5000]).fetchone()[0]
        show("large object", connection.execute("SELECT length(lo_get(%s)), lo_unlink(%s)", [oid, oid]).fetchall())
    show("status", [connection.info.transaction_status.name, connection.info.server_version // 10000])


with psycopg.connect(autocommit=True) as main:
    everything(main)
with psycopg.connect() as implicit:
    implicit.execute("CREATE TEMP TABLE gone (a int)")
    implicit.rollback()
    failing("implicit transaction", lambda: implicit.execute("SELECT * FROM gone"))
try:
    psycopg.connect(password="not this one")
except psycopg.OperationalError as error:
    show("wrong password", "password authentication failed" in str(error))
print("libpq", psycopg.pq.version(), file=sys.stderr)
