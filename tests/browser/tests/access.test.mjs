// axe-core on the pages, in dark and light, both languages, wide and narrow; and the element in a page of another origin.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { openBrowser, openPage, playing } from "../lib/browser.mjs";
import { until } from "../lib/processes.mjs";
import { FFMPEG_CLOCK, System } from "../lib/system.mjs";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

describe("access", { timeout: 300_000 }, () => {
  const system = new System();
  let browser, edge, elsewhere;
  before(async () => {
    browser = await openBrowser(system);
    const server = createServer((_request, response) => {
      response.writeHead(200, { "content-type": "text/html" });
      response.end(`<!doctype html><meta charset="utf-8"><title>Elsewhere</title><link rel="icon" href="data:,">
<script type="module" src="${edge.url}/player.js"></script>
<fanlight-player src="${edge.url}" camera="door" style="width:640px;height:480px"></fanlight-player>`);
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    system.cleanup.add(() => new Promise((resolve) => server.close(resolve).closeAllConnections()));
    elsewhere = `http://127.0.0.1:${server.address().port}`;
    edge = await system.cameras({ door: { url: "test" }, yard: { url: "test", codec: "mpeg1" } }, "--ffmpeg", FFMPEG_CLOCK, "--allow-origin", elsewhere);
    await Promise.all([edge.state("door"), edge.state("yard")]);
  });
  after(() => system.close());

  const WIDE = { width: 1280, height: 800 };
  const PHONE = { width: 390, height: 844 };
  for (const [name, path, options] of [
    ["wall, dark", "/", { colorScheme: "dark", viewport: WIDE }],
    ["wall, light, Chinese", "/", { colorScheme: "light", viewport: WIDE, locale: "zh-CN" }],
    ["camera, dark, Chinese", "/cameras/door", { colorScheme: "dark", viewport: WIDE, locale: "zh-CN" }],
    ["camera, light", "/cameras/door", { colorScheme: "light", viewport: WIDE }],
    ["camera, phone", "/cameras/yard", { viewport: PHONE, isMobile: true, hasTouch: true }],
    ["unknown camera", "/cameras/nowhere", { viewport: WIDE }],
  ]) {
    test(`axe-core: ${name}`, { timeout: 60_000 }, async (t) => {
      const page = await openPage(browser, edge.url + path, { context: options });
      t.after(() => page.context().close());
      const state = path.endsWith("nowhere") ? "unknown-camera" : "live";
      await page.waitForFunction((wanted) => document.querySelector("fanlight-player")?.state === wanted, state, { timeout: 15_000 });
      if (path !== "/") await page.evaluate(() => document.querySelector("fanlight-player").toggleStats());
      await page.waitForTimeout(500);
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
      const told = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ target, failureSummary }) => `${target.flat().join(" ")} ${failureSummary}`).join(" | ")}`);
      assert.deepEqual(told, []);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(overflow <= 0, `${overflow} pixels too wide`);
      // The wall's other pages may still be asked about; the unknown camera's 404 is what is tested.
      if (state === "live") assert.deepEqual(page.complaints, []);
    });
  }

  test("<fanlight-player> in a page of another origin", { timeout: 60_000 }, async (t) => {
    const page = await openPage(browser, elsewhere);
    t.after(() => page.context().close());
    await playing(page);
    assert.deepEqual(page.complaints, []);
  });

  test("the language can be switched on the page", { timeout: 60_000 }, async (t) => {
    const page = await openPage(browser, edge.page("door"));
    t.after(() => page.context().close());
    await playing(page);
    await page.selectOption("select[name=language]", "zh-CN");
    await until("Chinese words", 5000, () => page.evaluate(() => document.querySelector("fanlight-player").shadowRoot.textContent.includes("直播中")));
    assert.equal(await page.evaluate(() => document.documentElement.lang), "zh-CN");
  });
});
