// What is true about the picture, from pictures painted and announcements, never from the socket alone.
// Pure: the element asks it every quarter of a second.
import type { Unplayable } from "./decode/choose.ts";

export type Phase =
  | { name: "idle" }
  | { name: "hidden" }
  | { name: "connecting" }
  | { name: "open" }
  /** `at`: when the next attempt is made, unix milliseconds */
  | { name: "waiting"; at: number; reason: WaitReason }
  /** No attempt will be made without the viewer */
  | { name: "refused"; reason: RefuseReason };

export type WaitReason = "lost" | "bus" | "unreachable" | "restarting" | "slow" | "capacity" | "limited" | "unknownCamera";
export type RefuseReason = "signedOut" | "forbidden" | "revoked" | "origin";

export interface Facts {
  now: number;
  phase: Phase;
  /** The camera as last announced */
  camera: { state: string; cause?: string | undefined; causeKind?: string | undefined; since?: number | undefined } | undefined;
  /** When the last picture was painted, unix milliseconds */
  painted: number | undefined;
  /** Picture distance, milliseconds */
  interval: number;
  unplayable: { reason: Unplayable; codec: string } | undefined;
  /** The last "you are slow" of the edge, or when pictures last came later and later */
  slowAt: number | undefined;
  /** The browser wants a click first */
  blocked: boolean;
}

/** Words for each in i18n.ts under `state.`; the names are the element's `state` and are public. */
export type Status =
  | { name: "idle" | "hidden" | "connecting" | "waiting" | "live" | "slow" | "blocked" }
  | { name: "stalled"; since: number; cause?: string | undefined; causeKind?: string | undefined }
  | { name: "offline"; since?: number | undefined; cause?: string | undefined; causeKind?: string | undefined }
  | { name: "unplayable"; reason: Unplayable; codec: string }
  | { name: "reconnecting"; at: number; reason: WaitReason }
  | { name: "restarting"; at: number }
  | { name: "unknown-camera"; at: number }
  | { name: "signed-out" | "forbidden"; reason: RefuseReason };

/** A picture is overdue after this many intervals, within these limits. */
const OVERDUE_INTERVALS = 8;
const OVERDUE_MIN_MS = 1200;
const OVERDUE_MAX_MS = 10_000;
const SLOW_SHOWN_MS = 10_000;

export function overdueAfter(interval: number): number {
  return Math.min(OVERDUE_MAX_MS, Math.max(OVERDUE_MIN_MS, OVERDUE_INTERVALS * interval));
}

export function judge(facts: Facts): Status {
  const { phase, camera, now, painted } = facts;
  if (phase.name === "idle" || phase.name === "hidden") return { name: phase.name };
  if (phase.name === "refused") {
    return { name: phase.reason === "signedOut" ? "signed-out" : "forbidden", reason: phase.reason };
  }
  const overdue = painted === undefined || now - painted > overdueAfter(facts.interval);
  if (phase.name === "waiting" && (overdue || now - painted > OVERDUE_MIN_MS / 2)) {
    if (phase.reason === "restarting") return { name: "restarting", at: phase.at };
    if (phase.reason === "unknownCamera") return { name: "unknown-camera", at: phase.at };
    return { name: "reconnecting", at: phase.at, reason: phase.reason };
  }
  if (facts.unplayable) return { name: "unplayable", ...facts.unplayable };
  if (facts.blocked) return { name: "blocked" };
  if (!overdue) return facts.slowAt !== undefined && now - facts.slowAt < SLOW_SHOWN_MS ? { name: "slow" } : { name: "live" };
  if (phase.name === "connecting") return { name: "connecting" };
  const reason = { since: camera?.since, cause: camera?.cause, causeKind: camera?.causeKind };
  // The edge is there and lost its own source of pictures: it reconnects, not the camera.
  if (camera?.causeKind === "nats") return { name: "reconnecting", at: now, reason: "bus" };
  if (camera?.state === "offline" || camera?.state === "stopping") return { name: "offline", ...reason };
  if (camera?.state === "starting" && camera.cause) return { name: "offline", ...reason };
  if (camera?.state === "stalled") return { name: "stalled", ...reason, since: camera.since ?? painted ?? now };
  if (painted !== undefined) return { name: "stalled", since: painted };
  return { name: "waiting" };
}

/** Counts stops of the picture: once each, however long it lasts. */
export class StallCounter {
  total = 0;
  private inside = false;

  update(status: Status["name"]): void {
    const stalled = status === "stalled" || status === "reconnecting" || status === "restarting";
    if (stalled && !this.inside) this.total += 1;
    this.inside = stalled;
  }
}
