import fc from "fast-check";
import t from "tap";
import { prefersGzip } from "../../src/routes/accept-encoding.ts";

t.test("gzip is chosen where it is accepted and not liked less", async (t) => {
  const yes = [
    "gzip",
    "GZIP",
    "gzip, deflate, br",
    "br;q=1.0, gzip;q=0.8, *;q=0.1",
    "*",
    "x-gzip",
    "gzip;q=0.001",
    "identity;q=0.5, gzip;q=0.5",
    "identity;q=0, gzip",
    " deflate , gzip ; q=1.000 ",
    "gzip;level=9;q=0.5",
  ];
  const no = [
    "",
    "identity",
    "br",
    "gzip;q=0",
    "gzip;q=0.000",
    "*;q=0",
    "*, gzip;q=0",
    "identity;q=1, gzip;q=0.5",
    "identity, *;q=0.5",
    "gzip;q=2",
    "gzip;q=1.5",
    "gzip;q=x",
    "gzip;q=",
    "gzipped",
    "deflate;gzip",
  ];
  t.equal(prefersGzip(undefined), false);
  for (const header of yes) t.equal(prefersGzip(header), true, header);
  for (const header of no) t.equal(prefersGzip(header), false, header);
});

t.test("any header has an answer, and weights are compared as numbers", async (t) => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (header) => typeof prefersGzip(header) === "boolean"));
  const q = fc.integer({ min: 0, max: 1000 });
  fc.assert(
    fc.property(q, q, fc.shuffledSubarray(["br", "deflate;q=0.3", "zstd"]), (gzip, identity, others) => {
      const members = [`gzip;q=${gzip / 1000}`, ...others, `identity; Q=${identity / 1000}`];
      return prefersGzip(members.join(", ")) === (gzip > 0 && gzip >= identity);
    }),
  );
  t.pass();
});
