// H.264 and H.265 through a <video> element: MediaSource, or ManagedMediaSource where only that exists
// (iPhone). Used where VideoDecoder is not, above all on plain http:// addresses.
import { now } from "../clock.ts";
import { initSegment, Remuxer, TIMESCALE, type Fragment } from "../mp4/remux.ts";
import { join } from "../mp4/boxes.ts";
import type { Configured, Sample } from "../ts/video.ts";
import { EdgeFollower } from "./edge-follower.ts";
import { ErrorBudget, type DecoderEvents, type SampleDecoder, type SnapshotType } from "./engine.ts";
import { capture } from "./surface.ts";

/** Played media kept behind the playhead, seconds. */
const KEEP_BEHIND = 4;
const EVICT_ABOVE = 10;
/** Largest single append; a join's backlog goes in one piece. */
const MAX_APPEND = 1 << 20;
/** Fragments remembered to name the picture that is shown. */
const REMEMBERED = 600;

type Constructor = typeof MediaSource;
type Managed = { ManagedMediaSource?: Constructor };

export function mediaSource(): Constructor | undefined {
  return globalThis.MediaSource ?? (globalThis as Managed).ManagedMediaSource;
}

const mimeType = (config: Configured): string => `video/mp4; codecs="${config.codec}"`;

