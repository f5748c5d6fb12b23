// The wall: every camera in a grid; only tiles in view play.
import { credentials, own } from "./credentials.ts";
import { watchCameras, type CameraInfo, type Listing } from "./cameras.ts";
import { language } from "./prefs.ts";
import { FanlightPlayer, h, translate } from "./player.js";
import type { View } from "./app.ts";

interface Tile {
  link: HTMLAnchorElement;
  player: FanlightPlayer;
  viewers: HTMLElement;
}

/** How far outside of the window a tile begins to play, so that scrolling finds it moving. */
const MARGIN = "160px";

export class Wall implements View {
  readonly element = h("main", { class: "wall", id: "content", tabindex: "-1" });
  private readonly heading = h("h1", { class: "said" });
  private readonly grid = h("ul", { class: "grid" });
  private readonly notice = h("section", { class: "notice", role: "status", hidden: true });
  private readonly tiles = new Map<string, Tile>();
  private readonly inView: IntersectionObserver;
  private readonly stop: () => void;
  private listing: Listing | undefined;

  constructor(
    private readonly count: (text: string) => void,
    private readonly open: (camera: string) => void,
  ) {
    this.element.append(this.heading, this.notice, this.grid);
    this.inView = new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) {
          const player = (target as HTMLElement).querySelector("fanlight-player");
          player?.toggleAttribute("paused", !isIntersecting);
        }
      },
      { rootMargin: MARGIN },
    );
    this.stop = watchCameras((listing) => this.show(listing));
    this.relabel();
  }

  close(): void {
    this.stop();
    this.inView.disconnect();
    for (const { player } of this.tiles.values()) player.close();
  }

  relabel(): void {
    this.heading.textContent = translate(language(), "ui.cameras");
    this.grid.setAttribute("aria-label", translate(language(), "ui.cameras"));
    for (const [camera, tile] of this.tiles) tile.link.setAttribute("aria-label", translate(language(), "ui.open", { camera }));
    if (this.listing) this.show(this.listing);
  }

  /** The player that keys act on. */
  get player(): FanlightPlayer | undefined {
    return this.focused()?.player;
  }

  onKey(key: string): boolean {
    const tiles = [...this.tiles.values()];
    const at = tiles.findIndex((tile) => tile.link.contains(document.activeElement) || tile.player.contains(document.activeElement));
    const steps: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns(), ArrowUp: -this.columns() };
    const step = steps[key];
    if (step === undefined || tiles.length === 0) return false;
    const next = at < 0 ? 0 : at + step;
    tiles[next]?.link.focus();
    return true;
  }

  private focused(): Tile | undefined {
    return [...this.tiles.values()].find((tile) => tile.link.parentElement?.contains(document.activeElement));
  }

  private columns(): number {
    return getComputedStyle(this.grid).gridTemplateColumns.split(" ").length;
  }

  private show(listing: Listing): void {
    this.listing = listing;
    const t = (key: string, values = {}): string => translate(language(), key, values);
    if ("failure" in listing) {
      // What plays goes on; only the list is unknown.
      this.tell(t(listing.failure === "signedOut" ? "ui.listSignedOut" : "ui.listFailed"), "", listing.failure === "signedOut");
      return;
    }
    const { cameras } = listing;
    if (cameras.length === 0) this.tell(t("ui.none"), t("ui.noneDetail"));
    else this.notice.hidden = true;
    this.update(cameras);
    const live = cameras.filter((camera) => camera.state === "live").length;
    this.count(cameras.length > 0 ? t("ui.count", { live, total: cameras.length }) : "");
  }

  private tell(words: string, detail: string, signIn = false): void {
    this.notice.hidden = false;
    const link = signIn ? h("a", { class: "button", href: "/login?next=/" }, translate(language(), "ui.signIn")) : undefined;
    this.notice.replaceChildren(h("h2", {}, words), h("p", {}, detail));
    if (link) this.notice.append(link);
  }

  private update(cameras: readonly CameraInfo[]): void {
    const wanted = new Set(cameras.map((camera) => camera.camera));
    for (const [name, tile] of this.tiles) {
      if (wanted.has(name)) continue;
      const box = tile.link.parentElement!;
      this.inView.unobserve(box);
      tile.player.close();
      box.remove();
      this.tiles.delete(name);
    }
    cameras.forEach((info, index) => {
      const tile = this.tiles.get(info.camera) ?? this.add(info.camera);
      const words = info.viewers ? translate(language(), info.viewers === 1 ? "ui.viewer" : "ui.viewers", { count: info.viewers }) : "";
      if (tile.viewers.textContent !== words) tile.viewers.textContent = words;
      const box = tile.link.parentElement!;
      if (this.grid.children[index] !== box) this.grid.insertBefore(box, this.grid.children[index] ?? null);
    });
    this.grid.dataset["count"] = String(Math.min(cameras.length, 10));
  }

  private add(camera: string): Tile {
    const player = h("fanlight-player", { camera, paused: true, fit: "contain", ...Object.fromEntries(credentials) });
    const viewers = h("span", { class: "viewers" });
    const link = h("a", { class: "name", href: own(`/cameras/${encodeURIComponent(camera)}`) }, h("span", {}, camera), viewers);
    link.setAttribute("aria-label", translate(language(), "ui.open", { camera }));
    link.addEventListener("click", (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
      event.preventDefault();
      this.open(camera);
    });
    player.addEventListener("click", () => this.open(camera));
    const box = h("li", { class: "tile" }, player, link);
    this.grid.append(box);
    this.inView.observe(box);
    const tile = { link, player, viewers };
    this.tiles.set(camera, tile);
    return tile;
  }
}
