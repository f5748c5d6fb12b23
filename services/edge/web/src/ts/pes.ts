// PES packets of the video PID into access units (ISO/IEC 13818-1 2.4.3.6), with damage noted.
//
// One message of the edge holds at most one access unit, so a unit is complete, in this order: when its
// PES length is reached; when its last packet carries stuffing (a muxer stuffs only the last packet of a
// PES); when the next PES begins. A unit of unknown length (over 64 KiB) whose last packet happens to be
// exactly full waits for the next message: from here it looks the same as a picture sent in parts.
import { forEachPacket, type Packet } from "./sync.ts";
import { Program, type VideoKind } from "./psi.ts";

export interface AccessUnit {
  kind: VideoKind;
  data: Uint8Array;
  /** 90 kHz, unwrapped: grows beyond 33 bits, may jump where a run changes. */
  pts: number;
  dts: number;
  /** Packets of it were lost or marked as erroneous. */
  damaged: boolean;
  /** Packets before it were lost, perhaps a whole picture: only a key picture is good for anything now. */
  afterHole: boolean;
  /** Caller's tag of the message in which the unit began. */
  tag: number;
}

interface Open {
  parts: Uint8Array[];
  size: number;
  /** Bytes of the whole unit, 0 when the PES says nothing */
  length: number;
  pts: number;
  dts: number;
  damaged: boolean;
  afterHole: boolean;
  stuffed: boolean;
  tag: number;
  kind: VideoKind;
}

export class Demuxer {
  readonly program = new Program();
  /** Bytes outside of packets, and breaks of the continuity counter of the video PID. */
  readonly errors = { sync: 0, continuity: 0 };
  private open: Open | undefined;
  private counter: number | undefined;
  /** Packets were lost since the last unit began */
  private hole = false;
  private tag = 0;
  private lastDts: number | undefined;
  private readonly done: AccessUnit[] = [];

  /** Takes one message; returns the access units it completes. `tag` comes back on units that begin in it. */
  push(message: Uint8Array, tag: number): AccessUnit[] {
    this.tag = tag;
    this.errors.sync += forEachPacket(message, this.onPacket);
    if (this.open?.stuffed && this.open.length === 0) this.close();
    return this.done.splice(0);
  }

  /** Forgets the unit under way; the next packets may continue anywhere. */
  reset(): void {
    this.open = undefined;
    this.counter = undefined;
    this.hole = false;
  }

  private readonly onPacket = (packet: Packet): void => {
    if (this.program.push(packet) || packet.pid !== this.program.videoPid) return;
    if (!this.continues(packet)) {
      this.errors.continuity += 1;
      this.hole = true;
      if (this.open) this.open.damaged = true;
    }
    const payload = packet.payload;
    if (!payload) return;
    if (packet.start) {
      this.close();
      this.begin(payload);
    } else if (this.open) {
      this.append(payload);
    }
    const open = this.open;
    if (!open) return;
    open.stuffed = packet.stuffed;
    if (packet.error || packet.scrambled) open.damaged = true;
    if (open.length > 0 && open.size >= open.length) this.close();
  };

  /** 2.4.3.3: +1 for each packet with payload; one duplicate is allowed; a flagged jump is no loss. */
  private continues(packet: Packet): boolean {
    const last = this.counter;
    this.counter = packet.counter;
    if (last === undefined || packet.discontinuity) return true;
    if (!packet.payload) return packet.counter === last;
    return packet.counter === ((last + 1) & 15);
  }

  private begin(payload: Uint8Array): void {
    const kind = this.program.kind;
    if (!kind || payload.length < 9 || payload[0] !== 0 || payload[1] !== 0 || payload[2] !== 1) return;
    const headerEnd = 9 + payload[8]!;
    const flags = payload[7]! >> 6;
    const packetLength = (payload[4]! << 8) | payload[5]!;
    const pts = flags & 2 ? readTime(payload, 9) : 0;
    const dts = flags === 3 ? readTime(payload, 14) : pts;
    const unwrapped = this.unwrap(dts);
    this.open = {
      parts: [],
      size: 0,
      length: packetLength === 0 ? 0 : Math.max(1, packetLength + 6 - headerEnd),
      pts: unwrapped + wrapDifference(pts, dts),
      dts: unwrapped,
      damaged: false,
      afterHole: this.hole,
      stuffed: false,
      tag: this.tag,
      kind,
    };
    this.hole = false;
    if (headerEnd < payload.length) this.append(payload.subarray(headerEnd));
  }

  private append(payload: Uint8Array): void {
    const open = this.open!;
    open.parts.push(payload);
    open.size += payload.length;
  }

  private close(): void {
    const open = this.open;
    this.open = undefined;
    if (!open || open.size === 0) return;
    const size = open.length > 0 ? Math.min(open.size, open.length) : open.size;
    const data = new Uint8Array(size);
    let at = 0;
    for (const part of open.parts) {
      const take = part.length > size - at ? part.subarray(0, size - at) : part;
      data.set(take, at);
      at += take.length;
    }
    const damaged = open.damaged || open.size < open.length;
    const { kind, pts, dts, afterHole, tag } = open;
    this.done.push({ kind, data, pts, dts, damaged, afterHole, tag });
  }

  private unwrap(dts: number): number {
    this.lastDts = this.lastDts === undefined ? dts : this.lastDts + wrapDifference(dts, this.lastDts);
    return this.lastDts;
  }
}

const WRAP = 2 ** 33;

/** `a - b` on the 33-bit clock, the short way round. */
export function wrapDifference(a: number, b: number): number {
  const difference = (((a - b) % WRAP) + WRAP) % WRAP;
  return difference >= WRAP / 2 ? difference - WRAP : difference;
}

export function readTime(data: Uint8Array, at: number): number {
  const high = (data[at]! >> 1) & 0x07;
  const middle = ((data[at + 1]! << 8) | data[at + 2]!) >> 1;
  const low = ((data[at + 3]! << 8) | data[at + 4]!) >> 1;
  return high * 2 ** 30 + middle * 2 ** 15 + low;
}
