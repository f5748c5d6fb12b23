// <fanlight-player>: attributes in, events out, one close(). What plays is the session's business; here is
// what can be seen and pressed.
import { now } from "./clock.ts";
import type { Note } from "./connection.ts";
import { describe, statRows, whyText } from "./describe.ts";
import { h, icon, type Icon } from "./dom.ts";
import { styleSheet } from "./element-style.ts";
import { browserLang, matchLang, translate, type Lang } from "./i18n.ts";
import { leavePip, togglePip } from "./pip.ts";
import { workerUsable } from "./decode/worker-host.ts";
import { Session, type Stage } from "./session.ts";
import type { Status } from "./stall.ts";
import type { Stats } from "./stats.ts";
import type { SnapshotType } from "./decode/engine.ts";

export interface LogLine {
  /** Unix milliseconds */
  time: number;
  text: string;
}

const LOG_LINES = 300;
const STATS_MS = 1000;
const TONES: Partial<Record<Status["name"], string>> = {
  live: "good",
  slow: "warn",
  connecting: "busy",
  waiting: "busy",
  reconnecting: "busy",
  restarting: "busy",
  stalled: "warn",
  offline: "bad",
  unplayable: "bad",
  "unknown-camera": "bad",
  "signed-out": "bad",
  forbidden: "bad",
};

/** Default `src`: the server this module came from. */
const HOME = new URL(import.meta.url).origin;

export class FanlightPlayer extends HTMLElement {
  static readonly observedAttributes = ["src", "camera", "rendition", "token", "share", "lang", "paused"];

  private session: Session | undefined;
  private readonly lines: LogLine[] = [];
  private statsTimer: number | undefined;
  private restartQueued = false;
  private lastName: Status["name"] = "idle";

  private readonly stageBox = h("div", { class: "stage" });
  private readonly word = h("span", { class: "word" });
  private readonly delay = h("span", { class: "delay" });
  private readonly badge = h("div", { class: "badge" }, h("span", { class: "dot" }), this.word, this.delay);
  private readonly headline = h("strong");
  private readonly detail = h("p");
  private readonly action = h("button", { type: "button" });
  private readonly signIn = h("a", {});
  private readonly hint = h("div", { class: "hint", hidden: true });
  private readonly panel = h("div", { class: "panel", hidden: true }, this.headline, this.detail, this.action, this.signIn);
  private readonly said = h("div", { class: "said", role: "status", "aria-live": "polite" });
  private readonly statsBody = h("tbody");
  private readonly statsNote = h("p");
  private readonly statsBox = h("div", { class: "stats", role: "region", hidden: true, tabindex: "0" }, h("table", {}, this.statsBody), this.statsNote);
  private readonly buttons: { icon: Icon; key: string; element: HTMLButtonElement }[] = [];
  private readonly root = h("div", { class: "root" });

  constructor() {
    super();
    const shadow = this.attachShadow({ mode: "open" });
    shadow.adoptedStyleSheets = [styleSheet()];
    const bar = h("div", { class: "bar", part: "controls" });
    const add = (name: Icon, key: string, press: () => void): void => {
      const element = h("button", { type: "button" });
      element.append(icon(name));
      element.addEventListener("click", (event) => {
        event.stopPropagation();
        press();
      });
      this.buttons.push({ icon: name, key, element });
      bar.append(element);
    };
    add("power", "ui.disconnect", () => (this.connected ? this.disconnect() : this.connect()));
    add("stats", "ui.stats", () => this.toggleStats());
    add("snapshot", "ui.snapshot", () => void this.saveSnapshot());
    if (canPip()) add("pip", "ui.pip", () => void this.togglePictureInPicture());
    if (document.fullscreenEnabled) add("fullscreen", "ui.fullscreen", () => void this.toggleFullscreen());
    this.root.append(this.stageBox, this.badge, this.hint, this.panel, this.statsBox, bar, this.said);
    shadow.append(this.root);
    this.action.addEventListener("click", (event) => {
      event.stopPropagation();
      this.onAction();
    });
  }

  /** What is true now: live, slow, connecting, waiting, stalled, offline, unplayable, … (docs/player.md). */
  get state(): Status["name"] {
    return this.session?.status.name ?? "idle";
  }

  /** The state with what belongs to it: since, cause, reason, time of the next attempt. */
  get status(): Status {
    return this.session?.status ?? { name: "idle" };
  }

  get stats(): Stats | undefined {
    return this.session?.stats();
  }

  get log(): readonly LogLine[] {
    return this.lines;
  }

  /** False after `disconnect()` and while the `paused` attribute is set. */
  get connected(): boolean {
    return this.session !== undefined;
  }

  get camera(): string {
    return this.getAttribute("camera") ?? "";
  }

  set camera(value: string) {
    this.setAttribute("camera", value);
  }

  get language(): Lang {
    const own = this.closest("[lang]")?.getAttribute("lang");
    return matchLang(own) ?? browserLang();
  }

