// Pages and programs that know nothing of Fanlight, served from another origin or opened from disk.
import { createServer } from "node:http";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const packaged = (name, file) => fileURLToPath(new URL(`../node_modules/${name}/${file}`, import.meta.url));
export const JSMPEG = packaged("@cycjimmy/jsmpeg-player", "dist/jsmpeg-player.umd.min.js");
export const MPEGTS = packaged("mpegts.js", "dist/mpegts.js");

/** As the package's own documentation has it; preserveDrawingBuffer only so that the test can read the canvas. */
export const jsmpegPage = (address) => `<!doctype html><meta charset="utf-8"><title>JSMpeg</title><link rel="icon" href="data:,">
<canvas id="picture"></canvas>
<script src="jsmpeg.js"></script>
<script>
  window.decoded = 0;
  window.player = new JSMpeg.Player(${JSON.stringify(address)}, {
    canvas: document.getElementById("picture"), audio: false, disableGl: true, videoBufferSize: 1024 * 1024,
    onVideoDecode: () => { window.decoded += 1; },
  });
</script>`;

export const mpegtsPage = (address) => `<!doctype html><meta charset="utf-8"><title>mpegts.js</title><link rel="icon" href="data:,">
<video id="picture" muted></video>
<script src="mpegts.js"></script>
<script>
  mpegts.LoggingControl.enableAll = false;
  window.errors = [];
  window.player = mpegts.createPlayer({ type: "mpegts", isLive: true, url: ${JSON.stringify(address)} }, { liveBufferLatencyChasing: true });
  player.on(mpegts.Events.ERROR, (...what) => errors.push(what.join(" ")));
  player.attachMediaElement(document.getElementById("picture"));
  player.load();
  player.play();
</script>`;

/** A plain web server of its own origin. */
export async function serve(system, files) {
  const scripts = { "/jsmpeg.js": await readFile(JSMPEG), "/mpegts.js": await readFile(MPEGTS) };
  const server = createServer((request, response) => {
    const body = scripts[request.url] ?? files[request.url];
    response.writeHead(body ? 200 : 404, { "content-type": request.url.endsWith(".js") ? "text/javascript" : "text/html" });
    response.end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  system.cleanup.add(() => new Promise((resolve) => server.close(resolve).closeAllConnections()));
  return `http://127.0.0.1:${server.address().port}`;
}

/** The page as a file on disk; gives its file:// address. */
export async function onDisk(system, html) {
  const folder = await mkdtemp(path.join(os.tmpdir(), "fanlight-page-"));
  system.cleanup.add(() => rm(folder, { recursive: true, force: true }));
  await copyFile(JSMPEG, path.join(folder, "jsmpeg.js"));
  await writeFile(path.join(folder, "page.html"), html);
  return pathToFileURL(path.join(folder, "page.html")).href;
}
