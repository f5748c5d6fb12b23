// Bundles every test/*.test.ts for node and runs them with node's own test runner.
import { build } from "esbuild";
import { readdir, rm } from "node:fs/promises";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = `${here}../node_modules/.cache/fanlight-tests`;
const only = process.argv.slice(2);
const names = (await readdir(here)).filter((name) => name.endsWith(".test.ts") && (only.length === 0 || only.some((part) => name.includes(part))));
await rm(out, { recursive: true, force: true });
await build({
  entryPoints: names.map((name) => here + name),
  outdir: out,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  sourcemap: "inline",
  logLevel: "warning",
  define: { "import.meta.dirname": JSON.stringify(here.slice(0, -1)) },
});
const files = names.map((name) => `${out}/${name.replace(/\.ts$/, ".mjs")}`);
process.exitCode = spawnSync(process.execPath, ["--enable-source-maps", "--test", ...files], { stdio: "inherit" }).status ?? 1;