  connectedCallback(): void {
    document.addEventListener("visibilitychange", this.onVisibility);
    window.addEventListener("online", this.onHurry);
    window.addEventListener("pageshow", this.onHurry);
    document.addEventListener("fanlight-language", this.onLanguage);
    this.statsTimer = window.setInterval(() => this.onSecond(), STATS_MS);
    this.label();
    if (!this.hasAttribute("paused")) this.connect();
  }

  disconnectedCallback(): void {
    document.removeEventListener("visibilitychange", this.onVisibility);
    window.removeEventListener("online", this.onHurry);
    window.removeEventListener("pageshow", this.onHurry);
    document.removeEventListener("fanlight-language", this.onLanguage);
    window.clearInterval(this.statsTimer);
    leavePip(this.stageBox);
    this.disconnect();
  }

  attributeChangedCallback(name: string, before: string | null, after: string | null): void {
    if (before === after || !this.isConnected) return;
    if (name === "lang") {
      this.label();
      this.show(this.status);
    } else if (name === "paused") {
      if (after === null) this.connect();
      else this.disconnect();
    } else if (this.connected && !this.restartQueued) {
      // Several attributes set in a row are one change.
      this.restartQueued = true;
      queueMicrotask(() => {
        this.restartQueued = false;
        if (!this.connected) return;
        this.disconnect();
        this.stageBox.replaceChildren();
        this.connect();
      });
    }
  }

  connect(): void {
    if (this.session) return;
    if (typeof VideoDecoder !== "undefined") workerUsable(); // it starts while the socket opens; MSE does without
    this.session = new Session(this.addresses(), this.stage(), {
      status: (status) => this.show(status),
      note: (note) => this.note(note),
      picture: (picture) => {
        if (this.hasAttribute("picture-events")) this.dispatchEvent(new CustomEvent("picture", { detail: picture }));
      },
    });
    if (document.hidden) this.session.setVisible(false);
    this.session.connect();
    this.label();
  }

  disconnect(): void {
    const session = this.session;
    if (!session) return;
    session.disconnect();
    this.session = undefined;
    this.show({ name: "idle" });
    const last: Stats = { ...session.stats(), state: "idle", fps: 0, currentRate: 0 };
    this.dispatchEvent(new CustomEvent("stats", { detail: last }));
    this.label();
  }

  /** Same as removing the element's stream for good; safe to call twice. */
  close(): void {
    this.disconnect();
    this.stageBox.replaceChildren();
  }

  /** The present picture at the size of the stream; undefined before the first one. */
  snapshot(type: SnapshotType = "image/png"): Promise<Blob | undefined> {
    return this.session?.snapshot(type) ?? Promise.resolve(undefined);
  }

