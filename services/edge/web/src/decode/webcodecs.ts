// H.264 and H.265 by VideoDecoder, each picture painted in the decoder's output callback: waiting for the
// next animation frame would cost about one refresh (measured 13-23 ms), and the compositor paces anyway.
import { now } from "../clock.ts";
import type { Configured, Sample } from "../ts/video.ts";
import { ErrorBudget, type DecoderEvents, type SampleDecoder, type SnapshotType } from "./engine.ts";
import { capture, fit, type AnyCanvas } from "./surface.ts";

/** With more undecoded pictures than this (half a second at 15 to 30 fps) the decoder is too slow: jump to the next key picture. */
const MAX_QUEUE = 12;
/** A join hands the decoder a whole group of pictures at once; only what comes after it counts as too slow. */
const MAX_BURST = 400;
/** Behind by more than this the pictures in between are decoded but not painted. */
const CATCH_UP = 4;

export class WebCodecsDecoder implements SampleDecoder {
  readonly counts = { decoded: 0, painted: 0, dropped: 0, errors: 0 };
  visible = true;
  private readonly context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;
  private readonly budget = new ErrorBudget();
  private readonly waiting = new Map<number, Sample>();
  private decoder: VideoDecoder | undefined;
  private config: Configured | undefined;
  private caughtUp = false;
  /** Pictures out since the last configuration */
  private shown = 0;
  private closed = false;

  constructor(
    private readonly canvas: AnyCanvas,
    private readonly events: DecoderEvents,
  ) {
    this.context = canvas.getContext("2d", { alpha: false }) as CanvasRenderingContext2D;
    this.warmUp();
  }

  decode(sample: Sample): void {
    if (sample.config) this.config = sample.config;
    if (!this.config) return;
    if (sample.config || !this.decoder) this.start(this.config);
    const decoder = this.decoder;
    if (!decoder || decoder.state !== "configured") return;
    if (decoder.decodeQueueSize > (this.caughtUp ? MAX_QUEUE : MAX_BURST)) {
      this.counts.dropped += 1;
      this.events.waitForKey(false);
      return;
    }
    const timestamp = Math.round((sample.pts * 100) / 9);
    this.waiting.set(timestamp, sample);
    decoder.decode(new EncodedVideoChunk({ type: sample.key ? "key" : "delta", timestamp, data: sample.data }));
  }

  restarted(): void {
    this.caughtUp = false;
  }

  snapshot(type: SnapshotType): Promise<Blob | undefined> {
    return this.counts.painted > 0 ? capture(this.canvas, type) : Promise.resolve(undefined);
  }

  close(): void {
    this.closed = true;
    this.drop();
  }

  /** The first drawing of a video picture sets up much (measured 20 ms): done while the socket still waits. */
  private warmUp(): void {
    const picture = { format: "I420", codedWidth: 2, codedHeight: 2, timestamp: 0 } as const;
    const frame = new VideoFrame(new Uint8Array([0, 0, 0, 0, 128, 128]), picture);
    this.context.drawImage(frame, 0, 0);
    frame.close();
  }

  private start(config: Configured): void {
    const decoder =
      this.decoder ?? new VideoDecoder({ output: (frame) => this.show(frame), error: (error) => this.onError(error) });
    this.decoder = decoder;
    this.shown = 0;
    decoder.configure({
      codec: config.codec,
      codedWidth: config.width,
      codedHeight: config.height,
      description: config.description,
      optimizeForLatency: true,
    });
  }

  private show(frame: VideoFrame): void {
    const sample = this.waiting.get(frame.timestamp);
    // Map keeps insertion order: what is older than this picture will not come out any more.
    for (const [timestamp, older] of this.waiting) {
      if (timestamp === frame.timestamp || (sample && older.dts > sample.dts)) break;
      if (!this.config?.reordered) this.waiting.delete(timestamp);
    }
    this.waiting.delete(frame.timestamp);
    this.counts.decoded += 1;
    this.shown += 1;
    const behind = this.waiting.size > CATCH_UP;
    if (!behind) this.caughtUp = true;
    if (!this.closed && this.visible && !(behind && this.counts.painted > 0)) {
      fit(this.canvas, frame.displayWidth, frame.displayHeight);
      this.context.drawImage(frame, 0, 0, this.canvas.width, this.canvas.height);
      this.counts.painted += 1;
      if (sample) this.events.painted({ tag: sample.tag, pts: sample.pts, at: now() });
    }
    frame.close();
  }

  /** An error closes a VideoDecoder for good: the next key picture gets a new one. */
  private onError(error: DOMException): void {
    if (this.closed) return;
    this.counts.errors += 1;
    this.counts.dropped += this.waiting.size;
    this.drop();
    if (this.shown === 0 && this.config) {
      void this.askSupport(this.config, error);
    } else if (!this.budget.spend(performance.now())) {
      this.events.failed({ kind: "errors", message: error.message });
    } else {
      this.events.waitForKey(false);
    }
  }

  /** A decoder that never gave a picture: an unsupported configuration, or a bad first picture? */
  private async askSupport({ codec, description }: Configured, error: DOMException): Promise<void> {
    const answer = await VideoDecoder.isConfigSupported({ codec, description }).catch(() => undefined);
    if (this.closed) return;
    if (!answer?.supported) this.events.failed({ kind: "unsupported", codec, message: error.message });
    else if (this.budget.spend(performance.now())) this.events.waitForKey(false);
    else this.events.failed({ kind: "errors", message: error.message });
  }

  private drop(): void {
    if (this.decoder && this.decoder.state !== "closed") this.decoder.close();
    this.decoder = undefined;
    this.waiting.clear();
  }
}
