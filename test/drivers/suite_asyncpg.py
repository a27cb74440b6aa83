"""What asyncpg sees: one line of JSON a step. Run with the connection in libpq's environment variables."""

import asyncio
import datetime
import json
import os

import asyncpg


def show(step, value):
    print(json.dumps([step, value], default=str, sort_keys=True))


async def failing(step, work):
    try:
        show(step, await work)
    except asyncpg.PostgresError as error:
        show(step, [type(error).__name__, error.sqlstate, error.message])


async def main():
    connection = await asyncpg.connect(ssl=os.environ["PGSSLMODE"])
    show("settings", connection.get_settings().server_encoding)
    show("select", [tuple(row) for row in await connection.fetch("SELECT 1 AS a, 'b' AS b, NULL AS c, 1.50::numeric")])
    show("types", tuple(await connection.fetchrow(
        "SELECT $1::int, $2::text, $3::bytea, $4::timestamptz, $5::int[], $6::jsonb, $7::interval, $8::uuid",
        7, "käse", b"\x00\xff", datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc), [1, None, 3],
        '{"a": 1}', datetime.timedelta(days=1, seconds=2), "0f" * 16,
    )))
    show("script", await connection.execute("CREATE TEMP TABLE seen (n int PRIMARY KEY, t text); INSERT INTO seen VALUES (0, 'zero')"))
    await connection.executemany("INSERT INTO seen VALUES ($1, $2)", [(i, f"row {i}") for i in range(1, 300)])
    show("executemany", await connection.fetchval("SELECT count(*) FROM seen"))
    statement = await connection.prepare("SELECT n, t FROM seen WHERE n = ANY($1::int[]) ORDER BY n")
    show("prepared", [[tuple(r) for r in await statement.fetch([1, 2, n])] for n in range(3, 8)])
    show("described", [[(p.name, p.kind) for p in statement.get_parameters()], [(a.name, a.type.name) for a in statement.get_attributes()]])
    async with connection.transaction():
        cursor = await connection.cursor("SELECT n FROM seen ORDER BY n")
        show("cursor", [[r["n"] for r in await cursor.fetch(3)], await cursor.forward(10), [r["n"] for r in await cursor.fetch(2)]])
        show("iterated", [r["n"] async for r in connection.cursor("SELECT n FROM seen ORDER BY n DESC", prefetch=50)][:5])
    await failing("unique", connection.execute("INSERT INTO seen VALUES (1, 'again')"))
    await failing("syntax", connection.fetch("SELEC $1", 1))
    await failing("division", connection.fetchval("SELECT 1 / $1::int", 0))
    await failing("executemany fails", connection.executemany("INSERT INTO seen VALUES ($1, 'x')", [(400,), (401,), (1,)]))
    show("as one", await connection.fetchval("SELECT count(*) FROM seen WHERE n >= 400"))
    try:
        async with connection.transaction():
            await connection.execute("DELETE FROM seen")
            async with connection.transaction():
                await connection.execute("INSERT INTO seen VALUES (1, 'x')")
            raise KeyError
    except KeyError:
        show("rolled back", await connection.fetchval("SELECT count(*) FROM seen"))
    show("copy in", await connection.copy_records_to_table("seen", records=[(i, "y" * 50) for i in range(1000, 4000)]))
    pieces = []

    async def keep(data):
        pieces.append(len(data))

    show("copy out", [await connection.copy_from_query("SELECT * FROM seen ORDER BY n", output=keep), sum(pieces)])
    heard = asyncio.get_running_loop().create_future()
    await connection.add_listener("channel", lambda c, pid, channel, payload: heard.done() or heard.set_result([channel, payload]))
    await connection.execute("NOTIFY channel, 'payload'")
    show("notification", await asyncio.wait_for(heard, 10))
    try:
        await connection.execute("SELECT pg_sleep(20)", timeout=0.3)
    except asyncio.TimeoutError:
        show("timeout", await connection.fetchval("SELECT 'goes on'"))
    logs = []
    connection.add_log_listener(lambda c, message: logs.append([message.severity, message.message]))
    await connection.execute("DO $$ BEGIN RAISE NOTICE 'look'; END $$")
    show("notices", logs)
    await connection.execute("DROP TABLE seen; CREATE TEMP TABLE seen (n text, extra int)")
    await failing("changed under a statement", connection.fetch("SELECT * FROM seen"))
    await connection.execute("SET search_path TO pg_catalog")
    await connection.reset()
    show("reset", await connection.fetchval("SHOW search_path"))
    await connection.close()
    pool = await asyncpg.create_pool(ssl=os.environ["PGSSLMODE"], min_size=4, max_size=4)
    async with pool:
        values = await asyncio.gather(*(pool.fetchval("SELECT $1::int * 2", i) for i in range(200)))
        show("pool", sum(values))


asyncio.run(main())
