// Which decode path plays a stream here, and why: pure, so that the reason on the page can be tested.
import type { VideoKind } from "../ts/psi.ts";
import type { Path } from "./engine.ts";

/** What the browser offers in this context. */
export interface Abilities {
  secure: boolean;
  webCodecs: boolean;
  mediaSource: boolean;
  /** Canvas and decoder can live in a worker */
  worker: boolean;
}

/** Why a path was chosen; words in i18n.ts under `why.` */
export type Why = "fastest" | "insecure" | "noWebCodecs" | "webCodecsFailed" | "mpeg1";
/** Why nothing can play it, and what would help; words under `unplayable.` */
export type Unplayable = "codec" | "insecure" | "old" | "failed";

export type Choice = { path: Path; worker: boolean; why: Why } | { path: undefined; unplayable: Unplayable };

/** `failed`: paths this stream has already failed on. */
export function choosePath(kind: VideoKind | undefined, able: Abilities, failed: ReadonlySet<string>): Choice {
  if (kind === "mpeg1") {
    if (failed.has("jsmpeg")) return { path: undefined, unplayable: "failed" };
    return { path: "jsmpeg", worker: able.worker, why: "mpeg1" };
  }
  if (kind === undefined || kind === "mpeg2") return { path: undefined, unplayable: "codec" };
  if (able.webCodecs && !failed.has("webcodecs")) return { path: "webcodecs", worker: able.worker, why: "fastest" };
  if (able.mediaSource && !failed.has("mse")) {
    const why = failed.has("webcodecs") ? "webCodecsFailed" : able.secure ? "noWebCodecs" : "insecure";
    return { path: "mse", worker: false, why };
  }
  if (kind === "h265" && (failed.size > 0 || able.webCodecs || able.mediaSource)) return { path: undefined, unplayable: "codec" };
  if (failed.size > 0) return { path: undefined, unplayable: "failed" };
  return { path: undefined, unplayable: able.secure ? "old" : "insecure" };
}

/** The family of an RFC 6381 codec string, or of the edge's `mpeg1`. */
export function kindOf(codec: string | undefined): VideoKind | undefined {
  if (!codec) return undefined;
  if (/^avc[1-4]\./.test(codec)) return "h264";
  if (/^(hvc1|hev1)\./.test(codec)) return "h265";
  if (/^(mpeg1|mp4v\.6a|mp1v)/i.test(codec)) return "mpeg1";
  if (/^(mpeg2|mp4v\.6[0-5]|mp2v)/i.test(codec)) return "mpeg2";
  return undefined;
}
