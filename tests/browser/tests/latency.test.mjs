// Glass to glass on the loopback: the clock in the picture against the moment it is seen.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openBrowser, openPage, player, playing } from "../lib/browser.mjs";
import { watch } from "../lib/clock.mjs";
import { sleep } from "../lib/processes.mjs";
import { FFMPEG_CLOCK, System } from "../lib/system.mjs";

const SECONDS = Number(process.env.FANLIGHT_SECONDS ?? 15);
// 1 in `make bench`; elsewhere two cores may be busy with something else
const SLACK = Number(process.env.FANLIGHT_SLACK ?? 2);
const NO_WEBCODECS = () => {
  delete window.VideoDecoder;
};
const PATHS = [
  { decoder: "webcodecs", codec: "h264", limit: 45, init: [] },
  { decoder: "mse", codec: "h264", limit: 110, init: [NO_WEBCODECS] },
  { decoder: "jsmpeg", codec: "mpeg1", limit: 60, init: [] },
];

describe("delay from source to screen", { timeout: 600_000 }, () => {
  const outer = new System();
  let browser;
  before(async () => {
    browser = await openBrowser(outer);
  });
  after(() => outer.close());

  for (const fps of [15, 30]) {
    for (const { decoder, codec, limit, init } of PATHS) {
      test(`${decoder} at ${fps} fps: p95 below ${limit * SLACK} ms`, { timeout: 120_000 }, async (t) => {
        const system = new System();
        t.after(() => system.close());
        const edge = await system.standalone("--camera", "clock", "--input", "test", "--codec", codec, "--fps", String(fps), "--ffmpeg", FFMPEG_CLOCK);
        await edge.state("clock");
        const page = await openPage(browser, edge.page("clock"), { init });
        t.after(() => page.context().close());
        await playing(page);
        await sleep(3000);
        const seen = await watch(page, SECONDS);
        const { stats } = await player(page);
        t.diagnostic(`${seen.fps.toFixed(2)} fps, first seen ${JSON.stringify(seen.firstSeen)}, age ${JSON.stringify(seen.age)}, page says ${JSON.stringify(stats.latency)}`);
        assert.equal(stats.decoder, decoder);
        assert.ok(seen.fps > fps * 0.9, `${seen.fps} pictures a second`);
        assert.ok(seen.firstSeen.p95 < limit * SLACK, `p95 is ${seen.firstSeen.p95} ms`);
        const distance = Math.abs(stats.latency.p50 - seen.firstSeen.p50);
        assert.ok(distance < 1000 / fps, `the page says ${stats.latency.p50} ms, seen were ${seen.firstSeen.p50} ms`);
        assert.deepEqual(page.complaints, []);
      });
    }
  }

  test("through an RTSP camera: at most one picture more", { timeout: 120_000 }, async (t) => {
    const system = new System();
    t.after(() => system.close());
    const camera = await system.camera();
    const edge = await system.standalone("--camera", "clock", "--input", camera.url, "--codec", "copy");
    await edge.state("clock");
    const page = await openPage(browser, edge.page("clock"));
    t.after(() => page.context().close());
    await playing(page);
    await sleep(3000);
    const seen = await watch(page, SECONDS);
    const { stats } = await player(page);
    t.diagnostic(`first seen ${JSON.stringify(seen.firstSeen)}, page says ${stats.latency.p50} ms: ${Math.round(seen.firstSeen.p50 - stats.latency.p50)} ms are before ingest`);
    assert.ok(seen.firstSeen.p95 < (45 + 1000 / 15) * SLACK, `p95 is ${seen.firstSeen.p95} ms`);
  });
});
