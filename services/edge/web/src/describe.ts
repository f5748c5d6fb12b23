// A status and its figures in words, for the element, its statistics panel and the pages.
import { kindOf } from "./decode/choose.ts";
import { has, translate, type Lang, type Values } from "./i18n.ts";
import type { Status } from "./stall.ts";
import type { Stats } from "./stats.ts";

export interface Description {
  /** One or two words */
  title: string;
  /** A sentence or two; counts down, so it is not for live regions */
  detail: string;
  /** The same without anything that counts down */
  spoken: string;
}

export function describe(status: Status, lang: Lang, time: number): Description {
  const t = (key: string, values?: Values): string => translate(lang, key, values);
  const title = t(`state.${status.name}`);
  const both = (detail: string, spoken = detail): Description => ({ title, detail, spoken: spoken ? `${title}. ${spoken}` : title });
  switch (status.name) {
    case "stalled":
      return both(t("detail.stalled", { since: clock(status.since, lang), cause: status.cause ? cause(status, lang) : "" }));
    case "offline": {
      const values = { cause: cause(status, lang), since: status.since ? clock(status.since, lang) : "" };
      return both(t(status.since ? "detail.offline" : "detail.offlineNoTime", values));
    }
    case "unplayable":
      return both(t(`unplayable.${status.reason}`, { codec: codecName(status.codec) }));
    case "reconnecting": {
      const why = t(`wait.${status.reason}`);
      const seconds = secondsTo(status.at, time);
      return both(t(seconds > 0 ? "detail.reconnecting" : "detail.reconnectingNow", { why, seconds }), why);
    }
    case "restarting":
      return both(t("detail.restarting", { seconds: Math.max(1, secondsTo(status.at, time)) }), t("wait.restarting"));
    case "unknown-camera":
      return both(t("detail.unknown-camera", { seconds: Math.max(1, secondsTo(status.at, time)) }), t("wait.unknownCamera"));
    case "signed-out":
    case "forbidden":
      return both(t(`refused.${status.reason}`));
    case "live":
      return both("");
    default:
      return both(t(`detail.${status.name}`));
  }
}

const FAMILIES: Record<string, string> = { h264: "H.264", h265: "H.265", mpeg1: "MPEG-1", mpeg2: "MPEG-2" };

/** A name people know, with the exact string. */
function codecName(codec: string): string {
  const family = FAMILIES[kindOf(codec) ?? codec];
  return family && family !== codec ? `${family} (${codec})` : codec || "?";
}

/** Ingest's sentence; in other languages than its own, ours for the same kind of cause. */
export function cause(of: { cause?: string | undefined; causeKind?: string | undefined }, lang: Lang): string {
  const key = `cause.${of.causeKind ?? ""}`;
  if (of.causeKind && has(key) && (lang !== "en" || !of.cause)) return translate(lang, key);
  return of.cause ? sentence(of.cause, lang) : translate(lang, "cause.none");
}

function sentence(words: string, lang: Lang): string {
  const start = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?。]$/.test(start) ? start : start + (lang === "en" ? "." : "。");
}

function secondsTo(at: number, time: number): number {
  return Math.max(0, Math.ceil((at - time) / 1000));
}

/** Time of day, with the date where it is not today. */
export function clock(at: number, lang: Lang): string {
  const date = new Date(at);
  const today = new Date().toDateString() === date.toDateString();
  return date.toLocaleString(lang, today ? { timeStyle: "medium" } : { dateStyle: "medium", timeStyle: "short" });
}

/** Without Intl, whose first use costs a join some 30 ms. */
function grouped(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** Local time of day, 24 hours. */
export function timeOfDay(at: number): string {
  return new Date(at).toTimeString().slice(0, 8);
}

export function bytes(count: number): string {
  if (count < 1e6) return `${(count / 1e3).toFixed(1)} KB`;
  return count < 1e9 ? `${(count / 1e6).toFixed(1)} MB` : `${(count / 1e9).toFixed(2)} GB`;
}

export function duration(seconds: number): string {
  const whole = Math.floor(seconds);
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

const DECODERS: Record<string, string> = { webcodecs: "WebCodecs", mse: "Media Source", jsmpeg: "JSMpeg" };

/** Rows of the statistics panel: a stable id, the name, the value. */
export function statRows(stats: Stats, lang: Lang): { id: string; name: string; value: string }[] {
  const t = (key: string): string => translate(lang, key);
  const ms = (value: number | null): string => (value === null ? "–" : `${Math.round(value)} ms`);
  const { latency } = stats;
  const rows: [string, string][] = [
    ["state", t(`state.${stats.state}`)],
    ["codec", stats.codec || "–"],
    ["size", stats.width ? `${stats.width}×${stats.height}` : "–"],
    ["fps", stats.fps.toFixed(1)],
    ["decoder", stats.decoder ? `${DECODERS[stats.decoder]}${stats.worker ? " (worker)" : ""}` : "–"],
    ["latency", ms(latency.current)],
    ["p50", `${ms(latency.p50)} / ${ms(latency.p95)}`],
    ["join", ms(stats.join.firstPicture)],
    ["packets", grouped(stats.packets)],
    ["bytes", bytes(stats.bytes)],
    ["duration", duration(stats.duration)],
    ["average", `${stats.averageRate.toFixed(1)} KB/s`],
    ["current", `${stats.currentRate.toFixed(1)} KB/s`],
    ["dropped", String(stats.dropped)],
    ["stalls", String(stats.stalls)],
    ["reconnects", String(stats.reconnects)],
    ["roundTrip", ms(stats.roundTrip)],
  ];
  return rows.map(([id, value]) => ({ id, name: t(`stat.${id}`), value }));
}

/** Why this decoder plays, as a sentence. */
export function whyText(stats: Stats, lang: Lang): string {
  if (!stats.why) return "";
  const why = translate(lang, `why.${stats.why}`);
  return stats.worker || stats.decoder === "mse" ? why : translate(lang, "why.mainThread", { why });
}
