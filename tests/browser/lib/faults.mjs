// Each state a viewer can be told about, and how to bring it about with the real programs.
import { openPage, playing } from "./browser.mjs";
import { Proxy } from "./proxy.mjs";
import { FFMPEG_CLOCK } from "./system.mjs";

/**
 * One entry a state: `set` prepares and gives the page's address; `fault`, where there is one, happens once the
 * page plays. `state` are the element's states that may follow, `words` what the page has to say.
 */
export const FAULTS = {
  "camera unplugged": {
    async set({ system, nats, edge }) {
      const camera = await system.camera();
      await system.ingest(nats, "unplugged", camera.url);
      await edge.state("unplugged");
      return { address: edge.page("unplugged"), fault: () => camera.child.kill("SIGKILL") };
    },
    state: ["offline", "stalled"],
    words: { en: /(Camera offline|No new picture)[\s\S]*(camera|connection|stopped|refuse)/i, "zh-CN": /(摄像头离线|画面停止更新)[\s\S]*摄像头/ },
  },
  "wrong camera password": {
    async set({ system, nats, edge }) {
      const camera = await system.camera("--password", "right");
      await system.ingest(nats, "locked", camera.url.replace("right", "wrong-canary"));
      await edge.state("locked", "offline");
      return { address: edge.page("locked") };
    },
    state: ["offline"],
    words: { en: /Camera offline[\s\S]*password/i, "zh-CN": /摄像头离线[\s\S]*密码/ },
  },
  "stalled source": {
    async set({ system, nats, edge }) {
      const camera = await system.camera();
      system.cleanup.add(() => camera.child.kill("SIGCONT"));
      await system.ingest(nats, "silent", camera.url, "--codec", "copy");
      await edge.state("silent");
      return { address: edge.page("silent"), fault: () => camera.child.kill("SIGSTOP") };
    },
    state: ["stalled", "offline"],
    words: { en: /No new picture[\s\S]*since|Camera offline/, "zh-CN": /画面停止更新[\s\S]*自|摄像头离线/ },
  },
  "unknown camera": {
    set: async ({ edge }) => ({ address: edge.page("nowhere") }),
    state: ["unknown-camera"],
    words: { en: /Unknown camera[\s\S]*no such camera/, "zh-CN": /未知的摄像头[\s\S]*没有这个摄像头/ },
    complains: true,
  },
  "H.265": {
    async set({ system, nats, edge }) {
      const camera = await system.camera("--codec", "h265");
      await system.ingest(nats, "hevc", camera.url, "--codec", "copy");
      await edge.state("hevc");
      return { address: edge.page("hevc") };
    },
    state: ["unplayable"],
    words: { en: /Cannot be played here[\s\S]*H\.265/, "zh-CN": /此处无法播放[\s\S]*H\.265/ },
  },
  "viewer too slow": {
    async set({ system, nats, edge }) {
      const proxy = await Proxy.open(system, edge);
      await system.ingest(nats, "wide", "test", "--bitrate", "4000k", "--size", "1280x720", "--ffmpeg", FFMPEG_CLOCK);
      await edge.state("wide");
      return { address: `${proxy.url}/cameras/wide`, fault: () => (proxy.bytesPerSecond = 150_000) };
    },
    state: ["slow"],
    words: { en: /slow connection[\s\S]*too slow/, "zh-CN": /网络较慢[\s\S]*跟不上/ },
    // The page finds out by itself; once the buffers between are full, the edge skips.
    later: (page) => page.waitForFunction(() => document.querySelector("fanlight-player").stats.skips > 0, undefined, { timeout: 30_000, polling: 200 }),
  },
  "NATS gone": {
    async set({ system, nats, edge }) {
      await system.ingest(nats, "cut-off", "test", "--ffmpeg", FFMPEG_CLOCK);
      await edge.state("cut-off");
      return { address: edge.page("cut-off"), fault: () => nats.child.kill("SIGKILL") };
    },
    state: ["stalled", "offline", "reconnecting"],
    words: { en: /No new picture|Camera offline|Reconnecting/, "zh-CN": /画面停止更新|摄像头离线|正在重新连接/ },
    own: true,
  },
  "edge gone": {
    async set({ system, nats, edge }) {
      await system.ingest(nats, "left-alone", "test", "--ffmpeg", FFMPEG_CLOCK);
      await edge.state("left-alone");
      return { address: edge.page("left-alone"), fault: () => edge.child.kill("SIGKILL") };
    },
    state: ["reconnecting"],
    words: { en: /Reconnecting[\s\S]*(lost|cannot be reached)/, "zh-CN": /正在重新连接[\s\S]*(中断|无法连接)/ },
    own: true,
    complains: true,
  },
};

/** Opens the page in each language, lets the fault happen and waits until the element says so. */
export async function provoke(world, name, browser, locales, options = {}) {
  const { set, state } = FAULTS[name];
  const { address, fault } = await set(world);
  const pages = {};
  for (const locale of locales) {
    pages[locale] = await openPage(browser, address, { context: { locale, ...options } });
    world.system.cleanup.add(() => pages[locale].context().close());
  }
  if (fault) for (const page of Object.values(pages)) await playing(page);
  const started = Date.now();
  if (fault) await fault();
  await Promise.all(
    Object.values(pages).map((page) =>
      page.waitForFunction((names) => names.includes(document.querySelector("fanlight-player")?.state), state, { timeout: 20_000, polling: 50 }),
    ),
  );
  return { pages, milliseconds: Date.now() - started };
}
