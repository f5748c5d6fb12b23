// Eight cameras on one wall, watched tile by tile, with the heap.
import { openPage } from "./browser.mjs";
import { until } from "./processes.mjs";
import { FFMPEG_CLOCK } from "./system.mjs";

export const CAMERAS = ["alley", "bridge", "court", "door", "entry", "field", "gate", "hall"];

export async function openWall(system, browser, codecs = ["h264"]) {
  const cameras = Object.fromEntries(CAMERAS.map((name, at) => [name, { url: "test", codec: codecs[at % codecs.length] }]));
  const edge = await system.cameras(cameras, "--ffmpeg", FFMPEG_CLOCK);
  for (const name of CAMERAS) await edge.state(name, "live", 40_000);
  const page = await openPage(browser, edge.page(), { context: { viewport: { width: 1600, height: 1000 } } });
  await until("all tiles to play", 30_000, () =>
    page.evaluate((count) => {
      const players = [...document.querySelectorAll("fanlight-player")];
      return players.length === count && players.every((player) => player.state === "live");
    }, CAMERAS.length),
  );
  return { edge, page };
}

/**
 * Watches the wall for so long. Reading pixels costs more than playing does, so the tiles take turns in being read
 * (`seen`, pictures a second by their clocks); what the players count is taken of all of them all the time
 * (`painted`).
 */
export function watchTiles(page, seconds) {
  return page.evaluate(
    async (ms) => {
      const { surfaces, read, now } = window.fanlightWatch;
      const elements = [...document.querySelectorAll("fanlight-player")];
      const count = () => elements.map((element) => element.stats.painted);
      const turn = (element, length) =>
        new Promise((resolve) => {
          const started = now();
          let pictures = -1;
          let last;
          const look = () => {
            const surface = surfaces(element.shadowRoot)[0];
            const stamp = surface && read(surface)?.stamp;
            if (stamp !== undefined && stamp !== last) {
              last = stamp;
              pictures += 1;
            }
            if (now() - started >= length) resolve((pictures * 1000) / (now() - started));
            else requestAnimationFrame(look);
          };
          requestAnimationFrame(look);
        });
      const [started, before] = [now(), count()];
      const seen = [];
      for (const element of elements) seen.push(await turn(element, ms / elements.length));
      const [length, after] = [now() - started, count()];
      return elements.map((element, at) => ({
        name: element.camera,
        seen: seen[at],
        painted: ((after[at] - before[at]) * 1000) / length,
        fps: Math.min(seen[at], ((after[at] - before[at]) * 1000) / length),
      }));
    },
    seconds * 1000,
  );
}

/** Bytes of JavaScript heap after a collection, of the page. */
export async function heap(page) {
  const session = await page.context().newCDPSession(page);
  try {
    await session.send("HeapProfiler.enable");
    await session.send("HeapProfiler.collectGarbage");
    const { usedSize } = await session.send("Runtime.getHeapUsage");
    return usedSize;
  } finally {
    await session.detach();
  }
}
