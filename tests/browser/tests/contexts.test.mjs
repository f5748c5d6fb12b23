// Pages over plain HTTP from another machine have no WebCodecs: MSE plays, and without it the page says what to do.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openBrowser, openPage, player, playing, words } from "../lib/browser.mjs";
import { watch } from "../lib/clock.mjs";
import { FFMPEG_CLOCK, System } from "../lib/system.mjs";

describe("insecure context", { timeout: 120_000 }, () => {
  const system = new System();
  let browser, address;
  before(async () => {
    browser = await openBrowser(system);
    const edge = await system.standalone("--camera", "clock", "--input", "test", "--ffmpeg", FFMPEG_CLOCK, "--allow-host", "cam-lan");
    await edge.state("clock");
    address = `http://cam-lan:${edge.port}/cameras/clock`;
  });
  after(() => system.close());

  test("the MSE path plays", { timeout: 60_000 }, async (t) => {
    const page = await openPage(browser, address);
    t.after(() => page.context().close());
    assert.deepEqual(await page.evaluate(() => [isSecureContext, typeof VideoDecoder]), [false, "undefined"]);
    await playing(page);
    const seen = await watch(page, 8);
    t.diagnostic(`${seen.fps.toFixed(2)} fps, first seen ${JSON.stringify(seen.firstSeen)}`);
    assert.ok(seen.fps >= 13, `${seen.fps} pictures a second`);
    const { stats } = await player(page);
    assert.deepEqual([stats.decoder, stats.why], ["mse", "insecure"]);
    assert.deepEqual(page.complaints, []);
  });

  for (const [locale, expected] of [["en-US", /https:\/\/.*localhost/], ["zh-CN", /安全连接.*https:\/\//s]]) {
    test(`without MSE the page says what to do (${locale})`, { timeout: 30_000 }, async (t) => {
      const init = [() => {
        delete window.MediaSource;
        delete window.ManagedMediaSource;
        delete window.WebKitMediaSource;
      }];
      const page = await openPage(browser, address, { init, context: { locale } });
      t.after(() => page.context().close());
      await page.waitForFunction(() => document.querySelector("fanlight-player")?.state === "unplayable", null, { timeout: 10_000 });
      assert.match(await words(page), expected);
      assert.deepEqual(page.complaints, []);
    });
  }
});
