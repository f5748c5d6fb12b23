// The module other pages import: defines <fanlight-player>; the rest is for the pages of the edge itself.
import { FanlightPlayer } from "./element.ts";

export { FanlightPlayer };
export { clock, cause, describe, statRows, timeOfDay, whyText } from "./describe.ts";
export { h, icon } from "./dom.ts";
export { browserLang, matchLang, translate, type Lang } from "./i18n.ts";
export type { LogLine } from "./element.ts";
export type { Stats } from "./stats.ts";
export type { Status } from "./stall.ts";

if (!customElements.get("fanlight-player")) customElements.define("fanlight-player", FanlightPlayer);

declare global {
  interface HTMLElementTagNameMap {
    "fanlight-player": FanlightPlayer;
  }
}
