// What pgx sees: one line a step. The connection stands in libpq's environment variables.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var ctx = context.Background()

func show(step string, values ...any) { fmt.Println(step, values) }

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func fault(err error) any {
	var told *pgconn.PgError
	if errors.As(err, &told) {
		return []any{told.Code, told.Message, told.Position}
	}
	return err
}

func everything(conn *pgx.Conn, mode pgx.QueryExecMode) {
	show("mode", mode)
	var a int
	var b string
	var c *string
	var d []int32
	row := conn.QueryRow(ctx, "SELECT $1::int, $2::text, NULL::text, $3::int[]", mode, 7, "käse\n'", []int32{1, 2, 3})
	must(row.Scan(&a, &b, &c, &d))
	show("types", a, b, c, d)
	_, err := conn.Exec(ctx, "CREATE TEMP TABLE seen (n int PRIMARY KEY, t text)", mode)
	must(err)
	tag, err := conn.Exec(ctx, "INSERT INTO seen SELECT i, 'row ' || i FROM generate_series(1, $1::int) AS i", mode, 300)
	show("insert", tag, fault(err))
	rows, err := conn.Query(ctx, "SELECT n FROM seen WHERE n < $1 ORDER BY n", mode, 5)
	must(err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[int])
	show("rows", all, fault(err))
	_, err = conn.Exec(ctx, "INSERT INTO seen VALUES ($1, 'again')", mode, 1)
	show("unique", fault(err))
	_, err = conn.Exec(ctx, "SELEC 1", mode)
	show("syntax", fault(err))
	batch := &pgx.Batch{}
	for i := 0; i < 50; i++ {
		batch.Queue("SELECT $1::int + n FROM seen WHERE n = $2", i, i+1)
	}
	results := conn.SendBatch(ctx, batch)
	sum := 0
	for i := 0; i < 50; i++ {
		var n int
		must(results.QueryRow().Scan(&n))
		sum += n
	}
	must(results.Close())
	show("batch", sum)
	batch = &pgx.Batch{}
	batch.Queue("INSERT INTO seen VALUES (500, 'x')")
	batch.Queue("INSERT INTO seen VALUES (1, 'again')")
	batch.Queue("INSERT INTO seen VALUES (501, 'x')")
	show("broken batch", fault(conn.SendBatch(ctx, batch).Close()))
	var kept int
	must(conn.QueryRow(ctx, "SELECT count(*) FROM seen WHERE n >= 500").Scan(&kept))
	show("kept", kept)
	tx, err := conn.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "DELETE FROM seen", mode)
	must(err)
	inner, err := tx.Begin(ctx)
	must(err)
	_, err = inner.Exec(ctx, "SELECT 1 / 0", mode)
	show("inner", fault(err))
	must(inner.Rollback(ctx))
	must(tx.Rollback(ctx))
	count, err := conn.CopyFrom(ctx, pgx.Identifier{"seen"}, []string{"n", "t"}, pgx.CopyFromSlice(5000, func(i int) ([]any, error) {
		return []any{i + 1000, strings.Repeat("y", i%90)}, nil
	}))
	show("copy in", count, fault(err))
	var out strings.Builder
	tag, err = conn.PgConn().CopyTo(ctx, &out, "COPY (SELECT * FROM seen ORDER BY n) TO STDOUT")
	show("copy out", tag, out.Len(), fault(err))
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	_, err = conn.Exec(short, "SELECT pg_sleep(20)", mode)
	show("timeout", err != nil, conn.IsClosed())
}

func main() {
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		conn, err := pgx.Connect(ctx, "")
		must(err)
		everything(conn, mode)
		conn.Close(ctx)
	}
	conn, err := pgx.Connect(ctx, "")
	must(err)
	_, err = conn.Exec(ctx, "LISTEN channel")
	must(err)
	_, err = conn.Exec(ctx, "NOTIFY channel, 'payload'")
	must(err)
	heard, err := conn.WaitForNotification(ctx)
	must(err)
	show("notification", heard.Channel, heard.Payload)
	// A pipeline by hand: results come in the order of asking, and an error skips up to the next Sync.
	pipeline := conn.PgConn().StartPipeline(ctx)
	for _, text := range []string{"SELECT 1", "SELECT 1 / 0", "SELECT 2"} {
		pipeline.SendQueryParams(text, nil, nil, nil, nil)
	}
	must(pipeline.Sync())
	pipeline.SendQueryParams("SELECT 3", nil, nil, nil, nil)
	must(pipeline.Sync())
	for {
		results, err := pipeline.GetResults()
		if err != nil {
			show("pipeline", fault(err))
			continue
		}
		if results == nil {
			break
		}
		switch each := results.(type) {
		case *pgconn.ResultReader:
			read := each.Read()
			show("pipeline", read.CommandTag, fault(read.Err))
		default:
			show("pipeline", fmt.Sprintf("%T", each))
		}
	}
	must(pipeline.Close())
	conn.Close(ctx)
}
