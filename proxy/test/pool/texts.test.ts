// What is remembered of prepared statements has bounds, by number and by bytes.
import t from "tap";
import { PreparedTexts } from "../../src/pool/texts.ts";

t.test("equal texts are one, until a definition changes", async (t) => {
  const texts = new PreparedTexts();
  const one = texts.of(Buffer.from("SELECT 1\0\0\0"));
  t.equal(texts.of(Buffer.from("SELECT 1\0\0\0")), one);
  t.not(texts.of(Buffer.from("SELECT 1\0\0\x01aaaa")), one, "other parameter types");
  texts.forget();
  const again = texts.of(Buffer.from("SELECT 1\0\0\0"));
  t.not(again, one);
  t.not(again.serverName, one.serverName);
  t.not(
    new PreparedTexts().of(Buffer.from("x")).serverName,
    texts.of(Buffer.from("x")).serverName,
    "not to be guessed",
  );
});

t.test("the oldest are forgotten", async (t) => {
  const texts = new PreparedTexts();
  const first = texts.of(Buffer.from("first"));
  for (let i = 0; i < 10_000; i += 1) texts.of(Buffer.from(`SELECT ${i}`));
  t.not(texts.of(Buffer.from("first")), first);
  const large = new PreparedTexts();
  const small = large.of(Buffer.from("small"));
  for (let i = 0; i < 3; i += 1) large.of(Buffer.alloc(12 << 20, i));
  t.not(large.of(Buffer.from("small")), small);
});

t.end();