export class MseDecoder implements SampleDecoder {
  readonly counts = { decoded: 0, painted: 0, dropped: 0, errors: 0 };
  visible = true;
  private readonly budget = new ErrorBudget();
  private readonly remuxer: Remuxer;
  private readonly follower = new EdgeFollower();
  private source: MediaSource | undefined;
  private buffer: SourceBuffer | undefined;
  private address: string | undefined;
  private config: Configured | undefined;
  private type = "";
  private queue: { data: Uint8Array; fragment?: Fragment; type?: string }[] = [];
  private shown: (Fragment & { pts: number })[] = [];
  private liveEnd = 0;
  private frames = 0;
  private started = false;
  private closed = false;
  private poll: number | undefined;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly events: DecoderEvents,
    fps?: number,
  ) {
    this.remuxer = new Remuxer(fps);
    video.addEventListener("error", this.onVideoError);
    video.addEventListener("waiting", this.onWaiting);
    if (typeof video.requestVideoFrameCallback === "function") video.requestVideoFrameCallback(this.onFrame);
    else this.poll = requestAnimationFrame(this.onPoll);
  }

  decode(sample: Sample): void {
    if (sample.config) this.configure(sample.config);
    if (!this.config) return;
    const fragment = this.remuxer.fragment(sample);
    this.counts.decoded += 1;
    this.shown.push({ ...fragment, data: new Uint8Array(0), pts: sample.pts });
    if (this.shown.length > REMEMBERED) this.shown.splice(0, this.shown.length - REMEMBERED);
    this.follower.arrived(performance.now(), sample.dts / TIMESCALE, this.remuxer.interval / TIMESCALE);
    this.queue.push({ data: fragment.data, fragment });
    this.pump();
  }

  restarted(): void {
    this.follower.restart();
  }

  async snapshot(type: SnapshotType): Promise<Blob | undefined> {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (width === 0) return undefined;
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    canvas.getContext("2d")!.drawImage(this.video, 0, 0, width, height);
    return capture(canvas, type);
  }

  close(): void {
    this.closed = true;
    this.video.removeEventListener("error", this.onVideoError);
    this.video.removeEventListener("waiting", this.onWaiting);
    if (this.poll !== undefined) cancelAnimationFrame(this.poll);
    this.detach();
  }

  private configure(config: Configured): void {
    const type = mimeType(config);
    const Source = mediaSource();
    if (!Source?.isTypeSupported(type)) {
      this.events.failed({ kind: "unsupported", codec: config.codec, message: `MediaSource refuses ${type}` });
      return;
    }
    this.config = config;
    if (!this.source) this.attach(Source);
    this.queue.push({ data: initSegment(config), type });
  }

  private attach(Source: Constructor): void {
    const source = new Source();
    this.source = source;
    this.started = false;
    source.addEventListener(
      "sourceopen",
      () => {
        if (this.closed || this.source !== source) return;
        if (this.address) URL.revokeObjectURL(this.address);
        this.address = undefined;
        this.type = mimeType(this.config!);
        this.buffer = source.addSourceBuffer(this.type);
        this.buffer.addEventListener("updateend", this.onUpdateEnd);
        this.pump();
      },
      { once: true },
    );
    this.video.disableRemotePlayback = true; // ManagedMediaSource opens only without AirPlay
    this.address = URL.createObjectURL(source);
    this.video.src = this.address;
  }

  private detach(): void {
    this.release();
    this.video.removeAttribute("src");
    this.video.load();
  }

  private release(): void {
    this.buffer?.removeEventListener("updateend", this.onUpdateEnd);
    this.buffer = undefined;
    this.source = undefined;
    this.queue = [];
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = undefined;
  }

  private pump(): void {
    const buffer = this.buffer;
    if (!buffer || buffer.updating || this.queue.length === 0) return;
    const head = this.queue[0]!;
    if (head.type !== undefined && head.type !== this.type) {
      buffer.changeType(head.type);
      this.type = head.type;
    }
    const take: Uint8Array[] = [];
    let end = this.liveEnd;
    let size = 0;
    while (this.queue.length > 0 && size < MAX_APPEND) {
      const next = this.queue[0]!;
      if (next.type !== undefined && next.type !== this.type) break;
      this.queue.shift();
      take.push(next.data);
      size += next.data.length;
      if (next.fragment) end = next.fragment.end;
    }
    const data = join(take);
    try {
      buffer.appendBuffer(data as Uint8Array<ArrayBuffer>);
      this.liveEnd = end;
    } catch (error) {
      if ((error as DOMException).name === "QuotaExceededError" && this.evict(1)) this.queue.unshift({ data });
      else this.rebuild(String(error));
    }
  }

  private readonly onUpdateEnd = (): void => {
    if (this.closed || !this.buffer) return;
    if (this.queue.length === 0) this.follow();
    if (!this.evict(KEEP_BEHIND)) this.pump();
  };

  /** Removes what was played long ago; true when a removal has begun. */
  private evict(keep: number): boolean {
    const { buffer, video } = this;
    if (!buffer || buffer.updating || buffer.buffered.length === 0) return false;
    const first = buffer.buffered.start(0);
    if (video.currentTime - first < (keep === KEEP_BEHIND ? EVICT_ABOVE : keep + 1)) return false;
    buffer.remove(first, video.currentTime - keep);
    return true;
  }

  private follow(): void {
    const { video, buffer } = this;
    const ranges = buffer?.buffered;
    if (!ranges || ranges.length === 0) return;
    const start = ranges.start(ranges.length - 1);
    const end = ranges.end(ranges.length - 1);
    const interval = this.remuxer.interval / TIMESCALE;
    const target = this.follower.target(interval);
    if (!this.started) {
      this.started = true;
      video.currentTime = Math.max(start, end - target);
      this.play();
      return;
    }
    if (video.currentTime < start || video.currentTime > end + 0.05) {
      video.currentTime = Math.max(start, end - target);
    }
    if (!this.visible) return;
    const decision = this.follower.observe({ time: performance.now(), ahead: end - video.currentTime, interval });
    if (decision.seek !== undefined) video.currentTime = Math.max(start, end - decision.seek);
    if (Math.abs(video.playbackRate - decision.rate) > 0.01) video.playbackRate = decision.rate;
    if (video.paused) this.play();
  }

  private play(): void {
    this.video.play().catch((error: DOMException) => {
      if (error.name === "NotAllowedError" && !this.closed) this.events.failed({ kind: "gesture" });
    });
  }

  private readonly onWaiting = (): void => {
    if (this.started && this.visible) this.follower.ranDry();
  };

  private readonly onVideoError = (): void => {
    if (!this.closed && this.source) this.rebuild(this.video.error?.message || `media error ${this.video.error?.code}`);
  };

  /** A media element with an error refuses every append: only a new MediaSource goes on. */
  private rebuild(message: string): void {
    this.counts.errors += 1;
    this.release(); // the element keeps its source, and so its last picture, until the next one
    if (!this.budget.spend(performance.now())) {
      this.events.failed({ kind: "errors", message });
      return;
    }
    this.config = undefined;
    this.events.waitForKey(true);
  }

  private readonly onFrame: VideoFrameRequestCallback = (_time, frame) => {
    if (this.closed) return;
    this.video.requestVideoFrameCallback(this.onFrame);
    this.counts.painted += Math.max(1, frame.presentedFrames - this.frames);
    this.frames = frame.presentedFrames;
    this.tell(frame.mediaTime, performance.timeOrigin + frame.presentationTime);
  };

  /** Without requestVideoFrameCallback: a new time in a new animation frame is taken for a new picture. */
  private readonly onPoll = (): void => {
    if (this.closed) return;
    this.poll = requestAnimationFrame(this.onPoll);
    const total = this.video.getVideoPlaybackQuality().totalVideoFrames;
    if (total <= this.frames) return;
    this.counts.painted += total - this.frames;
    this.frames = total;
    this.tell(this.video.currentTime, now());
  };

  private tell(mediaTime: number, at: number): void {
    for (let index = this.shown.length - 1; index >= 0; index -= 1) {
      const candidate = this.shown[index]!;
      if (candidate.start > mediaTime + 0.002) continue;
      this.shown.splice(0, index);
      this.events.painted({ tag: candidate.tag, pts: candidate.pts, at });
      return;
    }
  }
}
