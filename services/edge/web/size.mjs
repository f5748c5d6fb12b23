// The size budget of the player: everything a viewer loads except JSMpeg, gzip, in bytes.
import { readFile, readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

/** Raised only in the change that grows the bundle, with the reason in its message. */
export const BUDGET = 40 * 1024;
const NOT_COUNTED = new Set(["jsmpeg.js", "licences.txt"]);

/** Prints the sizes; throws when the sum is above the budget. */
export async function checkSize(dist) {
  let total = 0;
  const rows = [];
  for (const name of (await readdir(dist)).sort()) {
    const bytes = gzipSync(await readFile(dist + name), { level: 9 }).length;
    if (!NOT_COUNTED.has(name)) total += bytes;
    rows.push(`${name} ${bytes}${NOT_COUNTED.has(name) ? " (not counted)" : ""}`);
  }
  console.log(`gzip bytes: ${rows.join(", ")}; own code ${total} of ${BUDGET}`);
  if (total > BUDGET) throw new Error(`own code is ${total} bytes gzip, ${total - BUDGET} above the budget of ${BUDGET}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await checkSize(fileURLToPath(new URL("dist/", import.meta.url)));
}
