// One viewing of one camera: connection, decode path, figures and the judgement of what is true. The element
// gives it a place to paint and shows what it says.
import { now } from "./clock.ts";
import { Connection, type Note } from "./connection.ts";
import { choosePath, kindOf, type Abilities, type Choice } from "./decode/choose.ts";
import { Pipeline, type Counts, type Engine, type Failure, type Painted, type Sink, type SnapshotType, type StreamInfo } from "./decode/engine.ts";
import { JsmpegDecoder } from "./decode/jsmpeg.ts";
import { mediaSource, MseDecoder } from "./decode/mse.ts";
import { WebCodecsDecoder } from "./decode/webcodecs.ts";
import { WorkerEngine, workerUsable } from "./decode/worker-host.ts";
import { openSocket } from "./feed.ts";
import { CURRENT_MS, LatencyMeter } from "./latency.ts";
import type { Accepted } from "./merge.ts";
import { parseRefusal, type Refusal, type ServerMessage } from "./protocol.ts";
import { judge, StallCounter, type Phase, type Status } from "./stall.ts";
import { Rate, Traffic, type Stats } from "./stats.ts";
import { probeKind, probePts } from "./ts/probe.ts";
import type { VideoKind } from "./ts/psi.ts";

/** Where a session paints. */
export interface Stage {
  /** A fresh surface, shown once `present` is called for it; the old picture stays until then. */
  canvas(): HTMLCanvasElement;
  video(): HTMLVideoElement;
  present(surface: HTMLElement): void;
}

export interface SessionEvents {
  status(status: Status): void;
  note(note: Note): void;
  picture(picture: Painted & { latency: number | undefined }): void;
}

export interface SessionOptions {
  /** `wss://host/ws/camera`, with a token where one is given */
  socketUrl: string;
  /** `https://host/api/cameras/camera` */
  apiUrl: string;
  camera: string;
}

const JUDGE_MS = 250;
const REPORT_MS = 5000;
const NO_COUNTS: Counts = { decoded: 0, painted: 0, dropped: 0, damage: 0, errors: 0 };

export class Session {
  status: Status = { name: "idle" };
  private readonly connection: Connection;
  private readonly meter = new LatencyMeter();
  private readonly traffic = new Traffic();
  private readonly rate = new Rate();
  private readonly stalls = new StallCounter();
  private readonly failed = new Set<string>();
  private engine: Engine | undefined;
  private choice: Choice | undefined;
  private surface: HTMLElement | undefined;
  private kind: VideoKind | undefined;
  private codec = "";
  private stream: StreamInfo | undefined;
  private fps: number | undefined;
  private camera: Extract<ServerMessage, { type: "state" }> | undefined;
  private tag = 0;
  private paintedAt: number | undefined;
  private slowAt: number | undefined;
  private skips = 0;
  private blocked = false;
  private visible = true;
  private joinStart: number | undefined;
  private join: Stats["join"] = { open: null, firstPicture: null, current: null };
  private counts = NO_COUNTS;
  /** Of engines before the present one */
  private past = NO_COUNTS;
  private reported = { decoded: 0, dropped: 0, stalls: 0, at: 0 };
  private timer: number | undefined;

  constructor(
    private readonly options: SessionOptions,
    private readonly stage: Stage,
    private readonly events: SessionEvents,
  ) {
    this.connection = new Connection(
      options.socketUrl,
      {
        openSocket,
        askReason: () => this.askReason(),
        now,
        random: Math.random,
        setTimeout: (callback, ms) => window.setTimeout(callback, ms),
        clearTimeout: (timer) => window.clearTimeout(timer as number | undefined),
      },
      {
        phase: (phase) => this.onPhase(phase),
        media: (media) => this.onMedia(media),
        control: (message) => this.onControl(message),
        joined: () => this.onJoined(),
        note: (note) => events.note(note),
      },
    );
  }

  connect(): void {
    if (this.timer !== undefined) return;
    this.traffic.start(now());
    this.timer = window.setInterval(() => this.tick(), JUDGE_MS);
    this.connection.connect();
    this.events.note({ key: "connect", values: { url: this.options.socketUrl.replace(/token=[^&]*/, "token=…") } });
    this.tick();
  }

  disconnect(): void {
    if (this.timer === undefined) return;
    window.clearInterval(this.timer);
    this.timer = undefined;
    this.connection.disconnect();
    this.closeEngine();
    this.paintedAt = undefined;
    this.events.note({ key: "disconnect" });
    this.tick();
  }

  setVisible(visible: boolean): void {
    this.visible = visible;
    this.engine?.setVisible(visible);
    this.connection.setHidden(!visible);
  }

  /** The viewer or the browser has a reason to try now. */
  hurry(): void {
    this.connection.hurry();
  }

  /** After a click, for a browser that wanted one. */
  unblock(): void {
    if (!this.blocked) return;
    this.blocked = false;
    this.closeEngine();
    this.connection.rejoin();
  }

  snapshot(type: SnapshotType): Promise<Blob | undefined> {
    return this.engine?.snapshot(type) ?? Promise.resolve(undefined);
  }

