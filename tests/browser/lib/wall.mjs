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

/** Looks at every tile at each animation frame for so long: pictures a second by what is seen. */
export function watchTiles(page, seconds) {
  return page.evaluate(
    (ms) =>
      new Promise((resolve) => {
        const { surfaces, read, now } = window.fanlightWatch;
        const tiles = [...document.querySelectorAll("fanlight-player")].map((element) => ({ element, name: element.camera, count: -1, last: undefined }));
        const started = now();
        const look = () => {
          for (const tile of tiles) {
            const surface = surfaces(tile.element.shadowRoot)[0];
            const stamp = surface && read(surface)?.stamp;
            if (stamp !== undefined && stamp !== tile.last) {
              tile.last = stamp;
              tile.count += 1;
            }
          }
          if (now() - started >= ms) resolve(tiles.map(({ name, count }) => ({ name, fps: (count * 1000) / (now() - started) })));
          else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
      }),
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
