import t from "tap";
import { prefersGzip } from "../src/routes/accept-encoding.ts";

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
