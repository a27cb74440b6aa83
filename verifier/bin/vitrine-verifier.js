#!/usr/bin/env node
// Node ends with 1 when it cannot load a program, and here 1 is a verdict.
import("../dist/cli/main.js").catch((error) => {
  console.error(error);
  process.exitCode = 70;
});
