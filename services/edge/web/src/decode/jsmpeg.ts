// MPEG-1 by JSMpeg's decoder, loaded only when a stream needs it. It gets one whole access unit at a time,
// already checked for damage, and decodes it at once: no buffer that a delay could grow in.
import { now } from "../clock.ts";
import type { Sample } from "../ts/video.ts";
import { ErrorBudget, type DecoderEvents, type SampleDecoder, type SnapshotType } from "./engine.ts";
import { capture, type AnyCanvas } from "./surface.ts";

const SEQUENCE = 0xb3;
const PICTURE = 0x00;
const MAX_TASK_MS = 30;

interface Renderer {
  resize(width: number, height: number): void;
  render(y: Uint8ClampedArray, cb: Uint8ClampedArray, cr: Uint8ClampedArray, clamped: boolean): void;
  destroy(): void;
}

/** JSMpeg's MPEG1, as far as it is used here. */
interface Mpeg1 {
  bits: { bytes: Uint8Array; byteLength: number; index: number; findNextStartCode(): number };
  hasSequenceHeader?: boolean;
  connect(destination: Pick<Renderer, "resize" | "render">): void;
  decodeSequenceHeader(): void;
  decodePicture(): void;
}

interface Parts {
  MPEG1: new (options: { streaming: boolean; videoBufferSize: number }) => Mpeg1;
  WebGLRenderer: new (options: { canvas: AnyCanvas; preserveDrawingBuffer: boolean }) => Renderer;
  CanvasRenderer: new (options: { canvas: AnyCanvas }) => Renderer;
}

export class JsmpegDecoder implements SampleDecoder {
  readonly counts = { decoded: 0, painted: 0, dropped: 0, errors: 0 };
  visible = true;
  private readonly budget = new ErrorBudget();
  private queue: Sample[] = [];
  private mpeg: Mpeg1 | undefined;
  private renderer: Renderer | undefined;
  private readonly channel = new MessageChannel();
  private rendered = false;
  private paint = false;
  private closed = false;

  constructor(
    private readonly canvas: AnyCanvas,
    private readonly events: DecoderEvents,
  ) {
    this.channel.port1.onmessage = () => this.drain();
    void this.load();
  }

  decode(sample: Sample): void {
    // While JSMpeg loads, keep what the newest key picture needs.
    if (!this.mpeg && sample.key) this.queue = [];
    this.queue.push(sample);
    this.wake();
  }

  restarted(): void {
    // Every unit is decoded on its own arrival: there is nothing to catch up with.
  }

  snapshot(type: SnapshotType): Promise<Blob | undefined> {
    return this.counts.painted > 0 ? capture(this.canvas, type) : Promise.resolve(undefined);
  }

  close(): void {
    this.closed = true;
    this.queue = [];
    this.channel.port1.close();
    this.renderer?.destroy();
  }

  private async load(): Promise<void> {
    try {
      const address = new URL("./jsmpeg.js", import.meta.url).href;
      const parts = (await import(address)) as Parts;
      if (this.closed) return;
      const renderer = makeRenderer(parts, this.canvas);
      const mpeg = new parts.MPEG1({ streaming: true, videoBufferSize: 1 });
      mpeg.connect({
        resize: (width, height) => renderer.resize(width, height),
        render: (y, cb, cr, clamped) => {
          this.rendered = true;
          if (this.paint) renderer.render(y, cb, cr, clamped);
        },
      });
      this.renderer = renderer;
      this.mpeg = mpeg;
    } catch (error) {
      this.events.failed({ kind: "unsupported", codec: "mpeg1", message: String(error) });
      return;
    }
    this.drain();
  }

  /** Decodes after the messages that have already arrived, so that of a backlog only the last picture is painted. */
  private wake(): void {
    if (this.mpeg && this.queue.length === 1) this.next();
  }

  private next(): void {
    this.channel.port2.postMessage(null);
  }

  private drain(): void {
    const mpeg = this.mpeg;
    const began = performance.now();
    for (let sample = this.queue[0]; mpeg && sample && !this.closed; sample = this.queue[0]) {
      const first = this.counts.painted === 0;
      this.paint = this.visible && (this.queue.length === 1 || first);
      try {
        this.picture(mpeg, sample);
      } catch (error) {
        this.onError(error);
      }
      this.queue.shift();
      // A canvas is shown between tasks: the first picture at once, and never a long time without one.
      if (this.queue.length > 0 && (first || performance.now() - began > MAX_TASK_MS)) {
        if (first) setTimeout(() => this.next(), 1000 / 60);
        else this.next();
        return;
      }
    }
  }

  private onError(error: unknown): void {
    this.counts.errors += 1;
    this.counts.dropped += 1;
    if (this.budget.spend(performance.now())) this.events.waitForKey(false);
    else this.events.failed({ kind: "errors", message: String(error) });
  }

  private picture(mpeg: Mpeg1, sample: Sample): void {
    Object.assign(mpeg.bits, { bytes: sample.data, byteLength: sample.data.length, index: 0 });
    for (let code = mpeg.bits.findNextStartCode(); code !== -1; code = mpeg.bits.findNextStartCode()) {
      if (code === SEQUENCE) {
        mpeg.decodeSequenceHeader();
      } else if (code === PICTURE && mpeg.hasSequenceHeader) {
        this.rendered = false;
        mpeg.decodePicture();
        this.finish(sample);
      }
    }
  }

  private finish(sample: Sample): void {
    if (!this.rendered) {
      this.counts.dropped += 1; // a B picture, which JSMpeg leaves out
      return;
    }
    this.counts.decoded += 1;
    if (!this.paint) return;
    this.counts.painted += 1;
    this.events.painted({ tag: sample.tag, pts: sample.pts, at: now() });
  }
}

/** WebGL where a GPU does it; drawn in software it would double the processor time (measured). */
function makeRenderer(parts: Parts, canvas: AnyCanvas): Renderer {
  if (hasGpu()) {
    try {
      return new parts.WebGLRenderer({ canvas, preserveDrawingBuffer: true });
    } catch {
      // Too many contexts on a page, for example: the 2D renderer always works.
    }
  }
  return new parts.CanvasRenderer({ canvas });
}

function hasGpu(): boolean {
  const probe: AnyCanvas | undefined =
    typeof OffscreenCanvas !== "undefined" ? new OffscreenCanvas(1, 1) : document.createElement("canvas");
  const context = probe.getContext("webgl", { failIfMajorPerformanceCaveat: true }) as WebGLRenderingContext | null;
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  return context !== null;
}
