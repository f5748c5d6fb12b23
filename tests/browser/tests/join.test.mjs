// From the upgrade of the WebSocket to the first picture on the screen, and to the first current one.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openBrowser, openPage } from "../lib/browser.mjs";
import { summary } from "../lib/clock.mjs";
import { sleep } from "../lib/processes.mjs";
import { FFMPEG_CLOCK, System } from "../lib/system.mjs";

// 1 in `make bench`; two cores that compile something else double the times of a join
const SLACK = Number(process.env.FANLIGHT_SLACK ?? 3);
// p95 is the worst of up to 19: more joins belong to the tight budgets
const JOINS = Number(process.env.FANLIGHT_JOINS ?? (SLACK === 1 ? 60 : 8));
const DONE = "joined";

/**
 * In the page: notes when the socket opened, then looks at every frame for a picture and for a current one, and
 * says so on the console. Nothing is evaluated in the page before that: Playwright's first evaluation brings
 * 330 kB of script, which took the main thread for 30 ms of each join.
 */
function timeJoin(done) {
  const Native = window.WebSocket;
  const join = (window.join = {});
  window.WebSocket = class extends Native {
    constructor(...args) {
      super(...args);
      this.addEventListener("open", () => (join.open ??= performance.now()));
    }
  };
  const look = () => {
    const { surfaces, read, age, now } = window.fanlightWatch;
    const surface = surfaces(document).find((element) => element.style.opacity !== "0" && (element.videoWidth ?? element.width) > 16);
    const stamp = surface && read(surface)?.stamp;
    if (stamp !== undefined && join.open !== undefined) {
      join.picture ??= performance.now() - join.open;
      if (age(stamp, now()) < 300) join.current ??= performance.now() - join.open;
    }
    if (join.current === undefined) requestAnimationFrame(look);
    else console.debug(done);
  };
  document.addEventListener("DOMContentLoaded", () => requestAnimationFrame(look));
}
const NO_WEBCODECS = () => {
  delete window.VideoDecoder;
};

const PATHS = [
  { decoder: "webcodecs", codec: "h264", init: [], picture: 120, current: 150 },
  { decoder: "mse", codec: "h264", init: [NO_WEBCODECS], picture: 120, current: 150 },
  // JSMpeg is loaded when it is needed and decodes the pictures since the key one by one
  { decoder: "jsmpeg", codec: "mpeg1", init: [], picture: 300, median: 400, worst: 700 },
];

describe("joining", { timeout: 600_000 }, () => {
  const outer = new System();
  let browser;
  before(async () => {
    browser = await openBrowser(outer);
  });
  after(() => outer.close());

  for (const { decoder, codec, init, picture, current, median, worst } of PATHS) {
    test(`${decoder}: ${JOINS} joins at random times`, { timeout: 180_000 }, async (t) => {
      const system = new System();
      t.after(() => system.close());
      const edge = await system.standalone("--camera", "clock", "--input", "test", "--codec", codec, "--ffmpeg", FFMPEG_CLOCK);
      await edge.state("clock");
      const joins = [];
      for (let join = 0; join < JOINS; join++) {
        await sleep(Math.random() * 2000);
        const page = await openPage(browser, undefined, { init });
        await page.addInitScript(timeJoin, DONE);
        const joined = page.waitForEvent("console", { predicate: (message) => message.text() === DONE, timeout: 15_000 });
        await Promise.all([joined, page.goto(edge.page("clock"))]);
        joins.push(await page.evaluate(() => window.join));
        assert.deepEqual(page.complaints, []);
        await page.context().close();
      }
      const first = summary(joins.map((join) => join.picture));
      const live = summary(joins.map((join) => join.current));
      t.diagnostic(`picture ${JSON.stringify(first)}, younger than 300 ms ${JSON.stringify(live)}`);
      assert.ok(first.p95 < picture * SLACK, `first picture after ${first.p95} ms`);
      if (current) assert.ok(live.p95 < current * SLACK, `current after ${live.p95} ms`);
      if (median) assert.ok(live.p50 < median * SLACK && live.max < worst * SLACK, `current after ${live.p50} ms, at worst ${live.max} ms`);
    });
  }
});