  stats(): Stats {
    const time = now();
    const { path } = this.choice ?? {};
    const counts = this.totals();
    return {
      state: this.status.name,
      camera: this.options.camera,
      codec: this.stream?.codec ?? this.codec,
      width: this.stream?.width ?? 0,
      height: this.stream?.height ?? 0,
      fps: this.rate.perSecond(time),
      decoder: path ?? "",
      worker: this.engine instanceof WorkerEngine,
      why: this.choice?.path ? this.choice.why : "",
      ...this.traffic.summary(time),
      latency: {
        current: this.meter.current ?? null,
        p50: this.meter.window.percentile(time, 0.5) ?? null,
        p95: this.meter.window.percentile(time, 0.95) ?? null,
        samples: this.meter.window.count(time),
      },
      join: { ...this.join },
      decoded: counts.decoded,
      painted: counts.painted,
      dropped: counts.dropped,
      damage: counts.damage,
      decoderErrors: counts.errors,
      stalls: this.stalls.total,
      reconnects: this.connection.reconnects,
      skips: this.skips,
      roundTrip: this.meter.clock.delay ?? null,
    };
  }

  private onPhase(phase: Phase): void {
    if (phase.name === "connecting") {
      this.joinStart = now();
      this.join = { open: null, firstPicture: null, current: null };
    }
    if (this.timer !== undefined) this.tick();
  }

  private onJoined(): void {
    this.events.note({ key: "open" });
    this.join.open = now() - (this.joinStart ?? now());
    this.meter.clock.clear(); // another replica may have another clock
    this.meter.restart(now());
  }

  private onControl(message: ServerMessage): void {
    switch (message.type) {
      case "hello":
        this.fps = message.fps ?? this.fps;
        this.codec = message.codec ?? this.codec;
        this.camera = { ...message, type: "state" };
        if (message.codec) this.prepare(kindOf(message.codec), message.codec);
        break;
      case "state":
        if (this.camera?.state !== message.state || this.camera.cause !== message.cause) {
          this.events.note({ key: "camera", values: { state: message.state, cause: message.cause ?? "" } });
        }
        this.camera = message;
        break;
      case "mark":
        // Told with the message it describes, which comes next.
        break;
      case "slow":
        this.slowAt = now();
        this.skips += 1;
        this.events.note({ key: "slow" });
        break;
      case "clock":
        this.meter.clock.add(message.t0, message.t1, message.t2, now());
        break;
      case "drain":
        break;
    }
    this.tick();
  }

  private onMedia(media: Accepted): void {
    const time = now();
    this.traffic.add(time, media.data.byteLength);
    this.tag += 1;
    if (media.time !== undefined) {
      const pts = probePts(media.data);
      if (pts !== undefined) this.meter.mark(this.tag, pts, media.time);
    }
    if (!this.choice) {
      const { kind, streamType } = probeKind(media.data);
      if (streamType === undefined) return; // joined before the tables
      this.prepare(kind, kind ?? `stream type ${streamType}`);
    }
    this.engine?.push(media.data, this.tag, media.restart);
  }

  /** Chooses a path for a codec, and starts it unless it runs. */
  private prepare(kind: VideoKind | undefined, codec: string): void {
    if (this.choice && kind === this.kind && (this.engine || !this.choice.path)) return;
    if (kind !== this.kind) this.failed.clear();
    this.kind = kind;
    this.codec = codec;
    this.choice = choosePath(kind, abilities(), this.failed);
    this.closeEngine();
    if (!this.choice.path) return;
    this.engine = this.start(this.choice.path, this.choice.worker && !this.failed.has("worker"));
    this.engine.setVisible(this.visible);
    this.events.note({ key: "path", values: { why: this.choice.why } });
  }

  private start(path: NonNullable<Choice["path"]>, worker: boolean): Engine {
    if (path === "mse") {
      const video = this.stage.video();
      return new Pipeline(path, this.sink(video), (events) => new MseDecoder(video, events, this.fps));
    }
    const canvas = this.stage.canvas();
    const sink = this.sink(canvas);
    if (worker) return new WorkerEngine(path, canvas, sink, () => this.fallBack("worker", "worker lost"));
    const Decoder = path === "jsmpeg" ? JsmpegDecoder : WebCodecsDecoder;
    return new Pipeline(path, sink, (events) => new Decoder(canvas, events));
  }

  /** Events of the engine that paints on `surface`; once it is replaced it is not heard. */
  private sink(surface: HTMLElement): Sink {
    this.surface = surface;
    const current = (): boolean => surface === this.surface;
    return {
      painted: (picture) => current() && this.onPainted(picture),
      counts: (counts) => void (current() && (this.counts = counts)),
      stream: (info) => current() && this.onStream(info),
      failed: (failure) => current() && this.onFailed(failure),
    };
  }

