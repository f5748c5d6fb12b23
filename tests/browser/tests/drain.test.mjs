// A replica leaves while a real browser watches: the player opens the new socket first and moves at a picture, so
// that none is missing and none is shown twice.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openBrowser, openPage, player, playing } from "../lib/browser.mjs";
import { until } from "../lib/processes.mjs";
import { Proxy } from "../lib/proxy.mjs";
import { System } from "../lib/system.mjs";

const FPS = 15;
const PICTURE = 90_000 / FPS;

describe("an edge that leaves", { timeout: 120_000 }, () => {
  const system = new System();
  let browser, nats;
  before(async () => {
    browser = await openBrowser(system);
    nats = await system.nats();
    await system.ingest(nats, "gate", "test", "--fps", String(FPS));
  });
  after(() => system.close());

  test("not one picture missing or twice", async (t) => {
    const drain = ["--drain-delay", "0", "--drain-seconds", "4"];
    const [old, fresh] = [await system.edge(nats, ...drain), await system.edge(nats, ...drain)];
    for (const edge of [old, fresh]) await edge.state("gate");
    const balancer = { port: old.port }; // where new connections go
    const proxy = await Proxy.open(system, balancer);
    const page = await openPage(browser, `${proxy.url}/cameras/gate`);
    await playing(page);
    await page.evaluate(() => {
      const element = document.querySelector("fanlight-player");
      window.seen = { pts: [], states: [] };
      element.addEventListener("picture", ({ detail }) => window.seen.pts.push(detail.pts));
      element.addEventListener("statechange", ({ detail }) => window.seen.states.push(detail.state));
      element.setAttribute("picture-events", "");
    });
    await page.waitForTimeout(1500);
    balancer.port = fresh.port;
    old.child.kill("SIGTERM");
    await until("the old edge to end", 20_000, () => old.child.code !== undefined);
    await page.waitForTimeout(1500);
    const { pts, states } = await page.evaluate(() => window.seen);
    const steps = pts.slice(1).map((at, index) => Math.round((at - pts[index]) / PICTURE));
    const said = await player(page);
    t.diagnostic(`${pts.length} pictures`);
    assert.ok(pts.length > 2 * FPS, `${pts.length} pictures`);
    assert.deepEqual(steps.filter((step) => step !== 1), [], "each picture follows the one before");
    assert.deepEqual(states, [], "it stayed live");
    assert.ok(said.log.some(({ text }) => /switched to the second connection/.test(text)), JSON.stringify(said.log));
    assert.equal(old.child.code, 0);
    assert.deepEqual(page.complaints, []);
  });
});
