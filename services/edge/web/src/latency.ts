// How late a picture is when it is painted: ingest time from marks, clocks compared by exchange.
// Numbers in, numbers out; no DOM.

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

/** A picture counts as current below this delay; joins are timed until then. */
export const CURRENT_MS = 300;

/**
 * Delay of painted pictures. A mark gives the ingest time of its own message; the pictures up to the next
 * mark are placed by their PTS. Pictures of a join's backlog are old by intent: percentiles begin when the
 * viewer has caught up, or `SETTLE_MS` after the join if it never does.
 */
export class LatencyMeter {
  readonly clock = new ClockOffset();
  readonly window = new Window();
  /** Since the last report */
  private recent: number[] = [];
  private marks = new Map<number, number>();
  private anchor: { pts: number; time: number } | undefined;
  private settledAt = Infinity;
  private settled = false;
  current: number | undefined;

  /** The message with this tag was read by ingest at `time` (server clock, unix milliseconds). */
  mark(tag: number, time: number): void {
    this.marks.set(tag, time);
    if (this.marks.size > 64) this.marks.delete(this.marks.keys().next().value!);
  }

  /** A join or a jump: what follows may be backlog. */
  restart(at: number): void {
    this.marks.clear();
    this.anchor = undefined;
    this.settled = false;
    this.settledAt = at + SETTLE_MS;
    this.current = undefined;
  }

  /** Returns the delay in milliseconds, undefined while it is not known. */
  painted(tag: number, pts: number, at: number): number | undefined {
    const marked = this.marks.get(tag);
    if (marked !== undefined) this.anchor = { pts, time: marked };
    const offset = this.clock.offset;
    if (!this.anchor || offset === undefined) return undefined;
    const delay = at + offset - (this.anchor.time + (pts - this.anchor.pts) / 90);
    this.current = Math.max(0, delay);
    if (delay < CURRENT_MS || at > this.settledAt) this.settled = true;
    if (this.settled) {
      this.window.add(at, this.current);
      if (this.recent.length < 1000) this.recent.push(this.current);
    }
    return this.current;
  }

  /** Median since the last call. */
  take(): number | undefined {
    const sorted = this.recent.sort((a, b) => a - b);
    this.recent = [];
    return sorted[sorted.length >> 1];
  }
}

const SETTLE_MS = 3000;
