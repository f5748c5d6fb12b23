// The edge's list of cameras, asked every few seconds while somebody looks.

import { own } from "./credentials.ts";

export interface CameraInfo {
  camera: string;
  state: string;
  viewers: number | undefined;
}

export type Listing = { cameras: CameraInfo[] } | { failure: "signedOut" | "unreachable" };

const PERIOD_MS = 5000;
const RETRY_MS = 2000;

/** Calls `tell` now and whenever the list is read again; returns the way to stop. */
export function watchCameras(tell: (listing: Listing) => void): () => void {
  let timer: number | undefined;
  let stopped = false;
  const ask = async (): Promise<void> => {
    window.clearTimeout(timer);
    if (document.hidden) return;
    const listing = await readCameras();
    if (stopped) return;
    tell(listing);
    timer = window.setTimeout(() => void ask(), "cameras" in listing ? PERIOD_MS : RETRY_MS);
  };
  const onVisible = (): void => void ask();
  document.addEventListener("visibilitychange", onVisible);
  void ask();
  return () => {
    stopped = true;
    window.clearTimeout(timer);
    document.removeEventListener("visibilitychange", onVisible);
  };
}

async function readCameras(): Promise<Listing> {
  try {
    const answer = await fetch(own("/api/cameras"), { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (answer.status === 401) return { failure: "signedOut" };
    if (!answer.ok) return { failure: "unreachable" };
    return { cameras: parseCameras(await answer.json()) };
  } catch {
    return { failure: "unreachable" };
  }
}

/** Takes the list itself or an object that holds it as `cameras`. */
export function parseCameras(json: unknown): CameraInfo[] {
  const list = Array.isArray(json) ? json : (json as { cameras?: unknown } | null)?.cameras;
  if (!Array.isArray(list)) return [];
  const cameras = list.flatMap((entry: { camera?: unknown; state?: unknown; viewers?: unknown }) =>
    typeof entry.camera === "string"
      ? [{ camera: entry.camera, state: String(entry.state ?? "unknown"), viewers: typeof entry.viewers === "number" ? entry.viewers : undefined }]
      : [],
  );
  return cameras.sort((a, b) => a.camera.localeCompare(b.camera, undefined, { numeric: true }));
}
