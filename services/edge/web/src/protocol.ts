// fanlight.v1: the JSON text messages beside the binary ones (docs/wire.md; golden vectors in docs/wire/).

export const SUBPROTOCOL = "fanlight.v1";

/** Place in a stream. Run ids sort by start, as strings. */
export interface Position {
  run: string;
  seq: number;
}

/** Camera state as ingest announces it. */
export interface CameraState {
  state: string;
  cause?: string | undefined;
  causeKind?: string | undefined;
  /** Unix milliseconds */
  since?: number | undefined;
  codec?: string | undefined;
}

export type ServerMessage =
  | ({ type: "hello"; camera: string; width?: number; height?: number; fps?: number; next?: Position } & CameraState)
  | { type: "mark"; next: Position; /** ingest time on the edge's clock, unix milliseconds */ time: number }
  | ({ type: "state" } & CameraState)
  | { type: "slow"; skipped: number | undefined }
  | { type: "drain"; /** milliseconds from now */ deadline: number | undefined }
  | { type: "clock"; t0: number; t1: number; t2: number };

type Json = Record<string, unknown>;

const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
const number = (value: unknown): number | undefined => (typeof value === "number" && Number.isFinite(value) ? value : undefined);

/** undefined for what this version does not know: newer servers may say more. */
export function parseMessage(data: string): ServerMessage | undefined {
  let json: Json;
  try {
    json = JSON.parse(data) as Json;
  } catch {
    return undefined;
  }
  if (typeof json !== "object" || json === null) return undefined;
  switch (json["type"]) {
    case "hello": {
      const next = position(json);
      const [width, height, fps] = [number(json["width"]), number(json["height"]), number(json["fps"])];
      return {
        type: "hello",
        camera: text(json["camera"]) ?? "",
        ...cameraState(json),
        ...(width ? { width } : {}),
        ...(height ? { height } : {}),
        ...(fps ? { fps } : {}),
        ...(next ? { next } : {}),
      };
    }
    case "mark": {
      const next = position(json);
      const time = nanoseconds(json["time"]);
      return next && time !== undefined ? { type: "mark", next, time } : undefined;
    }
    case "state":
      return { type: "state", ...cameraState(json) };
    case "slow":
      return { type: "slow", skipped: number(json["skipped"]) };
    case "drain":
      return { type: "drain", deadline: number(json["deadline"]) };
    case "clock": {
      const [t0, t1, t2] = [number(json["t0"]), nanoseconds(json["t1"]), nanoseconds(json["t2"])];
      return t0 !== undefined && t1 !== undefined && t2 !== undefined ? { type: "clock", t0, t1, t2 } : undefined;
    }
    default:
      return undefined;
  }
}

function position(json: Json): Position | undefined {
  const run = text(json["run"]);
  const seq = number(json["seq"]);
  return run !== undefined && seq !== undefined ? { run, seq } : undefined;
}

export function cameraState(json: Json): CameraState {
  return {
    state: text(json["state"]) ?? "unknown",
    cause: text(json["cause"]),
    causeKind: text(json["cause_kind"]),
    since: number(json["since"]),
    codec: text(json["codec"]),
  };
}

/** Unix nanoseconds, sent as a decimal string, to milliseconds (exact to a quarter of a microsecond). */
function nanoseconds(value: unknown): number | undefined {
  const digits = text(value);
  return digits !== undefined && /^\d+$/.test(digits) ? Number(digits) / 1e6 : undefined;
}

/** Why the edge would refuse this viewer, from the answer of `/api/cameras/{camera}`. */
export interface Refusal {
  /** 200 when it would not */
  status: number;
  code: string | undefined;
  message: string | undefined;
  retryAfterMs: number | undefined;
}

/** `body` as parsed JSON; a known camera's answer is 200 and holds the refusal, other errors are the answer. */
export function parseRefusal(status: number, body: unknown, retryAfter?: string | null): Refusal {
  const json: Json = typeof body === "object" && body !== null ? (body as Json) : {};
  const inner = json["refusal"];
  const from: Json = typeof inner === "object" && inner !== null ? (inner as Json) : json;
  const seconds = number(from["retry_after"]) ?? (retryAfter ? Number(retryAfter) : undefined);
  return {
    status: from === json ? status : (number(from["status"]) ?? status),
    code: text(from["code"]),
    message: text(from["message"]),
    retryAfterMs: seconds !== undefined && Number.isFinite(seconds) ? seconds * 1000 : undefined,
  };
}

export function clockMessage(t0: number): string {
  return JSON.stringify({ type: "clock", t0 });
}

export interface Report {
  /** Milliseconds from ingest to paint since the last report; null when none was measured */
  latency: number | null;
  stalls: number;
  decoded: number;
  dropped: number;
}

export function reportMessage(report: Report): string {
  return JSON.stringify({ type: "report", ...report });
}
