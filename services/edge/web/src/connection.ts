// The stream of one camera over any number of sockets in turn: opens, watches, retries with jitter, hands over
// on a drain notice, and finds out why it was refused. No DOM; everything of the browser comes in `Deps`.
import { Backoff } from "./backoff.ts";
import { Feed, type Media, type SocketLike } from "./feed.ts";
import { Merge, type Accepted } from "./merge.ts";
import { clockMessage, reportMessage, type Refusal, type Report, type ServerMessage } from "./protocol.ts";
import type { Phase, RefuseReason, WaitReason } from "./stall.ts";

export interface Deps {
  openSocket(url: string): SocketLike;
  /** undefined when the server cannot be reached at all */
  askReason(): Promise<Refusal | undefined>;
  /** Unix milliseconds, monotonic */
  now(): number;
  random(): number;
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
}

export interface ConnectionEvents {
  phase(phase: Phase): void;
  media(media: Accepted): void;
  control(message: ServerMessage): void;
  /** A new first socket is open; replay follows. */
  joined(): void;
  note(note: Note): void;
}

/** A line for the log panel: a key of i18n.ts under `log.` and its values. */
export interface Note {
  key: string;
  values?: Record<string, string | number>;
}

/** Clock exchanges: some at once for a good first estimate, then one a period, which also proves the link alive. */
const CLOCK_FIRST_MS = [0, 120, 400];
const CLOCK_PERIOD_MS = 2000;
/** Silence after which a socket is given up: two unanswered clock messages. */
const SILENCE_MS = 5000;
/** After a wake-up or a network change an answer is due sooner. */
const PROBE_MS = 2000;
const TICK_MS = 1000;
const HIDDEN_MS = 10_000;
const REFUSED_RETRY_MS = 60_000;
const UNKNOWN_RETRY_MS = 10_000;
const OPEN_TIMEOUT_MS = 10_000;

export class Connection {
  phase: Phase = { name: "idle" };
  reconnects = 0;
  private readonly merge = new Merge();
  private readonly backoff: Backoff;
  private readonly wanted = { user: false, hidden: false };
  private first: Feed | undefined;
  private second: Feed | undefined;
  private drainEnds = 0;
  private timers = new Set<unknown>();
  private retry: unknown;
  private hiding: unknown;
  private lastTick = 0;
  private asked = 0;
  private answerBy = Infinity;
  private epoch = 0;
  private everOpen = false;

  constructor(
    private readonly url: string,
    private readonly deps: Deps,
    private readonly events: ConnectionEvents,
  ) {
    this.backoff = new Backoff({ firstMs: 300, capMs: 10_000, random: deps.random });
  }

  connect(): void {
    if (this.wanted.user) return;
    this.wanted.user = true;
    this.everOpen = false;
    this.merge.forget();
    this.backoff.reset();
    if (!this.wanted.hidden) this.open();
  }

  disconnect(): void {
    this.wanted.user = false;
    this.stop();
    this.setPhase({ name: "idle" });
  }

  /** The page is out of sight: keep playing for a while, then save the bytes. */
  setHidden(hidden: boolean): void {
    this.deps.clearTimeout(this.hiding);
    if (!this.wanted.user) {
      this.wanted.hidden = hidden && this.wanted.hidden;
      return;
    }
    if (hidden) {
      this.hiding = this.deps.setTimeout(() => this.hide(), HIDDEN_MS);
    } else if (this.wanted.hidden) {
      this.wanted.hidden = false;
      this.open();
    } else {
      this.hurry();
    }
  }

  /** The network changed or the page is back: prove the link alive, or try at once. */
  hurry(): void {
    if (!this.wanted.user || this.wanted.hidden) return;
    if (this.first?.opened) this.probe();
    else if (this.phase.name === "waiting" || this.phase.name === "refused") this.open();
  }

  /** A fresh socket with a replay from the last key picture, for a decoder that lost its state. */
  rejoin(): void {
    this.merge.forget();
    if (this.phase.name === "open" || this.phase.name === "connecting") this.open();
  }

  report(report: Report): void {
    this.first?.send(reportMessage(report));
  }

  private hide(): void {
    this.wanted.hidden = true;
    this.stop();
    this.setPhase({ name: "hidden" });
    this.events.note({ key: "hidden" });
  }

  private open(): void {
    this.stop();
    this.setPhase({ name: "connecting" });
    const feed = this.feed();
    this.first = feed;
    this.lastTick = this.deps.now();
    this.asked = feed.heard;
    this.answerBy = this.lastTick + OPEN_TIMEOUT_MS;
    this.later(() => this.tick(), TICK_MS);
  }

  private feed(): Feed {
    return new Feed(
      this.deps.openSocket(this.url),
      {
        open: (feed) => this.onOpen(feed),
        media: (feed, media) => this.onMedia(feed, media),
        control: (feed, message) => this.onControl(feed, message),
        closed: (feed, code, reason) => void this.onClosed(feed, code, reason),
      },
      this.deps.now,
    );
  }

  private onOpen(feed: Feed): void {
    for (const delay of CLOCK_FIRST_MS) this.later(() => feed.send(clockMessage(this.deps.now())), delay);
    if (feed !== this.first) return;
    if (this.everOpen) this.reconnects += 1;
    this.everOpen = true;
    this.answerBy = Infinity;
    this.setPhase({ name: "open" });
    this.events.joined();
  }

