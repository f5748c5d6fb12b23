// The page's side of the decoding worker.
import type { Counts, Engine, Failure, Painted, Path, Sink, SnapshotType, StreamInfo } from "./engine.ts";

export type ToWorker = { id: number } & (
  | { op: "open"; path: Path; canvas: OffscreenCanvas }
  | { op: "push"; data: ArrayBuffer; tag: number; restart: boolean }
  | { op: "visible"; visible: boolean }
  | { op: "snapshot"; request: number; type: SnapshotType }
  | { op: "close" }
);

export interface FromWorker {
  id: number;
  event:
    | { name: "painted"; picture: Painted }
    | { name: "counts"; counts: Counts }
    | { name: "stream"; info: StreamInfo }
    | { name: "failed"; failure: Failure }
    | { name: "snapshot"; request: number; blob: Blob | undefined };
}

let shared: Worker | undefined;
let unusable = false;
let lastId = 0;
const engines = new Map<number, WorkerEngine>();

/** The page's worker; undefined where none can be had, as for a player.js from another origin. */
function worker(): Worker | undefined {
  if (shared || unusable) return shared;
  try {
    shared = new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "fanlight" });
  } catch {
    unusable = true;
    return undefined;
  }
  shared.onmessage = ({ data }: MessageEvent<FromWorker>) => engines.get(data.id)?.onEvent(data.event);
  shared.onerror = (event) => {
    event.preventDefault();
    unusable = true;
    shared?.terminate();
    shared = undefined;
    for (const engine of [...engines.values()]) engine.onWorkerLost();
  };
  return shared;
}

export function workerUsable(): boolean {
  return (
    typeof Worker !== "undefined" &&
    typeof OffscreenCanvas !== "undefined" &&
    "transferControlToOffscreen" in HTMLCanvasElement.prototype &&
    worker() !== undefined
  );
}

export class WorkerEngine implements Engine {
  private readonly id = (lastId += 1);
  private readonly snapshots = new Map<number, (blob: Blob | undefined) => void>();
  private requests = 0;

  constructor(
    readonly path: Path,
    canvas: HTMLCanvasElement,
    private readonly sink: Sink,
    private readonly lost: () => void,
  ) {
    const offscreen = canvas.transferControlToOffscreen();
    engines.set(this.id, this);
    worker()?.postMessage({ id: this.id, op: "open", path, canvas: offscreen } satisfies ToWorker, [offscreen]);
  }

  push(data: ArrayBuffer, tag: number, restart: boolean): void {
    shared?.postMessage({ id: this.id, op: "push", data, tag, restart } satisfies ToWorker, [data]);
  }

  setVisible(visible: boolean): void {
    this.send({ id: this.id, op: "visible", visible });
  }

  snapshot(type: SnapshotType): Promise<Blob | undefined> {
    const request = (this.requests += 1);
    this.send({ id: this.id, op: "snapshot", request, type });
    return new Promise((done) => this.snapshots.set(request, done));
  }

  close(): void {
    if (!engines.delete(this.id)) return;
    this.send({ id: this.id, op: "close" });
    for (const done of this.snapshots.values()) done(undefined);
    this.snapshots.clear();
  }

  onEvent(event: FromWorker["event"]): void {
    switch (event.name) {
      case "painted":
        return this.sink.painted(event.picture);
      case "counts":
        return this.sink.counts(event.counts);
      case "stream":
        return this.sink.stream(event.info);
      case "failed":
        return this.sink.failed(event.failure);
      case "snapshot":
        this.snapshots.get(event.request)?.(event.blob);
        this.snapshots.delete(event.request);
    }
  }

  onWorkerLost(): void {
    engines.delete(this.id);
    this.lost();
  }

  private send(message: ToWorker): void {
    shared?.postMessage(message);
  }
}
