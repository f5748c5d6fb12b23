// Keeps a <video> at the live edge (numbers in, decisions out; no DOM). Playback rate first, as a seek shows:
// a seek only when the lag is large and still growing, since decoders that hold pictures keep a constant lag
// for ever and seeking on its size alone would never end.

export interface Observation {
  /** Monotonic milliseconds */
  time: number;
  /** Seconds of media in front of the playhead, right after an append */
  ahead: number;
  /** Mean picture distance, seconds */
  interval: number;
}

export interface Decision {
  rate: number;
  /** Seconds before the live end to go to */
  seek: number | undefined;
}

const WINDOW_MS = 700;
const MAX_RATE = 1.5;
const SLOW_RATE = 0.94;
/** Lag above which a seek is considered, seconds */
const SEEK_LAG = 0.6;
const SEEK_PAUSE_MS = 3000;
/** After a join or a jump, seconds and milliseconds */
const JOIN_MS = 1000;
const JOIN_LAG = 0.12;
const JOIN_PAUSE_MS = 80;
const MAX_PADDING = 0.3;
const DRY_PAUSE_MS = 1000;

export class EdgeFollower {
  /** Extra distance after the playhead ran dry; melts away. */
  padding = 0;
  private jitter = 0;
  private driedAt = -Infinity;
  private last: { time: number; stamp: number } | undefined;
  private dry = false;
  private recent: { time: number; ahead: number }[] = [];
  private lastSeek: { time: number; lag: number } | undefined;
  private joinEnds: number | undefined;
  private rate = 1;

  /** Seconds between playhead and live end to aim at: about 1.2 pictures and the jitter. */
  target(interval: number): number {
    return 1.2 * interval + 2 * this.jitter + this.padding;
  }

  /** The playhead reached the end of the buffer while playing. Whether a picture was late or left out shows with the next one. */
  ranDry(): void {
    this.dry = true;
  }

  /** A new backlog: one seek is in order again. */
  restart(): void {
    this.lastSeek = undefined;
    this.last = undefined;
    this.joinEnds = undefined;
    this.recent = [];
  }

  /**
   * A picture arrived, `stamp` being its own time in seconds: how far the two distances to the one before differ is
   * the jitter. Pictures that were left out are no jitter.
   */
  arrived(time: number, stamp: number, interval: number): void {
    const late = this.last ? (time - this.last.time) / 1000 - (stamp - this.last.stamp) : 0;
    this.last = { time, stamp };
    if (Math.abs(late) < 1) this.jitter += (Math.abs(late) - this.jitter) / 16;
    this.padding *= 0.99;
    if (this.dry && late > interval / 8 && time - this.driedAt > DRY_PAUSE_MS) {
      this.driedAt = time;
      this.padding = Math.min(MAX_PADDING, this.padding + interval / 5);
    }
    this.dry = false;
  }

  observe({ time, ahead, interval }: Observation): Decision {
    const target = this.target(interval);
    this.joinEnds ??= time + JOIN_MS;
    if (time < this.joinEnds) return this.join(time, ahead, target);
    this.recent.push({ time, ahead });
    this.recent = this.recent.filter((entry) => entry.time > time - WINDOW_MS);
    const lowest = Math.min(...this.recent.map((entry) => entry.ahead));
    if (this.shouldSeek(time, lowest, target)) {
      this.lastSeek = { time, lag: lowest };
      this.recent = [];
      this.rate = 1;
      return { rate: 1, seek: target };
    }
    const excess = lowest - target;
    if (excess > Math.max(0.12 * interval, 0.008)) this.rate = Math.min(MAX_RATE, 1.02 + excess * 1.5);
    else if (excess < -0.25 * interval) this.rate = SLOW_RATE;
    else if (this.rate > 1 ? excess <= 0.005 : excess >= 0) this.rate = 1;
    return { rate: this.rate, seek: undefined };
  }

  /** A join's backlog arrives in pieces: go to its end as often as that moves. */
  private join(time: number, ahead: number, target: number): Decision {
    const seek = ahead > target + JOIN_LAG && time - (this.lastSeek?.time ?? -Infinity) > JOIN_PAUSE_MS;
    if (seek) this.lastSeek = { time, lag: ahead };
    this.rate = 1;
    return { rate: 1, seek: seek ? target : undefined };
  }

  private shouldSeek(time: number, lag: number, target: number): boolean {
    if (lag < target + SEEK_LAG) return false;
    const last = this.lastSeek;
    if (!last) return true;
    return time - last.time > SEEK_PAUSE_MS && lag > last.lag + 0.2;
  }
}
