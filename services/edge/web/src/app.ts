// The pages of the edge: the wall at /, one camera at /cameras/{camera}, in one document.
import { readAccount, signOut, type Account } from "./access.ts";
import { CameraPage } from "./camera-page.ts";
import { own } from "./credentials.ts";
import { Wall } from "./wall.ts";
import { applyLanguage, applyTheme, language, setLanguage, setTheme, theme, type Theme } from "./prefs.ts";
import { h, icon, translate, type FanlightPlayer } from "./player.js";

export interface View {
  element: HTMLElement;
  /** What f, s and i act on */
  readonly player: FanlightPlayer | undefined;
  close(): void;
  relabel(): void;
  /** True when the key was used. */
  onKey(key: string): boolean;
}

/** The old guide's port, offered for another server. */
const DEFAULT_PORT = "8103";

class App {
  private view: View | undefined;
  private readonly count = h("span", { class: "count", role: "status" });
  private readonly skip = h("a", { class: "skip", href: "#content" });
  private readonly lang = h("select", { name: "language" }, h("option", { value: "en" }, "English"), h("option", { value: "zh-CN" }, "简体中文"));
  private readonly theme = h("select", { name: "theme" });
  private readonly account = h("span", { class: "account" });
  private who: Account = { user: undefined, canShare: false };
  private readonly server = h("details", { class: "server" });
  private readonly keys = h("footer", { class: "keys" });

  start(): void {
    applyTheme();
    applyLanguage();
    const brand = h("a", { class: "brand", href: "/" }, icon("brand"), "Fanlight");
    brand.addEventListener("click", (event) => {
      event.preventDefault();
      this.go("/");
    });
    this.lang.value = language();
    this.lang.addEventListener("change", () => {
      setLanguage(this.lang.value as ReturnType<typeof language>);
      this.relabel();
    });
    this.theme.addEventListener("change", () => setTheme(this.theme.value as Theme));
    const header = h("header", {}, brand, this.count, h("div", { class: "tools" }, this.account, this.server, this.lang, this.theme));
    document.body.replaceChildren(this.skip, header, this.keys);
    window.addEventListener("popstate", () => this.route());
    document.addEventListener("keydown", (event) => this.onKey(event));
    this.relabel();
    this.route();
    void readAccount().then((account) => {
      this.who = account;
      this.relabel();
    });
  }

  private go(path: string): void {
    if (location.pathname !== path) history.pushState(null, "", own(path));
    this.route();
  }

  private route(): void {
    const camera = /^\/cameras\/([^/]+)\/?$/.exec(location.pathname)?.[1];
    const from = this.view instanceof CameraPage ? this.view.player.camera : undefined;
    this.view?.close();
    this.view?.element.remove();
    this.count.textContent = "";
    if (camera === undefined) {
      this.view = new Wall(
        (text) => (this.count.textContent = text),
        (name) => this.go(`/cameras/${encodeURIComponent(name)}`),
      );
      document.title = "Fanlight";
    } else {
      const name = decodeURIComponent(camera);
      this.view = new CameraPage(name, () => this.go("/"));
      document.title = `${name} · Fanlight`;
    }
    this.keys.before(this.view.element);
    if (from !== undefined) this.view.element.focus();
    this.showShare();
  }

  private showShare(): void {
    if (this.view instanceof CameraPage) this.view.share.element.hidden = !this.who.canShare;
  }

  private relabel(): void {
    const t = (key: string): string => translate(language(), key);
    this.skip.textContent = t("ui.skip");
    this.lang.setAttribute("aria-label", t("ui.language"));
    this.theme.setAttribute("aria-label", t("ui.theme"));
    const options = (["auto", "dark", "light"] as const).map((value) => h("option", { value }, t(`ui.theme.${value}`)));
    this.theme.replaceChildren(...options);
    this.theme.value = theme();
    this.keys.textContent = t("ui.keys");
    this.fillServer(t);
    this.fillAccount(t);
    this.view?.relabel();
  }

  private fillAccount(t: (key: string) => string): void {
    this.showShare();
    const { user } = this.who;
    if (user === undefined) return;
    const leave = h("button", { type: "button", class: "button small" }, t("ui.signOut"));
    leave.addEventListener("click", () => void signOut());
    this.account.replaceChildren(h("span", {}, user), leave);
  }

  /** Another server is opened, not streamed from: its own page needs no permission of this one's policy. */
  private fillServer(t: (key: string) => string): void {
    const host = h("input", { name: "host", required: true, autocomplete: "off", spellcheck: "false" });
    const port = h("input", { name: "port", inputmode: "numeric", pattern: "[0-9]{1,5}", size: "5" });
    host.value = location.hostname;
    port.value = location.port || DEFAULT_PORT;
    const form = h("form", {}, h("label", {}, t("ui.host"), host), h("label", {}, t("ui.port"), port), h("button", { class: "button primary" }, t("ui.go")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const name = host.value.includes(":") && !host.value.startsWith("[") ? `[${host.value}]` : host.value.trim();
      location.assign(`${location.protocol}//${name}${port.value ? `:${port.value}` : ""}/`);
    });
    this.server.replaceChildren(h("summary", {}, t("ui.server")), form);
  }

  private onKey(event: KeyboardEvent): void {
    const target = event.composedPath()[0] as HTMLElement;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName)) return;
    const player = this.view?.player;
    if (event.key === "Escape" && this.server.open) this.server.open = false;
    else if (event.key === "Escape" && this.view instanceof CameraPage && !document.fullscreenElement) this.go("/");
    else if (event.key === "f" && player) void player.toggleFullscreen();
    else if (event.key === "s" && player) void player.saveSnapshot();
    else if (event.key === "i" && player) player.toggleStats();
    else if (!this.view?.onKey(event.key)) return;
    event.preventDefault();
  }
}

new App().start();
