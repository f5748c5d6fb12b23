// Debian's Chromium, and pages that remember every complaint.
import { chromium } from "playwright-core";
import { installWatch } from "./clock.mjs";

const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
  // a name that is not loopback, and so no secure context, but leads here
  "--host-resolver-rules=MAP cam-lan 127.0.0.1",
];

/** `home`: a home folder of its own, with other certificate authorities than the system's. */
export async function openBrowser(system, flags = [], home = process.env.HOME) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: [...FLAGS, ...flags],
    env: { ...process.env, HOME: home },
  });
  system.cleanup.add(() => browser.close());
  return browser;
}

/** A page in a context of its own, with `complaints`: console warnings and errors, page errors, failed requests. */
export async function openPage(browser, url, { context: options = {}, init = [], goto = {} } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-US", ...options });
  const page = await context.newPage();
  page.complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.complaints.push(`console ${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => page.complaints.push(`page error: ${error.message}`));
  page.on("requestfailed", (request) => page.complaints.push(`request failed: ${request.url()} ${request.failure()?.errorText}`));
  page.on("response", (response) => {
    if (response.status() >= 400) page.complaints.push(`status ${response.status()}: ${response.url()}`);
  });
  await installWatch(page);
  for (const script of init) await page.addInitScript(script);
  if (url) await page.goto(url, goto);
  return page;
}

/** What the page's player says about itself. */
export function player(page, selector = "fanlight-player") {
  return page.evaluate((where) => {
    const element = document.querySelector(where);
    return element && { state: element.state, status: element.status, stats: element.stats, log: [...(element.log ?? [])] };
  }, selector);
}

export async function playing(page, { selector = "fanlight-player", timeout = 15_000 } = {}) {
  try {
    await page.waitForFunction((where) => document.querySelector(where)?.state === "live", selector, { timeout, polling: 20 });
  } catch (error) {
    throw new Error(`not playing: ${JSON.stringify(await player(page, selector))} ${page.complaints.join("; ")}`, { cause: error });
  }
}

/** Text a person can read, of the page and of every player in it. */
export function words(page) {
  return page.evaluate(() => {
    const texts = [document.body.innerText];
    const visit = (root) => {
      for (const element of root.querySelectorAll("*")) {
        if (element.shadowRoot) {
          for (const child of element.shadowRoot.children) texts.push(child.innerText ?? "");
          visit(element.shadowRoot);
        }
      }
    };
    visit(document);
    return texts.join("\n");
  });
}