  /** Saves the present picture as a file of the viewer. */
  async saveSnapshot(type: SnapshotType = "image/png"): Promise<void> {
    const blob = await this.snapshot(type);
    if (!blob) return;
    const stamp = new Date().toISOString().replace(/[:.]/g, "-").slice(0, 19);
    const link = h("a", { download: `${this.camera || "camera"}-${stamp}.${type === "image/png" ? "png" : "jpg"}` });
    link.href = URL.createObjectURL(blob);
    link.click();
    window.setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  async toggleFullscreen(): Promise<void> {
    if (document.fullscreenElement === this) await document.exitFullscreen();
    else await this.requestFullscreen().catch(() => undefined);
  }

  async togglePictureInPicture(): Promise<void> {
    await togglePip(this.stageBox).catch((error: unknown) => this.note({ key: "fallback", values: { path: "picture in picture", message: String(error) } }));
  }

  toggleStats(): void {
    this.statsBox.hidden = !this.statsBox.hidden;
    this.label();
    this.fillStats();
  }

  private addresses(): ConstructorParameters<typeof Session>[0] {
    const base = new URL(this.getAttribute("src") || HOME, location.href);
    const camera = this.camera;
    const rendition = this.getAttribute("rendition");
    const path = camera ? `/ws/${encodeURIComponent(camera)}${rendition ? `/${encodeURIComponent(rendition)}` : ""}` : "/";
    const socket = new URL(path, base);
    socket.protocol = base.protocol === "https:" ? "wss:" : "ws:";
    const api = new URL(`/api/cameras/${encodeURIComponent(camera)}`, base);
    for (const name of ["token", "share"]) {
      const value = this.getAttribute(name);
      if (value) for (const url of [socket, api]) url.searchParams.set(name, value);
    }
    return { socketUrl: socket.href, apiUrl: api.href, camera };
  }

  private stage(): Stage {
    return {
      canvas: () => h("canvas", { width: "1", height: "1", role: "img" }),
      video: () => {
        const video = h("video", { playsinline: true });
        video.muted = true;
        video.disablePictureInPicture = false;
        // It has to be in the document to be painted, above nothing until its first picture.
        video.style.opacity = "0";
        this.stageBox.append(video);
        return video;
      },
      present: (surface) => {
        if (this.stageBox.childElementCount === 1 && surface.parentNode === this.stageBox && surface.style.opacity === "") return;
        surface.style.opacity = "";
        if (surface.parentNode === this.stageBox) {
          for (const other of [...this.stageBox.children]) if (other !== surface) other.remove();
        } else {
          this.stageBox.replaceChildren(surface);
        }
        surface.setAttribute("aria-label", translate(this.language, "ui.player", { camera: this.camera }));
      },
    };
  }

  private readonly onVisibility = (): void => this.session?.setVisible(!document.hidden);
  private readonly onHurry = (): void => this.session?.hurry();
  private readonly onLanguage = (): void => {
    this.label();
    this.show(this.status);
  };

  private onAction(): void {
    const { name } = this.status;
    if (name === "idle") this.connect();
    else if (name === "blocked") this.session?.unblock();
    else this.session?.hurry();
  }

  private show(status: Status): void {
    const lang = this.language;
    const words = describe(status, lang, now());
    const { name } = status;
    const tone = TONES[name] ?? "";
    if (this.badge.dataset["tone"] !== tone) this.badge.dataset["tone"] = tone;
    setText(this.word, words.title);
    const calm = name === "live";
    this.root.classList.toggle("dim", !calm && name !== "slow" && name !== "blocked");
    this.panel.hidden = calm || name === "slow" || ((name === "connecting" || name === "waiting") && this.stageBox.childElementCount > 0);
    setText(this.headline, words.title);
    setText(this.detail, words.detail);
    this.detail.hidden = words.detail === "";
    this.hint.hidden = name !== "slow";
    setText(this.hint, name === "slow" ? words.detail : "");
    const action = ACTIONS[name];
    this.action.hidden = action === undefined;
    if (action) setText(this.action, translate(lang, action));
    this.signIn.hidden = name !== "signed-out";
    if (name === "signed-out") {
      setText(this.signIn, translate(lang, "ui.signIn"));
      const login = new URL("/login", new URL(this.getAttribute("src") || HOME, location.href));
      login.searchParams.set("next", location.pathname);
      this.signIn.href = login.href;
    }
    if (name !== this.lastName) {
      this.lastName = name;
      this.setAttribute("state", name);
      setText(this.said, words.spoken);
      if (name !== "live") setText(this.delay, "");
      this.dispatchEvent(new CustomEvent("statechange", { detail: { state: name, status, text: words.spoken } }));
    }
  }

  private onSecond(): void {
    const stats = this.stats;
    if (!stats) return;
    const { current } = stats.latency;
    setText(this.delay, current !== null && (stats.state === "live" || stats.state === "slow") ? `${Math.round(current)} ms` : "");
    this.fillStats(stats);
    this.dispatchEvent(new CustomEvent("stats", { detail: stats }));
  }

  private fillStats(stats = this.stats): void {
    if (this.statsBox.hidden || !stats) return;
    const lang = this.language;
    const rows = statRows(stats, lang);
    while (this.statsBody.rows.length < rows.length) this.statsBody.append(h("tr", {}, h("th", { scope: "row" }), h("td")));
    rows.forEach((row, index) => {
      const [name, value] = this.statsBody.rows[index]!.children;
      setText(name as HTMLElement, row.name);
      setText(value as HTMLElement, row.value);
    });
    setText(this.statsNote, `${whyText(stats, lang)}. ${translate(lang, "stat.latencyNote")}`);
  }

  private label(): void {
    const lang = this.language;
    for (const { icon: name, key, element } of this.buttons) {
      const words = translate(lang, name === "power" && !this.connected ? "ui.connect" : key);
      element.title = words;
      element.setAttribute("aria-label", words);
      if (name === "stats") element.setAttribute("aria-pressed", String(!this.statsBox.hidden));
    }
    this.statsBox.setAttribute("aria-label", translate(lang, "ui.stats"));
    this.setAttribute("role", "group");
    this.setAttribute("aria-label", translate(lang, "ui.player", { camera: this.camera }));
  }

  private note({ key, values }: Note): void {
    const lang = this.language;
    const shown = { ...values };
    if (key === "path") shown["why"] = translate(lang, `why.${values?.["why"]}`);
    if (key === "state") shown["state"] = translate(lang, `state.${values?.["state"]}`);
    const line = { time: Date.now(), text: translate(lang, `log.${key}`, shown) };
    this.lines.push(line);
    if (this.lines.length > LOG_LINES) this.lines.shift();
    this.dispatchEvent(new CustomEvent("log", { detail: line }));
  }
}

const ACTIONS: Partial<Record<Status["name"], string>> = {
  idle: "ui.connect",
  blocked: "ui.play",
  reconnecting: "ui.retry",
  restarting: "ui.retry",
  "unknown-camera": "ui.retry",
  forbidden: "ui.retry",
};

function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

function canPip(): boolean {
  return "documentPictureInPicture" in window || document.pictureInPictureEnabled;
}
