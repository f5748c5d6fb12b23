// `node run.mjs [NAME…]`: the test files whose name holds one of the words. Without words: all but the long ones,
// `soak` and `pictures`. Files whose verdict hangs on how fast pictures come have the two cores to themselves.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const folder = path.join(path.dirname(fileURLToPath(import.meta.url)), "tests");
const asked = process.argv.slice(2);
const LONG = ["soak", "pictures"];
// They wait for what the page says, with seconds to spare.
const PATIENT = ["access", "auth", "contexts", "drain", "foreign", "states", "tls"];
const names = readdirSync(folder)
  .filter((name) => name.endsWith(".test.mjs"))
  .filter((name) => (asked.length ? asked.some((word) => name.includes(word)) : !LONG.some((word) => name.includes(word))))
  .sort();
if (names.length === 0) {
  console.error(`no test file matches ${asked.join(" ")}`);
  process.exit(1);
}
const patient = (name) => PATIENT.includes(name.replace(".test.mjs", ""));

let child;
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child?.kill(signal));
let status = 0;
for (const [together, group] of [
  [2, names.filter(patient)],
  [1, names.filter((name) => !patient(name))],
]) {
  if (group.length === 0) continue;
  const files = group.map((name) => path.join(folder, name));
  child = spawn(process.execPath, ["--test", `--test-concurrency=${together}`, "--test-reporter=spec", ...files], { stdio: "inherit" });
  const [code] = await once(child, "exit");
  if (code === null) process.exit(1);
  status ||= code;
}
process.exit(status);
