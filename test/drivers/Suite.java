// What the JDBC driver sees: one line a step. Arguments: URL, user, password.
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.sql.*;
import java.util.*;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

public class Suite {
  interface Work { Object run() throws Exception; }

  static void show(String step, Object value) { System.out.println(step + "\t" + value); }

  static void failing(String step, Work work) throws Exception {
    try { show(step, work.run()); }
    catch (SQLException error) { show(step, error.getSQLState() + " " + error.getMessage().replace('\n', ' ')); }
  }

  static List<String> rows(ResultSet set) throws SQLException {
    List<String> all = new ArrayList<>();
    int columns = set.getMetaData().getColumnCount();
    while (set.next()) {
      StringJoiner row = new StringJoiner("|");
      for (int i = 1; i <= columns; i++) row.add(String.valueOf(set.getObject(i)));
      all.add(row.toString());
    }
    return all;
  }

  public static void main(String[] args) throws Exception {
    for (String mode : new String[] {"simple", "extended", "extendedForPrepared", "extendedCacheEverything"}) {
      Properties properties = new Properties();
      properties.setProperty("user", args[1]);
      properties.setProperty("password", args[2]);
      properties.setProperty("preferQueryMode", mode);
      properties.setProperty("prepareThreshold", "2");
      show("mode", mode);
      try (Connection c = DriverManager.getConnection(args[0], properties)) { everything(c, mode); }
    }
  }

  static void everything(Connection c, String mode) throws Exception {
    show("version", c.getMetaData().getDatabaseMajorVersion());
    try (Statement s = c.createStatement()) {
      show("select", rows(s.executeQuery("SELECT 1 AS one, 'two', NULL, 4.50::numeric, ARRAY[1,2]")));
      s.execute("CREATE TEMP TABLE seen (n int PRIMARY KEY, t text, id serial)");
      s.execute("SELECT 1; SELECT 2, 3; UPDATE seen SET t = 'x'");
      show("several", rows(s.getResultSet()) + " " + s.getMoreResults() + " " + rows(s.getResultSet()) + " " + s.getMoreResults() + " " + s.getUpdateCount());
    }
    try (PreparedStatement p = c.prepareStatement("INSERT INTO seen (n, t) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
      for (int i = 0; i < 300; i++) { p.setInt(1, i); p.setString(2, "row " + i); p.addBatch(); }
      show("batch", Arrays.stream(p.executeBatch()).sum());
      List<String> keys = rows(p.getGeneratedKeys());
      show("keys", keys.size() + " " + keys.get(keys.size() - 1));
    }
    for (int i = 0; i < 6; i++) {
      final int n = i;
      try (PreparedStatement p = c.prepareStatement("SELECT n, t, ?::numeric, ?::timestamptz, ?::bytea FROM seen WHERE n = ?")) {
        p.setBigDecimal(1, new BigDecimal("1.50"));
        p.setTimestamp(2, Timestamp.from(java.time.Instant.parse("2026-01-02T03:04:05.678Z")));
        p.setBytes(3, new byte[] {0, 1, (byte) 255});
        p.setInt(4, n);
        ResultSet set = p.executeQuery();
        set.next();
        show("prepared", set.getInt(1) + set.getString(2) + set.getBigDecimal(3) + set.getTimestamp(4).toInstant() + Arrays.toString(set.getBytes(5)));
      }
    }
    failing("unique", () -> { try (Statement s = c.createStatement()) { return s.executeUpdate("INSERT INTO seen VALUES (1)"); } });
    failing("syntax", () -> { try (Statement s = c.createStatement()) { return s.executeUpdate("SELEC 1"); } });
    failing("broken batch", () -> {
      try (PreparedStatement p = c.prepareStatement("INSERT INTO seen (n) VALUES (?)")) {
        for (int n : new int[] {600, 601, 1, 602}) { p.setInt(1, n); p.addBatch(); }
        return Arrays.toString(p.executeBatch());
      } catch (BatchUpdateException error) { return error.getSQLState() + " " + Arrays.toString(error.getUpdateCounts()); }
    });
    c.setAutoCommit(false);
    try (Statement s = c.createStatement()) {
      s.setFetchSize(7);
      ResultSet set = s.executeQuery("SELECT n FROM seen WHERE n < 300 ORDER BY n");
      int sum = 0;
      while (set.next()) sum += set.getInt(1);
      show("fetch size", sum);
      Savepoint before = c.setSavepoint("before");
      failing("in a transaction", () -> s.executeUpdate("SELECT 1 / 0"));
      failing("aborted", () -> s.executeUpdate("DELETE FROM seen"));
      c.rollback(before);
      show("after savepoint", rows(s.executeQuery("SELECT count(*) FROM seen WHERE n < 300")));
    }
    c.rollback();
    c.setAutoCommit(true);
    CopyManager copy = c.unwrap(PGConnection.class).getCopyAPI();
    StringBuilder text = new StringBuilder();
    for (int i = 1000; i < 3000; i++) text.append(i).append("\tcopied\t").append(i).append('\n');
    failing("copy in", () -> copy.copyIn("COPY seen FROM STDIN", new ByteArrayInputStream(text.toString().getBytes(StandardCharsets.UTF_8))));
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    failing("copy out", () -> copy.copyOut("COPY (SELECT * FROM seen WHERE n >= 1000 ORDER BY n) TO STDOUT", out) + " " + out.size());
    failing("copy of nonsense", () -> copy.copyIn("COPY seen FROM STDIN", new ByteArrayInputStream("x\n".getBytes())));
    failing("timeout", () -> { try (Statement s = c.createStatement()) { s.setQueryTimeout(1); return s.execute("SELECT pg_sleep(20)"); } });
    failing("cancel", () -> {
      try (Statement s = c.createStatement()) {
        // Again until it is heard: it may come before the statement.
        CountDownLatch over = new CountDownLatch(1);
        Thread other = new Thread(() -> { try { while (!over.await(300, TimeUnit.MILLISECONDS)) s.cancel(); } catch (Exception error) { show("cancel fails", error); } });
        other.start();
        try { return s.execute("SELECT pg_sleep(20)"); } finally { over.countDown(); other.join(); }
      }
    });
    try (Statement s = c.createStatement()) {
      s.execute("LISTEN channel; NOTIFY channel, 'payload'");
      show("notification", c.unwrap(PGConnection.class).getNotifications(5000)[0].getParameter());
      s.execute("DO $$ BEGIN RAISE WARNING 'here'; END $$");
      show("warning", s.getWarnings().getMessage());
    }
    show("tables", rows(c.getMetaData().getTables(null, "pg_catalog", "pg_cl%", null)).size());
    show("valid", c.isValid(5));
    c.setReadOnly(true);
    c.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
    failing("read only", () -> { c.setAutoCommit(false); try (Statement s = c.createStatement()) { return s.executeUpdate("CREATE TABLE never (a int)"); } finally { c.rollback(); c.setAutoCommit(true); } });
    failing("call", () -> {
      try (CallableStatement call = c.prepareCall("{? = call upper(?)}")) {
        call.registerOutParameter(1, Types.VARCHAR);
        call.setString(2, "called");
        call.execute();
        return call.getString(1);
      }
    });
  }
}
