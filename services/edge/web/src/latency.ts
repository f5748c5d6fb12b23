// How late a picture is when it is painted: ingest time from marks, clocks compared by exchange.
// Numbers in, numbers out; no DOM.
import { wrapDifference } from "./ts/pes.ts";

/** Best of the last clock exchanges (RFC 5905's offset and delay): the one with the shortest round trip. */
export class ClockOffset {
  private samples: { offset: number; delay: number }[] = [];

  /** All in unix milliseconds: sent here, received there, sent there, received here. */
  add(t0: number, t1: number, t2: number, t3: number): void {
    const delay = t3 - t0 - (t2 - t1);
    if (delay < 0) return;
    this.samples.push({ offset: (t1 - t0 + (t2 - t3)) / 2, delay });
    if (this.samples.length > 8) this.samples.shift();
  }

  clear(): void {
    this.samples = [];
  }

  /** Server clock minus ours, milliseconds. */
  get offset(): number | undefined {
    return this.best()?.offset;
  }

  get delay(): number | undefined {
    return this.best()?.delay;
  }

  private best(): { offset: number; delay: number } | undefined {
    return this.samples.reduce<{ offset: number; delay: number } | undefined>(
      (best, sample) => (!best || sample.delay < best.delay ? sample : best),
      undefined,
    );
  }
}

/** A minute of values for percentiles. */
export class Window {
  private entries: { time: number; value: number }[] = [];

  constructor(
    private readonly spanMs = 60_000,
    private readonly limit = 2000,
  ) {}

  add(time: number, value: number): void {
    this.entries.push({ time, value });
    if (this.entries.length > this.limit) this.entries.splice(0, this.limit / 4);
  }

  clear(): void {
    this.entries = [];
  }

  /** Nearest-rank percentile, `p` in 0..1. */
  percentile(time: number, p: number): number | undefined {
    const sorted = this.values(time).sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(p * sorted.length) - 1))];
  }

  count(time: number): number {
    return this.values(time).length;
  }

  private values(time: number): number[] {
    const first = this.entries.findIndex((entry) => entry.time > time - this.spanMs);
    this.entries = first < 0 ? [] : this.entries.slice(first);
    return this.entries.map((entry) => entry.value);
  }
}

/** A picture whose ingest time is known. */
interface Anchor {
  tag: number;
  pts: number;
  time: number;
}

/**
 * Tells a link that is slower than its stream: what lies in it grows, so pictures come later and later, long before
 * the edge finds that it can't send. A backlog that is caught up with brings each picture sooner.
 */
export class Lag {
  private best = Infinity;
  private late: { since: number; delay: number } | undefined;
  private at = 0;

  restart(): void {
    this.best = Infinity;
    this.late = undefined;
  }

  /** A picture was painted with this delay, in milliseconds. Returns whether pictures fall behind. */
  painted(delay: number, at: number): boolean {
    // Clocks drift: what was best long ago must not count for ever.
    this.best = Math.min(delay, this.best + (at - this.at) * DRIFT);
    this.at = at;
    if (delay - this.best < LATE_MS) this.late = undefined;
    else this.late ??= { since: at, delay };
    return this.late !== undefined && at - this.late.since >= LATE_FOR_MS && delay > this.late.delay + GROWTH_MS;
  }
}

const LATE_MS = 700;
const LATE_FOR_MS = 500;
/** A clock that was set makes every picture late by the same. */
const GROWTH_MS = 100;
/** Milliseconds of each millisecond that clocks may part */
const DRIFT = 0.001;

/** A picture counts as current below this delay; joins are timed until then. */
export const CURRENT_MS = 300;

/**
 * Delay of painted pictures. A mark gives the ingest time of its own message, about once a second: only those
 * pictures are counted, so that no guess is among the figures. The pictures in between are placed by their PTS,
 * which is good enough to tell when a join has caught up. Pictures of a join's backlog are old by intent:
 * counting begins when the viewer has caught up, or `SETTLE_MS` after the join if it never does.
 */
export class LatencyMeter {
  readonly clock = new ClockOffset();
  readonly window = new Window();
  private readonly lag = new Lag();
  /** Pictures come later and later */
  behind = false;
  /** Since the last report */
  private recent: number[] = [];
  private anchors: Anchor[] = [];
  /** Delay of the picture before, exact or not */
  private before: number | undefined;
  /** Tag of the last mark that was counted */
  private counted: number | undefined;
  private settledAt = Infinity;
  private settled = false;
  /** Exact, of the last marked picture */
  current: number | undefined;

  /** The message with this tag, its picture's PTS being `pts`, was read by ingest at `time` (server clock, unix milliseconds). */
  mark(tag: number, pts: number, time: number): void {
    this.anchors.push({ tag, pts, time });
    if (this.anchors.length > 32) this.anchors.shift();
  }

  /** A join or a jump: what follows may be backlog. */
  restart(at: number): void {
    this.anchors = [];
    this.settled = false;
    this.settledAt = at + SETTLE_MS;
    this.current = undefined;
    this.before = undefined;
    this.lag.restart();
    this.behind = false;
  }

  /** Returns the delay in milliseconds, placed by PTS; undefined while it is not known. */
  painted(tag: number, pts: number, at: number): number | undefined {
    const offset = this.clock.offset;
    const anchor = this.anchorOf(tag);
    if (!anchor || offset === undefined) return undefined;
    const delay = at + offset - (anchor.time + wrapDifference(pts, anchor.pts) / 90);
    const late = Math.max(0, delay);
    // While it catches up, each picture is later than the next by about a picture's distance.
    const steady = this.before !== undefined && this.before - late < STEADY_MS;
    this.before = late;
    if ((late < CURRENT_MS && steady) || at > this.settledAt) this.settled = true;
    if (this.settled) this.behind = this.lag.painted(late, at);
    return late;
  }

  /** True when the picture of this message carries a mark that was not counted yet. */
  isMarked(tag: number): boolean {
    return tag !== this.counted && this.anchors.some((anchor) => anchor.tag === tag);
  }

  /** The marked picture could be seen at `at`: an exact delay. */
  shown(tag: number, at: number): void {
    const anchor = this.anchors.find((one) => one.tag === tag);
    const offset = this.clock.offset;
    if (!anchor || offset === undefined || tag === this.counted) return;
    this.counted = tag;
    this.current = Math.max(0, at + offset - anchor.time);
    if (!this.settled) return;
    this.window.add(at, this.current);
    if (this.recent.length < 100) this.recent.push(this.current);
  }

  /** The newest mark not after the picture's message; older ones are done with. */
  private anchorOf(tag: number): Anchor | undefined {
    while (this.anchors[1] && this.anchors[1].tag <= tag) this.anchors.shift();
    const first = this.anchors[0];
    return first && first.tag <= tag ? first : undefined;
  }

  /** Median since the last call. */
  take(): number | undefined {
    const sorted = this.recent.sort((a, b) => a - b);
    this.recent = [];
    return sorted[sorted.length >> 1];
  }
}

const SETTLE_MS = 3000;
const STEADY_MS = 12;
