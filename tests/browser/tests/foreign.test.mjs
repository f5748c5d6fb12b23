// Clients that were not written for this server, unmodified.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { openBrowser, openPage } from "../lib/browser.mjs";
import { watch } from "../lib/clock.mjs";
import { jsmpegPage, mpegtsPage, onDisk, serve } from "../lib/foreign.mjs";
import { Child, ROOT } from "../lib/processes.mjs";
import { FFMPEG_CLOCK, PYTHON, System } from "../lib/system.mjs";

// `make soak` watches for the full minute
const SECONDS = Number(process.env.FANLIGHT_SECONDS ?? 12);
const tool = (name) => path.join(ROOT, "tests/tools", name);

async function run(name, command, args, timeout = 60_000) {
  const child = new Child(name, command, args);
  const timer = setTimeout(() => child.kill("SIGKILL"), timeout);
  const code = await child.exited;
  clearTimeout(timer);
  return { code, output: child.output };
}

const probe = (input, ...args) =>
  run("ffprobe", "ffprobe", ["-v", "error", "-show_entries", "stream=codec_name,codec_type,width,height", "-of", "json", ...args, input]);

describe("foreign clients", { timeout: 400_000 }, () => {
  const system = new System();
  let nats, edge, browser, elsewhere, folder;

  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), "fanlight-foreign-"));
    system.cleanup.add(() => rm(folder, { recursive: true, force: true }));
    nats = await system.nats();
    browser = await openBrowser(system);
    await system.ingest(nats, "classic", "test", "--codec", "mpeg1", "--ffmpeg", FFMPEG_CLOCK);
    await system.ingest(nats, "modern", "test", "--codec", "h264", "--ffmpeg", FFMPEG_CLOCK);
    const pages = {};
    elsewhere = await serve(system, pages);
    edge = await system.edge(nats, "--default-camera", "classic", "--allow-origin", elsewhere, "--allow-origin", "null");
    Object.assign(pages, {
      "/root": jsmpegPage(edge.ws()),
      "/camera": jsmpegPage(edge.ws("classic")),
      "/mpegts": mpegtsPage(edge.ws("modern")),
    });
    await Promise.all([edge.state("classic"), edge.state("modern")]);
  });
  after(() => system.close());

  const plays = async (t, address) => {
    const page = await openPage(browser, address);
    t.after(() => page.context().close());
    await page.waitForFunction(() => window.decoded > 20, null, { timeout: 15_000 });
    const half = SECONDS / 2;
    const [early, late] = [await watch(page, half), await watch(page, half)];
    t.diagnostic(`${early.fps.toFixed(2)} then ${late.fps.toFixed(2)} fps; age ${JSON.stringify(early.age)} then ${JSON.stringify(late.age)}`);
    assert.ok(early.fps >= 13 && late.fps >= 13, `${early.fps} and ${late.fps} pictures a second`);
    assert.ok(early.age.n > half * 10, "the clock was readable");
    assert.ok(late.age.p50 < early.age.p50 + 100, `the delay grew from ${early.age.p50} to ${late.age.p50} ms`);
    assert.ok(late.age.p50 < 1000, `${late.age.p50} ms behind`);
    assert.deepEqual(page.complaints, []);
  };

  test("JSMpeg at the root address", { timeout: 120_000 }, (t) => plays(t, `${elsewhere}/root`));
  test("JSMpeg at /ws/<camera>", { timeout: 120_000 }, (t) => plays(t, `${elsewhere}/camera`));
  test("JSMpeg in a page opened from disk", { timeout: 120_000 }, async (t) => plays(t, await onDisk(system, jsmpegPage(edge.ws("classic")))));

  test("a page of an origin that is not allowed is refused", async (t) => {
    const stranger = await serve(system, { "/": jsmpegPage(edge.ws("classic")) });
    const page = await openPage(browser, stranger);
    t.after(() => page.context().close());
    await page.waitForTimeout(2000);
    assert.equal(await page.evaluate(() => window.decoded), 0);
    assert.match(page.complaints.join("\n"), /403/);
    assert.match(edge.child.output, /--allow-origin/);
  });

  test("mpegts.js", { timeout: 60_000 }, async (t) => {
    const page = await openPage(browser, `${elsewhere}/mpegts`);
    t.after(() => page.context().close());
    await page.waitForFunction(() => document.querySelector("video").readyState >= 3, null, { timeout: 15_000 });
    const seen = await watch(page, 10);
    t.diagnostic(`${seen.fps.toFixed(2)} fps, age ${JSON.stringify(seen.age)}`);
    assert.ok(seen.fps >= 13, `${seen.fps} pictures a second`);
    assert.deepEqual(await page.evaluate(() => window.errors), []);
    assert.deepEqual(page.complaints, []);
  });

  for (const [camera, codec] of [["modern", "h264"], ["classic", "mpeg1video"]]) {
    test(`ffprobe on live.ts: ${codec}`, { timeout: 60_000 }, async () => {
      const { code, output } = await probe(`${edge.url}/cameras/${camera}/live.ts`);
      assert.equal(code, 0, output);
      assert.deepEqual(JSON.parse(output).streams, [{ codec_name: codec, codec_type: "video", width: 640, height: 480 }]);
    });

    test(`Python websockets: ${codec}`, { timeout: 60_000 }, async () => {
      const file = path.join(folder, `${camera}.ts`);
      const { code, output } = await run("websockets", PYTHON, [tool("ws_record.py"), edge.ws(camera), "5", file]);
      assert.equal(code, 0, output);
      const { messages, texts, ragged } = JSON.parse(output);
      assert.ok(messages >= 60, `${messages} messages in 5 s`);
      assert.deepEqual({ texts, ragged }, { texts: 0, ragged: 0 });
      const probed = await probe(file, "-count_frames", "-show_entries", "stream=nb_read_frames");
      assert.equal(probed.code, 0, probed.output);
      const [stream] = JSON.parse(probed.output).streams;
      assert.equal(stream.codec_name, codec);
      assert.ok(Number(stream.nb_read_frames) >= messages - 2, `${stream.nb_read_frames} pictures in ${messages} messages`);
    });

    test(`a NATS subscriber piped into ffprobe: ${codec}`, { timeout: 60_000 }, async () => {
      const line = `"${PYTHON}" "${tool("nats_record.py")}" ${nats.url} fanlight.${camera}.main.ts 6 |
        ffprobe -v error -show_entries stream=codec_name,codec_type,width,height -of json -`;
      const { code, output } = await run("pipe", "bash", ["-c", line]);
      assert.equal(code, 0, output);
      // it joins anywhere, so that ffprobe complains about pictures before the first key picture
      const json = JSON.parse(output.slice(output.indexOf("{\n"), output.lastIndexOf("}") + 1));
      assert.deepEqual(json.streams, [{ codec_name: codec, codec_type: "video", width: 640, height: 480 }]);
    });
  }
});
