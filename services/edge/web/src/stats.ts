// Figures of one viewing, as the stats panel, the `stats` property and the reports need them.

export interface Stats {
  /** Same as the element's `state` */
  state: string;
  camera: string;
  codec: string;
  width: number;
  height: number;
  /** Pictures painted a second, over the last seconds */
  fps: number;
  /** "webcodecs", "mse", "jsmpeg" or "" */
  decoder: string;
  /** The decoder lives in a worker */
  worker: boolean;
  /** Why this decoder: a key of choose.ts */
  why: string;
  /** TS packets and bytes received, payload only, since connect */
  packets: number;
  bytes: number;
  messages: number;
  /** Seconds since connect */
  duration: number;
  /** KB/s, 1 KB = 1000 bytes */
  averageRate: number;
  currentRate: number;
  /** Milliseconds from ingest to paint; null while unknown */
  latency: { current: number | null; p50: number | null; p95: number | null; samples: number };
  /** Milliseconds of the last join: from opening the socket */
  join: { open: number | null; firstPicture: number | null; current: number | null };
  decoded: number;
  painted: number;
  dropped: number;
  damage: number;
  decoderErrors: number;
  stalls: number;
  reconnects: number;
  /** Times the edge skipped ahead for us */
  skips: number;
  /** Round trip to the edge, milliseconds */
  roundTrip: number | null;
}

/** Amounts over a short sliding time, for rates. */
export class Rate {
  private entries: { time: number; amount: number }[] = [];
  private sum = 0;

  constructor(private readonly spanMs = 3000) {}

  add(time: number, amount: number): void {
    this.entries.push({ time, amount });
    this.sum += amount;
    this.trim(time);
  }

  clear(): void {
    this.entries = [];
    this.sum = 0;
  }

  /** Amount a second. */
  perSecond(time: number): number {
    this.trim(time);
    return (this.sum * 1000) / this.spanMs;
  }

  /** Mean distance of entries in milliseconds; undefined with fewer than three. */
  interval(time: number): number | undefined {
    this.trim(time);
    const first = this.entries[0];
    const last = this.entries.at(-1);
    return first && last && this.entries.length > 2 ? (last.time - first.time) / (this.entries.length - 1) : undefined;
  }

  private trim(time: number): void {
    let stale = 0;
    while (stale < this.entries.length && this.entries[stale]!.time <= time - this.spanMs) {
      this.sum -= this.entries[stale]!.amount;
      stale += 1;
    }
    if (stale > 0) this.entries.splice(0, stale);
  }
}

/** Received since connect. */
export class Traffic {
  bytes = 0;
  messages = 0;
  startedAt: number | undefined;
  private readonly rate = new Rate();

  start(time: number): void {
    this.bytes = 0;
    this.messages = 0;
    this.startedAt = time;
    this.rate.clear();
  }

  add(time: number, bytes: number): void {
    this.bytes += bytes;
    this.messages += 1;
    this.rate.add(time, bytes);
  }

  summary(time: number): Pick<Stats, "packets" | "bytes" | "messages" | "duration" | "averageRate" | "currentRate"> {
    const duration = this.startedAt === undefined ? 0 : Math.max(0, time - this.startedAt) / 1000;
    return {
      packets: Math.floor(this.bytes / 188),
      bytes: this.bytes,
      messages: this.messages,
      duration,
      averageRate: duration > 0 ? this.bytes / 1000 / duration : 0,
      currentRate: this.rate.perSecond(time) / 1000,
    };
  }
}
