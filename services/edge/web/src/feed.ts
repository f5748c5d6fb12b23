// One WebSocket of a stream: counts its messages along the marks, answers nothing, owns nothing else.
import { parseMessage, SUBPROTOCOL, type Position, type ServerMessage } from "./protocol.ts";

/** One binary message and where it stands in the stream. */
export interface Media {
  data: ArrayBuffer;
  /** Unknown from a server that sent neither hello nor mark */
  position: Position | undefined;
  /** Ingest time of this very message, server clock, unix milliseconds */
  time: number | undefined;
}

/** The part of WebSocket that is used, so that tests can stand in for it. */
export interface SocketLike {
  binaryType: BinaryType;
  readyState: number;
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  onerror: ((event: Event) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

export interface FeedEvents {
  open(feed: Feed): void;
  media(feed: Feed, media: Media): void;
  control(feed: Feed, message: ServerMessage): void;
  closed(feed: Feed, code: number, reason: string): void;
}

const OPEN = 1;

export class Feed {
  opened = false;
  /** When anything was last heard, monotonic milliseconds */
  heard: number;
  private next: Position | undefined;
  private time: number | undefined;
  private done = false;

  constructor(
    private readonly socket: SocketLike,
    private readonly events: FeedEvents,
    now: () => number,
  ) {
    this.heard = now();
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.opened = true;
      this.heard = now();
      events.open(this);
    };
    socket.onmessage = ({ data }: MessageEvent) => {
      if (this.done) return;
      this.heard = now();
      if (typeof data === "string") this.onText(data);
      else this.onBinary(data as ArrayBuffer);
    };
    socket.onclose = ({ code, reason }) => this.finish(code, reason);
    socket.onerror = null; // a close event always follows
  }

  send(message: string): void {
    if (this.socket.readyState === OPEN) this.socket.send(message);
  }

  /** Leaves without telling the owner. */
  leave(): void {
    this.done = true;
    this.socket.close(1000);
  }

  /** Gives the socket up as if it had closed; its close event may be a long time coming. */
  abandon(): void {
    this.socket.close(1000);
    this.finish(1006, "no answer");
  }

  private onText(data: string): void {
    const message = parseMessage(data);
    if (!message) return;
    if (message.type === "hello" && message.next) this.next = { ...message.next };
    if (message.type === "mark") {
      this.next = { ...message.next };
      this.time = message.time;
    }
    this.events.control(this, message);
  }

  private onBinary(data: ArrayBuffer): void {
    const position = this.next && { ...this.next };
    const time = this.time;
    if (this.next) this.next.seq += 1;
    this.time = undefined;
    this.events.media(this, { data, position, time });
  }

  private finish(code: number, reason: string): void {
    if (this.done) return;
    this.done = true;
    this.events.closed(this, code, reason);
  }
}

export function openSocket(url: string): SocketLike {
  return new WebSocket(url, [SUBPROTOCOL]);
}
