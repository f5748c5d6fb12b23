// A camera over RTSP with digest authentication, through ingest, a real nats-server and edge, into Chromium.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openBrowser, openPage, player, playing, words } from "../lib/browser.mjs";
import { watch } from "../lib/clock.mjs";
import { until } from "../lib/processes.mjs";
import { System } from "../lib/system.mjs";

const SECONDS = Number(process.env.FANLIGHT_SECONDS ?? 12);
const LEAST_FPS = 13;
const PATHS = [
  { camera: "copied", codec: "copy", decoder: "webcodecs" },
  { camera: "encoded", codec: "h264", decoder: "webcodecs" },
  { camera: "classic", codec: "mpeg1", decoder: "jsmpeg" },
];

describe("RTSP camera to browser", { timeout: 300_000 }, () => {
  const system = new System();
  let nats, edge, source, browser;

  before(async () => {
    nats = await system.nats();
    [edge, source, browser] = await Promise.all([system.edge(nats), system.camera(), openBrowser(system)]);
  });
  after(() => system.close());

  for (const { camera, codec, decoder } of PATHS) {
    test(`${codec}: at least ${LEAST_FPS} of 15 pictures a second for ${SECONDS} s`, { timeout: 90_000 }, async (t) => {
      const ingest = await system.ingest(nats, camera, source.url, "--codec", codec);
      t.after(() => ingest.child.stop());
      await edge.state(camera);
      const page = await openPage(browser, edge.page(camera));
      t.after(() => page.context().close());
      await playing(page);
      const seen = await watch(page, SECONDS);
      t.diagnostic(`${seen.fps.toFixed(2)} fps, ${seen.distinct} distinct, first seen ${JSON.stringify(seen.firstSeen)} ms`);
      assert.ok(seen.fps >= LEAST_FPS, `${seen.fps} pictures a second`);
      assert.ok(seen.distinct >= LEAST_FPS * SECONDS, `only ${seen.distinct} different clocks were readable`);
      const { stats } = await player(page);
      assert.equal(stats.decoder, decoder);
      assert.deepEqual(page.complaints, []);
    });
  }

  test("H.265 copy: the bytes arrive, the page says in words that it can't play them", { timeout: 90_000 }, async (t) => {
    const hevc = await system.camera("--codec", "h265");
    const ingest = await system.ingest(nats, "modern", hevc.url, "--codec", "copy");
    t.after(() => ingest.child.stop());
    const about = await edge.state("modern");
    assert.match(about.codec, /^(hvc1|hev1)\./);
    const page = await openPage(browser, edge.page("modern"));
    t.after(() => page.context().close());
    await page.waitForFunction(() => document.querySelector("fanlight-player")?.state === "unplayable", null, { timeout: 10_000 });
    await until("bytes to arrive", 10_000, async () => (await player(page)).stats.bytes > 100_000);
    assert.match(await words(page), /H\.265/);
    assert.deepEqual(page.complaints, []);
  });
});
