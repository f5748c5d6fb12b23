// A hidden page closes its stream and is back with a current picture when it is seen again.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openBrowser, openPage, player, playing } from "../lib/browser.mjs";
import { sleep, until } from "../lib/processes.mjs";
import { FFMPEG_CLOCK, System } from "../lib/system.mjs";

const SLACK = Number(process.env.FANLIGHT_SLACK ?? 2);
// Headless Chromium never hides a page by itself: say so to the page, as the browser would.
const setHidden = (page, hidden) =>
  page.evaluate((value) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => value });
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => (value ? "hidden" : "visible") });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);

describe("hidden page", { timeout: 120_000 }, () => {
  const system = new System();
  let browser, edge;
  before(async () => {
    browser = await openBrowser(system);
    edge = await system.standalone("--camera", "clock", "--input", "test", "--ffmpeg", FFMPEG_CLOCK);
    await edge.state("clock");
  });
  after(() => system.close());

  test("hidden for 30 s, then a picture younger than 300 ms within 500 ms", { timeout: 90_000 }, async (t) => {
    const page = await openPage(browser, edge.page("clock"));
    t.after(() => page.context().close());
    await playing(page);
    const viewers = () => edge.metric("fanlight_edge_viewers");
    assert.equal(await viewers(), 1);
    await setHidden(page, true);
    const hiddenAt = Date.now();
    await until("the player to leave", 14_000, async () => (await viewers()) === 0);
    const left = Date.now() - hiddenAt;
    assert.ok(left > 8000, `it left after ${left} ms already`);
    await sleep(30_000 - (Date.now() - hiddenAt));
    const bytes = (await player(page)).stats.bytes;
    await sleep(500);
    assert.equal((await player(page)).stats.bytes, bytes, "nothing is received while hidden");

    const watching = page.evaluate(
      () =>
        new Promise((resolve) => {
          const { surfaces, read, age, now } = window.fanlightWatch;
          const started = now();
          const look = () => {
            const surface = surfaces(document).find((element) => (element.videoWidth ?? element.width) > 16);
            const stamp = surface && read(surface)?.stamp;
            if (stamp !== undefined && age(stamp, now()) < 300) resolve(now() - started);
            else if (now() - started > 10_000) resolve(Infinity);
            else requestAnimationFrame(look);
          };
          document.addEventListener("visibilitychange", () => requestAnimationFrame(look), { once: true });
        }),
    );
    await setHidden(page, false);
    const milliseconds = await watching;
    t.diagnostic(`left after ${left} ms; current picture ${Math.round(milliseconds)} ms after it became visible`);
    assert.ok(milliseconds < 500 * SLACK, `${milliseconds} ms`);
    assert.deepEqual(page.complaints, []);
  });
});
