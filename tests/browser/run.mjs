// `node run.mjs [NAME…]`: the test files whose name holds one of the words, one after the other (they share two
// cores). Without words: all but the long ones, `soak` and `pictures`.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const folder = path.join(path.dirname(fileURLToPath(import.meta.url)), "tests");
const asked = process.argv.slice(2);
const LONG = ["soak", "pictures"];
const files = readdirSync(folder)
  .filter((name) => name.endsWith(".test.mjs"))
  .filter((name) => (asked.length ? asked.some((word) => name.includes(word)) : !LONG.some((word) => name.includes(word))))
  .sort()
  .map((name) => path.join(folder, name));
if (files.length === 0) {
  console.error(`no test file matches ${asked.join(" ")}`);
  process.exit(1);
}
const child = spawn(process.execPath, ["--test", "--test-concurrency=1", "--test-reporter=spec", ...files], { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code) => process.exit(code ?? 1));
