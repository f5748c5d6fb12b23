// The page over TLS of an authority that only this browser trusts.
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { openBrowser, openPage, player, playing } from "../lib/browser.mjs";
import { Authority } from "../lib/certificates.mjs";
import { FFMPEG_CLOCK, System } from "../lib/system.mjs";

describe("TLS of a private authority", { timeout: 120_000 }, () => {
  const system = new System();
  after(() => system.close());

  test("the page plays over wss, and asks for TLS from then on", async (t) => {
    const authority = await Authority.create(await system.folder());
    const { cert, key } = await authority.issue("localhost");
    const browser = await openBrowser(system, [], await authority.home());
    const edge = await system.standalone("--camera", "gate", "--input", "test", "--ffmpeg", FFMPEG_CLOCK, "--tls-cert", cert, "--tls-key", key);
    const address = `https://localhost:${edge.port}/cameras/gate`;
    const page = await openPage(browser);
    t.after(() => page.context().close());
    const socket = page.waitForEvent("websocket");
    const answer = await page.goto(address);
    assert.match(answer.headers()["strict-transport-security"], /max-age=\d+/);
    assert.match((await socket).url(), /^wss:/);
    await playing(page);
    assert.equal((await player(page)).stats.decoder, "webcodecs");
    assert.deepEqual(page.complaints, []);
  });
});