  private onPainted(picture: Painted): void {
    const first = this.join.firstPicture === null && this.joinStart !== undefined;
    if (this.surface) this.stage.present(this.surface);
    this.paintedAt = picture.at;
    this.rate.add(picture.at, 1);
    const wasBehind = this.meter.behind;
    const latency = this.meter.painted(picture.tag, picture.pts, picture.at);
    if (this.meter.behind) {
      this.slowAt = picture.at;
      if (!wasBehind) this.events.note({ key: "behind", values: { ms: Math.round(latency!) } });
    }
    this.count(picture);
    if (first) {
      this.join.firstPicture = picture.at - this.joinStart!;
      this.events.note({ key: "picture", values: { ms: Math.round(this.join.firstPicture) } });
    }
    if (this.join.current === null && this.joinStart !== undefined && latency !== undefined && latency < CURRENT_MS) {
      this.join.current = picture.at - this.joinStart;
    }
    this.events.picture({ ...picture, latency });
    if (this.status.name !== "live" && this.status.name !== "slow") this.tick();
  }

  /**
   * A canvas is seen with the next animation frame after it was painted; a <video> tells by itself when it was.
   */
  private count({ tag, at }: Painted): void {
    if (!this.meter.isMarked(tag)) return;
    if (this.choice?.path === "mse") this.meter.shown(tag, at);
    else requestAnimationFrame(() => this.meter.shown(tag, now()));
  }

  private onStream(info: StreamInfo): void {
    this.stream = info;
    this.codec = info.codec;
    this.events.note({ key: "stream", values: { codec: info.codec, width: info.width, height: info.height } });
  }

  private onFailed(failure: Failure): void {
    switch (failure.kind) {
      case "codec":
        this.prepare(failure.found, failure.found ?? `stream type ${failure.streamType}`);
        this.connection.rejoin();
        break;
      case "gesture":
        this.blocked = true;
        break;
      case "unsupported":
        this.codec = failure.codec || this.codec;
        this.fallBack(this.engine?.path ?? "", failure.message);
        break;
      case "errors":
        this.fallBack(this.engine?.path ?? "", failure.message);
    }
    this.tick();
  }

  private fallBack(what: string, message: string): void {
    this.events.note({ key: "fallback", values: { path: what, message } });
    this.failed.add(what);
    this.closeEngine();
    this.choice = undefined;
    this.prepare(this.kind, this.codec);
    if (this.engine) this.connection.rejoin();
  }

  private closeEngine(): void {
    this.past = this.totals();
    this.counts = NO_COUNTS;
    if (this.surface instanceof HTMLVideoElement) this.keepPicture(this.surface);
    this.engine?.close();
    this.engine = undefined;
    this.surface = undefined;
    if (this.timer === undefined) this.choice = undefined;
  }

  /** A <video> goes black when its source goes: put its last picture in its place. */
  private keepPicture(video: HTMLVideoElement): void {
    if (video.videoWidth === 0) return;
    const canvas = this.stage.canvas();
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d")?.drawImage(video, 0, 0);
    this.stage.present(canvas);
  }

  private totals(): Counts {
    const { past, counts } = this;
    return {
      decoded: past.decoded + counts.decoded,
      painted: past.painted + counts.painted,
      dropped: past.dropped + counts.dropped,
      damage: past.damage + counts.damage,
      errors: past.errors + counts.errors,
    };
  }

  private tick(): void {
    const time = now();
    const choice = this.choice;
    const status = judge({
      now: time,
      phase: this.connection.phase,
      camera: this.camera,
      painted: this.paintedAt,
      interval: Math.max(this.fps ? 1000 / this.fps : 0, this.rate.interval(time) ?? 0) || 100,
      unplayable: choice && !choice.path ? { reason: choice.unplayable, codec: this.codec } : undefined,
      slowAt: this.slowAt,
      blocked: this.blocked,
    });
    this.stalls.update(status.name);
    const changed = status.name !== this.status.name;
    this.status = status;
    if (changed) this.events.note({ key: "state", values: { state: status.name } });
    this.events.status(status);
    if (time - this.reported.at > REPORT_MS) this.report(time);
  }

  private report(time: number): void {
    const counts = this.totals();
    const last = this.reported;
    const stalls = this.stalls.total;
    this.reported = { decoded: counts.decoded, dropped: counts.dropped, stalls, at: time };
    if (last.at === 0 || this.connection.phase.name !== "open") return;
    this.connection.report({
      latency: this.meter.take() ?? null,
      stalls: stalls - last.stalls,
      decoded: counts.decoded - last.decoded,
      dropped: counts.dropped - last.dropped,
    });
  }

  private async askReason(): Promise<Refusal | undefined> {
    try {
      const answer = await fetch(this.options.apiUrl, { cache: "no-store", signal: AbortSignal.timeout(3000) });
      const body: unknown = await answer.json().catch(() => undefined);
      return parseRefusal(answer.status, body, answer.headers.get("retry-after"));
    } catch {
      return undefined;
    }
  }
}

function abilities(): Abilities {
  return {
    secure: isSecureContext,
    webCodecs: typeof VideoDecoder !== "undefined",
    mediaSource: mediaSource() !== undefined,
    // asked only by the paths that use one: its start takes the processor from the first picture
    get worker() {
      return workerUsable();
    },
  };
}
