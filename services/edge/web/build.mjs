// Bundles src/ into dist/, which the edge embeds. No file in dist/ is hashed or split: the edge
// serves each under its own name, and player.js is the address other people's pages import.
import { build } from "esbuild";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { checkSize } from "./size.mjs";

const root = fileURLToPath(new URL(".", import.meta.url));
const at = (path) => `${root}${path}`;

/**
 * The MPEG-1 decoder and the two renderers of JSMpeg, cut out of the npm package: its player, demuxers,
 * sources, audio and WebAssembly are not used here (WebAssembly would need `wasm-unsafe-eval` in the
 * page's content security policy), and its bundle injects a style sheet when it is loaded.
 */
const jsmpegParts = {
  name: "jsmpeg-parts",
  setup(pipeline) {
    pipeline.onResolve({ filter: /^jsmpeg-parts$/ }, () => ({ path: "jsmpeg-parts", namespace: "jsmpeg" }));
    pipeline.onLoad({ filter: /.*/, namespace: "jsmpeg" }, async () => {
      const source = await readFile(at("node_modules/@cycjimmy/jsmpeg-player/dist/jsmpeg-player.esm.js"), "utf8");
      const cut = (from, to) => {
        const [start, end] = [source.indexOf(`\nvar ${from} = `), source.indexOf(`\nvar ${to} = `)];
        if (start < 0 || end < start) throw new Error(`jsmpeg-player: no ${from} before ${to}: the package changed`);
        return source.slice(start, end);
      };
      const head = source.slice(0, source.indexOf("/**\n * determine a string type"));
      const parts = [
        head,
        cut("Now", "AjaxSource"),
        cut("BitBuffer", "TS"),
        cut("BaseDecoder", "MPEG1WASM"),
        cut("WebGLRenderer", "WebAudioOut"),
        "export { MPEG1, WebGLRenderer, CanvasRenderer };",
      ];
      return { contents: parts.join("\n"), loader: "js" };
    });
  },
};

/** Modules of core.js, which the page and the worker share; the names they use are listed in src/core.ts. */
const CORE = /\/(clock|decode\/(engine|jsmpeg|surface|webcodecs)|ts\/\w+)\.ts$/;
const useCore = {
  name: "use-core",
  setup(pipeline) {
    pipeline.onResolve({ filter: /\.ts$/ }, ({ path, resolveDir, kind }) =>
      kind !== "entry-point" && CORE.test(join(resolveDir, path)) ? { path: "./core.js", external: true } : undefined,
    );
  },
};

await rm(at("dist"), { recursive: true, force: true });
await mkdir(at("dist"), { recursive: true });
const options = {
  absWorkingDir: root,
  outdir: "dist",
  bundle: true,
  format: "esm",
  target: ["chrome94", "firefox115", "safari16.4"],
  minify: true,
  legalComments: "none",
  external: ["./player.js"],
  logLevel: "warning",
};
await build({ ...options, entryPoints: { core: "src/core.ts", jsmpeg: "src/decode/jsmpeg-parts.js" }, plugins: [jsmpegParts] });
await build({ ...options, entryPoints: { player: "src/player.ts", app: "src/app.ts", login: "src/login.ts", worker: "src/worker.ts" }, plugins: [useCore] });
await build({
  absWorkingDir: root,
  entryPoints: { style: "src/style.css" },
  outdir: "dist",
  bundle: true,
  minify: true,
  logLevel: "warning",
});
for (const file of ["index.html", "login.html", "favicon.png"]) await cp(at(`src/${file}`), at(`dist/${file}`));
const jsmpegLicence = await readFile(at("node_modules/@cycjimmy/jsmpeg-player/LICENSE"), "utf8");
await writeFile(
  at("dist/licences.txt"),
  `jsmpeg.js holds the MPEG-1 decoder and the renderers of JSMpeg (Dominic Szablewski),\n` +
    `from the npm package @cycjimmy/jsmpeg-player.\n\n${jsmpegLicence}`,
);
await checkSize(at("dist/"));
