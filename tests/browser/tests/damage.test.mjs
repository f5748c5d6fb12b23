// A lossy link, ffmpeg started again, another size, another codec: it plays on, and nothing smeared is shown.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openBrowser, openPage, player, playing } from "../lib/browser.mjs";
import { watch } from "../lib/clock.mjs";
import { Proxy } from "../lib/proxy.mjs";
import { until } from "../lib/processes.mjs";
import { FFMPEG_CLOCK, System } from "../lib/system.mjs";

const SECONDS = Number(process.env.FANLIGHT_SECONDS ?? 20);
const NO_WEBCODECS = () => {
  delete window.VideoDecoder;
};

describe("damaged and changing streams", { timeout: 600_000 }, () => {
  const system = new System();
  let browser, nats, edge, proxy;
  before(async () => {
    browser = await openBrowser(system);
    nats = await system.nats();
    edge = await system.edge(nats);
    // At the default rate a key picture has more than 60 packets: none would ever come through whole.
    const thin = ["--bitrate", "200k", "--gop-seconds", "1", "--ffmpeg", FFMPEG_CLOCK];
    await system.ingest(nats, "modern", "test", ...thin);
    await system.ingest(nats, "classic", "test", "--codec", "mpeg1", ...thin);
    await Promise.all([edge.state("modern"), edge.state("classic")]);
    proxy = await Proxy.open(system, edge);
  });
  after(() => system.close());

  // MPEG-1 has larger key pictures: at 1 of 60 none comes through whole. A video element may be read while it
  // goes from one picture to the next, which looks like a smear; a real one would stay until the next key picture.
  for (const { decoder, camera, init, loss, torn } of [
    { decoder: "webcodecs", camera: "modern", init: [], loss: 60, torn: 0 },
    { decoder: "mse", camera: "modern", init: [NO_WEBCODECS], loss: 60, torn: 2 },
    { decoder: "jsmpeg", camera: "classic", init: [], loss: 300, torn: 0 },
  ]) {
    test(`${decoder}: one of ${loss} packets lost`, { timeout: 120_000 }, async (t) => {
      // The same decoder on a good link tells what each picture has to look like.
      const clean = await openPage(browser, edge.page(camera), { init });
      const lossy = await openPage(browser, `${proxy.url}/cameras/${camera}`, { init });
      t.after(() => Promise.all([clean.context().close(), lossy.context().close()]));
      await Promise.all([playing(clean), playing(lossy)]);
      const before = await watch(lossy, 4);
      proxy.lost = 0;
      proxy.loseOneOf = loss;
      t.after(() => (proxy.loseOneOf = 0));
      const [reference, damaged] = await Promise.all([watch(clean, SECONDS + 1), watch(lossy, SECONDS)]);
      proxy.loseOneOf = 0;
      // The last loss is made good by the next key picture, at most a second later.
      await new Promise((resolve) => setTimeout(resolve, 1500));
      const after = await watch(lossy, 4);
      const { stats } = await player(lossy);
      const right = new Map(reference.pictures.map((picture) => [picture.stamp, picture.hash]));
      const compared = damaged.pictures.filter((picture) => right.has(picture.stamp));
      const smeared = compared.filter((picture) => right.get(picture.stamp) !== picture.hash);
      t.diagnostic(
        `${proxy.lost} packets lost, ${stats.damage} pictures damaged, ${damaged.fps.toFixed(1)} fps, ${compared.length} compared, ` +
          `${smeared.length} smeared; age p50 ${before.age.p50} -> ${damaged.age.p50} -> ${after.age.p50} ms, longest gap ${Math.round(damaged.longestGap)} ms`,
      );
      assert.ok(proxy.lost > SECONDS / 4, `only ${proxy.lost} packets were lost`);
      assert.ok(stats.damage > 0, "the player saw no damage");
      assert.ok(compared.length > SECONDS, `only ${compared.length} pictures could be compared`);
      assert.ok(smeared.length <= torn, `${smeared.length} smeared pictures`);
      assert.equal(damaged.unreadable, 0);
      assert.ok(damaged.longestGap < 5000, `no picture for ${damaged.longestGap} ms`);
      assert.ok(after.fps >= 13, `${after.fps} pictures a second afterwards`);
      assert.ok(after.age.p50 < before.age.p50 + 100, `the delay went from ${before.age.p50} to ${after.age.p50} ms`);
      assert.equal(stats.decoder, decoder);
    });
  }

  test("ffmpeg killed: plays on within seconds", { timeout: 60_000 }, async (t) => {
    const ingest = await system.ingest(nats, "fragile", "test", "--ffmpeg", FFMPEG_CLOCK);
    t.after(() => ingest.child.stop());
    await edge.state("fragile");
    const page = await openPage(browser, edge.page("fragile"));
    t.after(() => page.context().close());
    await playing(page);
    const { execFileSync } = await import("node:child_process");
    const watching = watch(page, 10);
    await new Promise((resolve) => setTimeout(resolve, 3000));
    // ingest's child may be a supervisor of ffmpeg's: end everything below ingest
    const below = execFileSync("pgrep", ["-P", String(ingest.child.process.pid)], { encoding: "utf8" }).trim().split("\n");
    assert.equal(below.length, 1, `children of ingest: ${below}`);
    process.kill(Number(below[0]), "SIGKILL");
    const seen = await watching;
    t.diagnostic(`longest gap ${Math.round(seen.longestGap)} ms, ${seen.unreadable} unreadable`);
    assert.ok(seen.longestGap > 100, "nothing was interrupted");
    assert.ok(seen.longestGap < 4000, `no picture for ${seen.longestGap} ms`);
    assert.equal(seen.unreadable, 0);
    await playing(page);
    assert.deepEqual(page.complaints, []);
  });

  test("the size changes in mid-stream", { timeout: 60_000 }, async (t) => {
    const camera = await system.camera("--change-size-after", "12");
    t.after(() => camera.child.stop());
    const ingest = await system.ingest(nats, "sizes", camera.url, "--codec", "copy");
    t.after(() => ingest.child.stop());
    await edge.state("sizes");
    const page = await openPage(browser, edge.page("sizes"));
    t.after(() => page.context().close());
    await playing(page);
    assert.equal((await player(page)).stats.width, 640);
    await until("the smaller size", 25_000, async () => (await player(page)).stats.width === 320);
    await playing(page);
    const seen = await watch(page, 4);
    assert.ok(seen.fps >= 13, `${seen.fps} pictures a second`);
    assert.deepEqual(page.complaints, []);
  });

  test("the codec changes", { timeout: 60_000 }, async (t) => {
    const first = await system.ingest(nats, "changing", "test", "--ffmpeg", FFMPEG_CLOCK);
    await edge.state("changing");
    const page = await openPage(browser, edge.page("changing"));
    t.after(() => page.context().close());
    await playing(page);
    assert.equal((await player(page)).stats.decoder, "webcodecs");
    await first.child.stop();
    const second = await system.ingest(nats, "changing", "test", "--codec", "mpeg1", "--ffmpeg", FFMPEG_CLOCK);
    t.after(() => second.child.stop());
    await until("the other decoder", 20_000, async () => (await player(page)).stats.decoder === "jsmpeg");
    await playing(page);
    const seen = await watch(page, 4);
    assert.ok(seen.fps >= 13, `${seen.fps} pictures a second`);
    assert.deepEqual(page.complaints, []);
  });
});
