// Each state brought about for real; its words on the page, in both languages, within three seconds.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openBrowser, words } from "../lib/browser.mjs";
import { FAULTS, provoke } from "../lib/faults.mjs";
import { System } from "../lib/system.mjs";

const LOCALES = ["en-US", "zh-CN"];
const SLACK = Number(process.env.FANLIGHT_SLACK ?? 1.5);

describe("states in words", { timeout: 400_000 }, () => {
  const outer = new System();
  let browser;
  before(async () => {
    browser = await openBrowser(outer);
  });
  after(() => outer.close());

  for (const [name, { words: expected, complains, later }] of Object.entries(FAULTS)) {
    test(name, { timeout: 60_000 }, async (t) => {
      const system = new System();
      t.after(() => system.close());
      const nats = await system.nats();
      const edge = await system.edge(nats);
      const { pages, milliseconds } = await provoke({ system, nats, edge }, name, browser, LOCALES);
      t.diagnostic(`${milliseconds} ms`);
      assert.match(await words(pages["en-US"]), expected.en);
      assert.match(await words(pages["zh-CN"]), expected["zh-CN"]);
      assert.ok(milliseconds < 3000 * SLACK, `it took ${milliseconds} ms`);
      if (later) await Promise.all(Object.values(pages).map(later));
      if (!complains) for (const page of Object.values(pages)) assert.deepEqual(page.complaints, []);
      assert.ok(!system.output().includes("wrong-canary"), "a camera's password was printed");
    });
  }
});
