// What every decode path has in common: messages in, pictures painted out.
import { Demuxer } from "../ts/pes.ts";
import type { VideoKind } from "../ts/psi.ts";
import { SampleFilter, type Configured, type Sample } from "../ts/video.ts";

export type Path = "webcodecs" | "mse" | "jsmpeg";
export type SnapshotType = "image/png" | "image/jpeg";

/** A picture that the viewer can see now. */
export interface Painted {
  /** Tag of the message it came in */
  tag: number;
  /** 90 kHz */
  pts: number;
  /** Unix milliseconds, see clock.ts */
  at: number;
}

/** Totals since the engine started. */
export interface Counts {
  decoded: number;
  painted: number;
  /** Pictures that arrived and were never shown, for whatever reason */
  dropped: number;
  /** Breaks of the continuity counter */
  damage: number;
  /** Decoder errors that were recovered from */
  errors: number;
}

export interface StreamInfo {
  codec: string;
  width: number;
  height: number;
}

export type Failure =
  /** The stream carries another codec than this path plays */
  | { kind: "codec"; found: VideoKind | undefined; streamType: number | undefined }
  /** The browser refuses this codec */
  | { kind: "unsupported"; codec: string; message: string }
  /** More decoder errors than the budget allows */
  | { kind: "errors"; message: string }
  /** The browser refuses to play without a click */
  | { kind: "gesture" };

export interface Sink {
  painted(picture: Painted): void;
  counts(counts: Counts): void;
  stream(info: StreamInfo): void;
  /** The engine has stopped and paints nothing any more. */
  failed(failure: Failure): void;
}

/** The part of a path that knows a decoder. */
export interface SampleDecoder {
  readonly counts: { decoded: number; painted: number; dropped: number; errors: number };
  decode(sample: Sample): void;
  /** What follows does not continue what was: it may be a backlog to catch up with. */
  restarted(): void;
  /** False while the page is hidden: decode, but do not paint. */
  visible: boolean;
  snapshot(type: SnapshotType): Promise<Blob | undefined>;
  close(): void;
}

/** Told by decoders to the pipeline they are in. */
export interface DecoderEvents {
  painted(picture: Painted): void;
  failed(failure: Failure): void;
  /** The decoder lost its state: it can go on only at a key picture. */
  waitForKey(forgetConfig: boolean): void;
}

/** What the element holds, on this thread or in a worker. */
export interface Engine {
  readonly path: Path;
  push(message: ArrayBuffer, tag: number, restart: boolean): void;
  setVisible(visible: boolean): void;
  snapshot(type: SnapshotType): Promise<Blob | undefined>;
  close(): void;
}

const COUNTS_PERIOD_MS = 500;

/** Demuxer, filter and decoder in a row, on one thread. */
export class Pipeline implements Engine {
  private readonly demuxer = new Demuxer();
  private readonly filter = new SampleFilter();
  private readonly decoder: SampleDecoder;
  private told = 0;
  private closed = false;

  constructor(
    readonly path: Path,
    private readonly sink: Sink,
    decoder: (events: DecoderEvents) => SampleDecoder,
  ) {
    this.decoder = decoder({
      painted: (picture) => sink.painted(picture),
      failed: (failure) => this.fail(failure),
      waitForKey: (forgetConfig) => (forgetConfig ? this.filter.forget() : this.filter.waitForKey()),
    });
  }

  /** `restart`: this message does not continue the last one. */
  push(message: ArrayBuffer, tag: number, restart: boolean): void {
    if (this.closed) return;
    if (restart) {
      this.demuxer.reset();
      this.filter.waitForKey();
      this.decoder.restarted();
    }
    const units = this.demuxer.push(new Uint8Array(message), tag);
    const { kind, streamType } = this.demuxer.program;
    if (streamType !== undefined && (!kind || (kind === "mpeg1") !== (this.path === "jsmpeg"))) {
      this.fail({ kind: "codec", found: kind, streamType });
      return;
    }
    for (const unit of units) {
      const sample = this.filter.push(unit);
      if (!sample) continue;
      if (sample.config?.sampleEntry === "mpeg2") return this.fail({ kind: "codec", found: "mpeg2", streamType });
      if (sample.config) this.tell(sample.config);
      this.decoder.decode(sample);
      if (this.closed) return;
    }
    const time = performance.now();
    if (time - this.told >= COUNTS_PERIOD_MS) {
      this.told = time;
      this.sink.counts(this.counts());
    }
  }

  setVisible(visible: boolean): void {
    this.decoder.visible = visible;
  }

  snapshot(type: SnapshotType): Promise<Blob | undefined> {
    return this.decoder.snapshot(type);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.decoder.close();
  }

  private counts(): Counts {
    const { decoded, painted, dropped, errors } = this.decoder.counts;
    return { decoded, painted, dropped: dropped + this.filter.dropped, damage: this.demuxer.errors.continuity, errors };
  }

  private tell(config: Configured): void {
    this.sink.stream({ codec: config.codec, width: config.width, height: config.height });
  }

  private fail(failure: Failure): void {
    if (this.closed) return;
    this.close();
    this.sink.failed(failure);
  }
}

/** How many errors in how much time a path may recover from before the next path is tried. */
export class ErrorBudget {
  private readonly times: number[] = [];

  constructor(
    private readonly allowed = 5,
    private readonly windowMs = 10_000,
  ) {}

  /** Notes an error; false when the budget is used up. */
  spend(time: number): boolean {
    this.times.push(time);
    while (this.times.length > 0 && this.times[0]! <= time - this.windowMs) this.times.shift();
    return this.times.length <= this.allowed;
  }
}
