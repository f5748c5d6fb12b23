// The wall for FANLIGHT_SOAK_SECONDS (10 minutes): rates and heap hold.
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { openBrowser } from "../lib/browser.mjs";
import { System } from "../lib/system.mjs";
import { heap, openWall, watchTiles } from "../lib/wall.mjs";

const SECONDS = Number(process.env.FANLIGHT_SOAK_SECONDS ?? 600);

describe("soak", { timeout: (SECONDS + 180) * 1000 }, () => {
  const system = new System();
  after(() => system.close());

  test(`the wall for ${SECONDS} s`, { timeout: (SECONDS + 150) * 1000 }, async (t) => {
    const browser = await openBrowser(system);
    const { page } = await openWall(system, browser, ["h264", "mpeg1"]);
    await watchTiles(page, 60);
    const early = await heap(page);
    for (let done = 60; done < SECONDS; done += 60) {
      const tiles = await watchTiles(page, 60);
      const now = await heap(page);
      t.diagnostic(`${done + 60} s: slowest ${Math.min(...tiles.map(({ fps }) => fps)).toFixed(2)} fps, heap ${now} bytes`);
      for (const { name, fps } of tiles) assert.ok(fps >= 14, `${name}: ${fps} pictures a second`);
      assert.ok(now < early * 1.1 + 256 * 1024, `the heap grew from ${early} to ${now} bytes`);
    }
    assert.deepEqual(page.complaints, []);
  });
});