  private onMedia(feed: Feed, media: Media): void {
    if (feed === this.second) {
      if (this.merge.pushSecond(media)) this.handOver();
      return;
    }
    this.backoff.reset();
    const accepted = this.merge.push(media);
    if (accepted) this.events.media(accepted);
    if (this.second && this.merge.canSwitch()) this.handOver();
  }

  private onControl(feed: Feed, message: ServerMessage): void {
    if (feed !== this.first) {
      if (message.type === "drain") this.dropSecond(); // it went to the same dying replica
      return;
    }
    this.events.control(message);
    if (message.type === "drain") this.onDrain(message.deadline);
  }

  private onDrain(ms: number | undefined): void {
    if (this.second) return;
    this.events.note({ key: "drain" });
    this.drainEnds = this.deps.now() + (ms ?? 10_000);
    this.openSecond();
  }

  private openSecond(): void {
    if (!this.first || this.second) return;
    this.second = this.feed();
  }

  private handOver(): void {
    const old = this.first;
    this.first = this.second;
    this.second = undefined;
    old?.leave();
    for (const media of this.merge.takeHeld()) this.events.media(media);
    this.events.note({ key: "handedOver" });
  }

  private dropSecond(): void {
    const feed = this.second;
    if (!feed) return;
    feed.leave();
    this.secondFailed();
  }

  /** The next attempt goes through the load balancer again and finds another replica. */
  private secondFailed(): void {
    this.second = undefined;
    this.merge.dropHeld();
    if (this.deps.now() < this.drainEnds) this.later(() => this.openSecond(), 200 + 300 * this.deps.random());
  }

  private async onClosed(feed: Feed, code: number, reason: string): Promise<void> {
    if (feed === this.second) {
      this.secondFailed();
      return;
    }
    if (feed !== this.first) return;
    if (this.second?.opened) {
      this.handOver();
      return;
    }
    const wasOpen = feed.opened;
    this.stop();
    this.events.note({ key: "closed", values: { code, reason } });
    if (code === 4401) return this.refuse("signedOut");
    if (code === 4403) return this.refuse("revoked");
    if (code === 4404) return this.wait("unknownCamera", UNKNOWN_RETRY_MS);
    if (code === 4408) return this.wait("slow", 1000);
    if (code === 1001) return this.wait("restarting");
    if (code === 1013) return this.wait("capacity", 5000);
    if (wasOpen) return this.wait("lost");
    const epoch = this.epoch;
    this.setPhase({ name: "connecting" });
    const refusal = await this.deps.askReason();
    if (epoch === this.epoch && this.wanted.user && !this.wanted.hidden) this.onRefusal(refusal);
  }

  private onRefusal(refusal: Refusal | undefined): void {
    if (!refusal) return this.wait("unreachable");
    const { status, code, message, retryAfterMs } = refusal;
    if (status !== 200) this.events.note({ key: "refused", values: { status, message: message ?? code ?? "" } });
    if (status === 401) return this.refuse("signedOut");
    if (status === 403) return this.refuse(code === "origin_not_allowed" ? "origin" : "forbidden");
    if (status === 404) return this.wait("unknownCamera", retryAfterMs ?? UNKNOWN_RETRY_MS);
    if (status === 429) return this.wait("limited", retryAfterMs ?? 5000);
    if (status === 503) return this.wait(code?.endsWith("at_capacity") ? "capacity" : "restarting", retryAfterMs);
    this.wait("unreachable", retryAfterMs);
  }

  private refuse(reason: RefuseReason): void {
    this.setPhase({ name: "refused", reason });
    this.retry = this.deps.setTimeout(() => this.open(), REFUSED_RETRY_MS * (1 + this.deps.random() / 4));
  }

  private wait(reason: WaitReason, atLeastMs = 0): void {
    const delay = this.backoff.next(atLeastMs);
    this.setPhase({ name: "waiting", reason, at: this.deps.now() + delay });
    this.retry = this.deps.setTimeout(() => this.open(), delay);
  }

  private tick(): void {
    const time = this.deps.now();
    const slept = time - this.lastTick > 4 * TICK_MS;
    const period = Math.floor(time / CLOCK_PERIOD_MS) !== Math.floor(this.lastTick / CLOCK_PERIOD_MS);
    this.lastTick = time;
    const feed = this.first;
    if (!feed) return;
    this.later(() => this.tick(), TICK_MS);
    if (feed.heard > this.asked) this.answerBy = Infinity;
    const silent = this.answerBy === Infinity ? time - feed.heard > SILENCE_MS : time > this.answerBy;
    if (slept && feed.opened) this.probe(); // timers stopped; the socket may or may not have lived through it
    else if (silent) feed.abandon();
    else if (period && feed.opened) feed.send(clockMessage(time));
  }

  private probe(): void {
    this.asked = this.deps.now();
    this.answerBy = this.asked + PROBE_MS;
    this.first?.send(clockMessage(this.asked));
  }

  private setPhase(phase: Phase): void {
    this.phase = phase;
    this.events.phase(phase);
  }

  private later(callback: () => void, ms: number): void {
    const timer = this.deps.setTimeout(() => {
      this.timers.delete(timer);
      callback();
    }, ms);
    this.timers.add(timer);
  }

  /** Ends sockets and timers; positions stay, so that a replay does not show a picture twice. */
  private stop(): void {
    this.epoch += 1;
    for (const timer of this.timers) this.deps.clearTimeout(timer);
    this.timers.clear();
    this.deps.clearTimeout(this.retry);
    this.first?.leave();
    this.second?.leave();
    this.first = undefined;
    this.second = undefined;
    this.merge.dropHeld();
  }
}
