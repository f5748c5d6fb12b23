// Takes the screenshots of docs/images: `node run.mjs pictures`. Not part of make test.
import { mkdirSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { openBrowser, openPage, playing } from "../lib/browser.mjs";
import { FAULTS, provoke } from "../lib/faults.mjs";
import { ROOT, until } from "../lib/processes.mjs";
import { System } from "../lib/system.mjs";

const images = path.join(ROOT, "docs/images");
const slug = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, "-");

describe("pictures", { timeout: 600_000 }, () => {
  const system = new System();
  let browser, edge;
  before(async () => {
    mkdirSync(images, { recursive: true });
    browser = await openBrowser(system);
    edge = await system.cameras({
      door: { url: "test" }, yard: { url: "test" }, garage: { url: "test", codec: "mpeg1" },
      gate: { url: "test" }, lobby: { url: "test" }, dock: { url: "test", codec: "mpeg1" },
    });
    for (const name of ["door", "yard", "garage", "gate", "lobby", "dock"]) await edge.state(name, "live", 40_000);
  });
  after(() => system.close());

  const shot = async (name, address, options, prepare) => {
    const page = await openPage(browser, address, { context: { viewport: { width: 1280, height: 800 }, colorScheme: "dark", ...options } });
    await until("every tile to play", 20_000, () =>
      page.evaluate(() => [...document.querySelectorAll("fanlight-player")].filter((player) => player.getBoundingClientRect().top < innerHeight).every((player) => player.state === "live")),
    );
    await playing(page);
    await prepare?.(page);
    await page.waitForTimeout(4000);
    await page.screenshot({ path: path.join(images, `${name}.png`) });
    await page.context().close();
  };
  const stats = (page) => page.evaluate(() => document.querySelector("fanlight-player").toggleStats());
  const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };

  test("the wall", () => shot("page", edge.page(), {}));
  test("the wall, light", () => shot("wall-light", edge.page(), { colorScheme: "light" }));
  test("the wall, Chinese", () => shot("wall-chinese", edge.page(), { locale: "zh-CN" }));
  test("the wall on a phone", () => shot("wall-phone", edge.page(), phone));
  test("one camera", () => shot("camera", edge.page("door"), {}, stats));
  test("one camera, light, Chinese", () => shot("camera-light-chinese", edge.page("door"), { colorScheme: "light", locale: "zh-CN" }, stats));
  test("one camera on a phone", () => shot("camera-phone", edge.page("yard"), phone));

  test("signing in, and what is not for everybody", async (t) => {
    const world = new System();
    t.after(() => world.close());
    const folder = await world.folder();
    const users = path.join(folder, "users");
    await writeFile(users, `${await world.edgeCommand(["hash-password", "--user", "anna", "--cameras", "gate"], "a good password")}\n`);
    const guarded = await world.cameras({ gate: { url: "test" }, vault: { url: "test" } }, "--auth", "password", "--users-file", users);
    const page = await openPage(browser, guarded.page("gate"), { context: { colorScheme: "dark" } });
    const save = (name) => page.screenshot({ path: path.join(images, `${name}.png`) });
    await page.fill("[name=name]", "anna");
    await page.fill("[name=password]", "wrong");
    await page.click("form .button");
    await page.waitForFunction(() => document.querySelector("#said").textContent !== "");
    await save("sign-in");
    await page.fill("[name=password]", "a good password");
    await page.click("form .button");
    await playing(page);
    await page.click(".share button");
    await page.waitForFunction(() => document.querySelector(".share input").value.startsWith("http"));
    await page.waitForTimeout(2000);
    await save("share");
    await page.goto(guarded.page("vault"));
    await page.waitForFunction(() => document.querySelector("fanlight-player")?.state === "forbidden");
    await save("state-not-allowed");
    await page.goto(guarded.page("gate"));
    await playing(page);
    await writeFile(users, (await readFile(users, "utf8")).replace("anna:", "ben:"));
    await page.waitForFunction(() => ["forbidden", "signed-out"].includes(document.querySelector("fanlight-player").state), null, { timeout: 10_000 });
    await save("state-withdrawn");
    await page.context().close();
  });

  for (const name of Object.keys(FAULTS)) {
    test(name, async (t) => {
      const world = { system: new System() };
      t.after(() => world.system.close());
      world.nats = await world.system.nats();
      world.edge = await world.system.edge(world.nats);
      const { pages } = await provoke(world, name, browser, ["en-US"], { colorScheme: "dark" });
      await pages["en-US"].waitForTimeout(1000);
      await pages["en-US"].screenshot({ path: path.join(images, `state-${slug(name)}.png`) });
    });
  }
});
