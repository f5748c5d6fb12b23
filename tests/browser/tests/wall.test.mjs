// Eight cameras at 15 pictures a second on one wall; and the ways around the page without a mouse.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openBrowser, openPage, playing } from "../lib/browser.mjs";
import { until } from "../lib/processes.mjs";
import { FFMPEG_CLOCK, System } from "../lib/system.mjs";
import { CAMERAS, heap, openWall, watchTiles } from "../lib/wall.mjs";

describe("the wall", { timeout: 300_000 }, () => {
  const outer = new System();
  let browser;
  before(async () => {
    browser = await openBrowser(outer);
  });
  after(() => outer.close());

  test("eight cameras: every tile at least 14 pictures a second for 60 s, the heap flat", { timeout: 180_000 }, async (t) => {
    const system = new System();
    t.after(() => system.close());
    const { page } = await openWall(system, browser);
    t.after(() => page.context().close());
    const warm = await watchTiles(page, 20);
    const early = await heap(page);
    const tiles = await watchTiles(page, 40);
    const late = await heap(page);
    t.diagnostic(`${[...warm, ...tiles].map(({ name, seen, painted }) => `${name} ${seen.toFixed(2)}/${painted.toFixed(2)}`).join(", ")}; heap ${early} -> ${late} bytes`);
    assert.equal(tiles.length, CAMERAS.length);
    for (const { name, fps } of tiles) assert.ok(fps >= 14, `${name}: ${fps} pictures a second`);
    assert.ok(late < early * 1.1 + 256 * 1024, `the heap grew from ${early} to ${late} bytes`);
    assert.deepEqual(page.complaints, []);
  });

  test("tiles out of view don't play", { timeout: 90_000 }, async (t) => {
    const system = new System();
    t.after(() => system.close());
    const cameras = Object.fromEntries(CAMERAS.map((name) => [name, { url: "test" }]));
    const edge = await system.cameras(cameras, "--ffmpeg", FFMPEG_CLOCK);
    for (const name of CAMERAS) await edge.state(name, "live", 40_000);
    const page = await openPage(browser, edge.page(), { context: { viewport: { width: 390, height: 700 }, hasTouch: true, isMobile: true } });
    t.after(() => page.context().close());
    const viewers = () => edge.metric("fanlight_edge_viewers");
    await until("some tiles to play", 15_000, async () => (await viewers()) >= 1);
    await page.waitForTimeout(3000);
    const few = await viewers();
    assert.ok(few < CAMERAS.length, `${few} viewers for a screen that shows a few tiles`);
    await page.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
    await until("the last tile to play", 15_000, () =>
      page.evaluate(() => [...document.querySelectorAll("fanlight-player")].at(-1).state === "live"),
    );
    assert.deepEqual(page.complaints, []);
  });

  test("by keyboard: arrows, Enter, Escape, i, s", { timeout: 90_000 }, async (t) => {
    const system = new System();
    t.after(() => system.close());
    const edge = await system.cameras({ left: { url: "test" }, right: { url: "test" } }, "--ffmpeg", FFMPEG_CLOCK);
    await Promise.all([edge.state("left"), edge.state("right")]);
    const page = await openPage(browser, edge.page());
    t.after(() => page.context().close());
    await until("both tiles to play", 10_000, () =>
      page.evaluate(() => {
        const players = [...document.querySelectorAll("fanlight-player")];
        return players.length === 2 && players.every((player) => player.state === "live");
      }),
    );
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/cameras\/right$/, { timeout: 5000 });
    await playing(page);
    await page.keyboard.press("i");
    await page.waitForFunction(() => {
      const panel = document.querySelector("fanlight-player").shadowRoot.querySelector(".stats");
      return panel && !panel.hidden && /webcodecs/i.test(panel.innerText);
    });
    const saving = page.waitForEvent("download", { timeout: 10_000 });
    await page.keyboard.press("s");
    const saved = await saving;
    assert.match(saved.suggestedFilename(), /^right-.*\.(png|jpg)$/);
    await page.keyboard.press("Escape");
    await page.waitForURL((url) => url.pathname === "/", { timeout: 5000 });
    assert.deepEqual(page.complaints, []);
  });
});
