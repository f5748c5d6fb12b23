// One camera: the picture large, its figures and its log beside it.
import { Share } from "./access.ts";
import { credentials } from "./credentials.ts";
import { language } from "./prefs.ts";
import { FanlightPlayer, clock, h, icon, statRows, timeOfDay, translate, whyText, type LogLine, type Stats } from "./player.js";
import type { View } from "./app.ts";

const LOG_MS = 250;

export class CameraPage implements View {
  readonly element = h("main", { class: "camera", id: "content", tabindex: "-1" });
  readonly player: FanlightPlayer;
  readonly share: Share;
  private readonly heading = h("h1");
  private readonly back = h("a", { class: "back", href: "/" });
  private readonly connect = h("button", { type: "button", class: "button primary" });
  private readonly save = h("button", { type: "button", class: "button" });
  private readonly format = h("select", {}, h("option", { value: "image/png" }, "PNG"), h("option", { value: "image/jpeg" }, "JPEG"));
  private readonly statsTitle = h("h2");
  private readonly rows = h("tbody");
  private readonly why = h("p", { class: "why" });
  private readonly note = h("p", { class: "why" });
  private readonly logTitle = h("h2");
  private readonly copy = h("button", { type: "button", class: "button small" });
  private readonly lines = h("ol", { class: "log", tabindex: "0" });
  private fresh: LogLine[] = [];
  private copied: number | undefined;

  constructor(camera: string, leave: () => void) {
    this.player = h("fanlight-player", { camera, ...Object.fromEntries(credentials) });
    this.share = new Share(camera);
    this.heading.textContent = camera;
    this.back.addEventListener("click", (event) => {
      event.preventDefault();
      leave();
    });
    this.connect.addEventListener("click", () => {
      if (this.player.connected) this.player.disconnect();
      else this.player.connect();
      this.labelConnect();
    });
    this.save.addEventListener("click", () => void this.player.saveSnapshot(this.format.value as "image/png"));
    this.copy.addEventListener("click", () => void this.copyLog());
    this.player.addEventListener("stats", (event) => this.figures((event as CustomEvent<Stats>).detail));
    this.player.addEventListener("statechange", () => this.labelConnect());
    this.player.addEventListener("log", (event) => this.line((event as CustomEvent<LogLine>).detail));
    this.element.append(
      h("div", { class: "head" }, this.back, this.heading, h("div", { class: "actions" }, this.connect, this.save, this.format, this.share.element)),
      h("div", { class: "view" }, this.player),
      h(
        "aside",
        {},
        h("section", { class: "figures" }, this.statsTitle, h("table", {}, this.rows), this.why, this.note),
        h("section", { class: "logbox" }, h("div", { class: "row" }, this.logTitle, this.copy), this.lines),
      ),
    );
    this.relabel();
  }

  close(): void {
    window.clearTimeout(this.copied);
    this.player.close();
  }

  onKey(): boolean {
    return false;
  }

  relabel(): void {
    const t = (key: string): string => translate(language(), key);
    const label = t("ui.back");
    this.back.replaceChildren(icon("back"), h("span", {}, t("ui.allCameras")));
    this.back.setAttribute("aria-label", label);
    this.labelConnect();
    this.save.textContent = t("ui.snapshot");
    this.format.setAttribute("aria-label", t("ui.format"));
    this.share.relabel();
    this.statsTitle.textContent = t("ui.stats");
    this.logTitle.textContent = t("ui.log");
    this.copy.textContent = t("ui.copy");
    this.lines.setAttribute("aria-label", t("ui.log"));
    this.note.textContent = t("stat.latencyNote");
    const stats = this.player.stats;
    if (stats) this.figures(stats);
  }

  private labelConnect(): void {
    this.connect.textContent = translate(language(), this.player.connected ? "ui.disconnect" : "ui.connect");
  }

  private figures(stats: Stats): void {
    if (stats.width > 0) this.player.style.aspectRatio = `${stats.width} / ${stats.height}`;
    const rows = statRows(stats, language());
    while (this.rows.rows.length < rows.length) this.rows.append(h("tr", {}, h("th", { scope: "row" }), h("td")));
    rows.forEach((row, index) => {
      const line = this.rows.rows[index]!;
      line.dataset["stat"] = row.id;
      if (line.cells[0]!.textContent !== row.name) line.cells[0]!.textContent = row.name;
      if (line.cells[1]!.textContent !== row.value) line.cells[1]!.textContent = row.value;
    });
    const why = whyText(stats, language());
    if (this.why.textContent !== why) this.why.textContent = why;
  }

  /** Lines come in bursts while a picture is waited for: they are shown together, and after it. */
  private line(line: LogLine): void {
    this.fresh.push(line);
    if (this.fresh.length === 1) window.setTimeout(() => this.showLines(), LOG_MS);
  }

  private showLines(): void {
    const atEnd = this.lines.scrollHeight - this.lines.scrollTop - this.lines.clientHeight < 30;
    for (const { time, text } of this.fresh.splice(0)) this.lines.append(h("li", {}, h("time", {}, timeOfDay(time)), text));
    while (this.lines.childElementCount > 300) this.lines.firstElementChild!.remove();
    if (atEnd) this.lines.scrollTop = this.lines.scrollHeight;
  }

  private async copyLog(): Promise<void> {
    const text = this.player.log.map((line) => `${new Date(line.time).toISOString()} ${line.text}`).join("\n");
    if (!(await toClipboard(`${this.player.camera} ${clock(Date.now(), "en")}\n${text}\n`))) return;
    this.copy.textContent = translate(language(), "ui.copied");
    window.clearTimeout(this.copied);
    this.copied = window.setTimeout(() => this.relabel(), 2000);
  }
}

/** The clipboard interface exists on secure pages only; elsewhere the old way of selecting text. */
async function toClipboard(text: string): Promise<boolean> {
  const wrote = await navigator.clipboard?.writeText(text).then(
    () => true,
    () => false,
  );
  if (wrote) return true;
  const area = h("textarea", { class: "said", readonly: true });
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}
