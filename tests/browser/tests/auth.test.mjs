// Signing in, seeing only what one may see, signing out, and share links.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { openBrowser, openPage, player, playing, words } from "../lib/browser.mjs";
import { until } from "../lib/processes.mjs";
import { FFMPEG_CLOCK, System } from "../lib/system.mjs";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PASSWORD = "canary-5d1e correct horse";

/** Complaints that are not the refusals a test provoked. */
const unexpected = (page) => page.complaints.filter((text) => !/status (401|403)|Failed to load resource|WebSocket connection|ERR_ABORTED/.test(text));

async function signIn(page, name, password) {
  await page.fill("[name=name]", name);
  await page.fill("[name=password]", password);
  await page.click("form .button");
}

const state = (page, wanted) =>
  page.waitForFunction((name) => document.querySelector("fanlight-player")?.state === name, wanted, { timeout: 15_000 });

describe("signing in", { timeout: 240_000 }, () => {
  const system = new System();
  let browser, edge, users, keys;
  before(async () => {
    browser = await openBrowser(system);
    const folder = await system.folder();
    [users, keys] = [path.join(folder, "users"), path.join(folder, "session-key")];
    const line = await system.edgeCommand(["hash-password", "--user", "anna", "--cameras", "gate,yard"], PASSWORD);
    assert.ok(!line.includes(PASSWORD));
    await writeFile(users, `${line}\n`);
    await writeFile(keys, "0123456789abcdef0123456789abcdef-tests");
    edge = await system.cameras(
      { gate: { url: "test" }, yard: { url: "test" }, vault: { url: "test" } },
      "--ffmpeg", FFMPEG_CLOCK, "--auth", "password", "--users-file", users, "--session-key-file", keys,
    );
  });
  after(() => system.close());

  /** A page of somebody who has signed in. */
  const signedIn = async (address) => {
    const page = await openPage(browser, address);
    await signIn(page, "anna", PASSWORD);
    await page.waitForURL(address);
    return page;
  };
  const viewers = () => edge.metric("fanlight_edge_viewers");

  test("the page leads to the sign-in page and back, and the wall holds two of three cameras", async (t) => {
    const page = await openPage(browser, edge.page("gate"));
    t.after(() => page.context().close());
    assert.equal(new URL(page.url()).pathname, "/login");
    await page.evaluate(axe);
    assert.deepEqual((await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }))).violations, []);
    await signIn(page, "anna", "wrong");
    await page.waitForFunction(() => /do not fit/.test(document.querySelector("#said").textContent));
    await signIn(page, "anna", PASSWORD);
    await page.waitForURL(edge.page("gate"));
    await playing(page);
    await page.goto(edge.page());
    await page.waitForFunction(() => document.querySelectorAll(".tile").length > 0);
    await page.waitForFunction(() => [...document.querySelectorAll("fanlight-player")].every((one) => one.state === "live"), null, { timeout: 15_000 });
    assert.deepEqual(await page.evaluate(() => [...document.querySelectorAll("fanlight-player")].map((one) => one.camera)), ["gate", "yard"]);
    const cookie = (await page.context().cookies()).find(({ name }) => name === "fanlight_session");
    assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, "Lax"]);
    assert.deepEqual(unexpected(page), []);
  });

  test("a deep link to the third camera is refused in words", async (t) => {
    const page = await signedIn(edge.page("vault"));
    t.after(() => page.context().close());
    await state(page, "forbidden");
    assert.match(await words(page), /You may not watch this camera/);
  });

  test("signing out closes the streams", async (t) => {
    const before = await viewers();
    const page = await signedIn(edge.page("gate"));
    t.after(() => page.context().close());
    const second = await page.context().newPage();
    await second.goto(edge.page("yard"));
    await Promise.all([playing(page), state(second, "live")]);
    await page.click(".account button");
    await page.waitForURL(/\/login\?next=/);
    // the other tab's stream is closed by the server, and it says so
    await second.waitForFunction(() => ["forbidden", "signed-out"].includes(document.querySelector("fanlight-player").state), null, { timeout: 10_000 });
    await until("the streams to be closed", 10_000, async () => (await viewers()) === before);
    await page.goto(edge.page("gate"));
    assert.equal(new URL(page.url()).pathname, "/login");
  });

  test("a share link shows one camera to somebody without an account", async (t) => {
    const page = await signedIn(edge.page("gate"));
    t.after(() => page.context().close());
    await page.click(".share button");
    await page.waitForFunction(() => document.querySelector(".share input").value.startsWith("http"));
    const link = await page.inputValue(".share input");
    const guest = await openPage(browser, link);
    t.after(() => guest.context().close());
    await playing(guest);
    assert.equal(await guest.locator(".share").isVisible(), false, "a guest cannot share on");
    await guest.click(".back");
    await guest.waitForFunction(() => document.querySelectorAll(".tile").length > 0);
    assert.deepEqual(await guest.evaluate(() => [...document.querySelectorAll("fanlight-player")].map((one) => one.camera)), ["gate"]);
    assert.deepEqual(unexpected(guest), []);
  });

  test("a share link ends on time", async (t) => {
    const link = await system.edgeCommand(["share", "--camera", "gate", "--minutes", "0.1", "--session-key-file", keys, "--base", edge.url]);
    const guest = await openPage(browser, link);
    t.after(() => guest.context().close());
    await playing(guest);
    await guest.waitForFunction(() => document.querySelector("fanlight-player").state === "signed-out", null, { timeout: 12_000 });
    assert.match(await words(guest), /Sign in/);
    const { log } = await player(guest);
    assert.ok(log.some(({ text }) => /4401/.test(text)), JSON.stringify(log));
  });

  test("no password, hash or cookie in any output", () => {
    const output = system.output();
    for (const secret of [PASSWORD, "argon2id$v", "fanlight_session="]) {
      const told = output.split("\n").filter((line) => line.includes(secret) && !line.startsWith("anna:$argon2id"));
      assert.deepEqual(told, []);
    }
  });
});
