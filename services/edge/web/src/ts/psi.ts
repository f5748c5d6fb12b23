// PAT and PMT (ISO/IEC 13818-1 2.4.4): which PID carries the video, and in which coding.
import type { Packet } from "./sync.ts";

export type VideoKind = "h264" | "h265" | "mpeg1" | "mpeg2";

/** stream_type, table 2-34; ffmpeg writes 2 for MPEG-1 as well, so the sequence header decides (video.ts). */
const KINDS: Readonly<Record<number, VideoKind>> = { 0x01: "mpeg1", 0x02: "mpeg1", 0x1b: "h264", 0x24: "h265" };

/** Collects the sections of one PID; a section may span packets. */
class Sections {
  private buffer = new Uint8Array(0);
  private wanted = 0;

  /** Returns the section that this packet completes. */
  push(packet: Packet): Uint8Array | undefined {
    let payload = packet.payload;
    if (!payload) return undefined;
    if (packet.start) {
      payload = payload.subarray(1 + payload[0]!);
      if (payload.length < 3) return undefined;
      this.wanted = 3 + (((payload[1]! & 0x0f) << 8) | payload[2]!);
      this.buffer = payload.slice(0, this.wanted);
    } else if (this.wanted > 0) {
      const joined = new Uint8Array(this.buffer.length + payload.length);
      joined.set(this.buffer);
      joined.set(payload, this.buffer.length);
      this.buffer = joined.slice(0, this.wanted);
    }
    if (this.wanted === 0 || this.buffer.length < this.wanted) return undefined;
    this.wanted = 0;
    return crc32(this.buffer) === 0 ? this.buffer : undefined;
  }
}

/** Finds the first program's video stream; reads on, so that a new table takes effect at once. */
export class Program {
  videoPid: number | undefined;
  kind: VideoKind | undefined;
  /** stream_type as sent, for codecs this player has no name for */
  streamType: number | undefined;
  private pmtPid: number | undefined;
  private readonly pat = new Sections();
  private pmt = new Sections();

  /** Returns true when the packet was a table of the program. */
  push(packet: Packet): boolean {
    if (packet.pid === 0) {
      const section = this.pat.push(packet);
      if (section) this.readPat(section);
      return true;
    }
    if (packet.pid !== this.pmtPid) return false;
    const section = this.pmt.push(packet);
    if (section) this.readPmt(section);
    return true;
  }

  private readPat(section: Uint8Array): void {
    for (let at = 8; at + 4 <= section.length - 4; at += 4) {
      const program = (section[at]! << 8) | section[at + 1]!;
      if (program === 0) continue; // network information
      const pid = ((section[at + 2]! & 0x1f) << 8) | section[at + 3]!;
      if (pid !== this.pmtPid) {
        this.pmtPid = pid;
        this.pmt = new Sections();
      }
      return;
    }
  }

  private readPmt(section: Uint8Array): void {
    if (section[0] !== 0x02) return;
    let unknown: number | undefined;
    let at = 12 + (((section[10]! & 0x0f) << 8) | section[11]!);
    while (at + 5 <= section.length - 4) {
      const type = section[at]!;
      const kind = KINDS[type];
      if (kind) {
        this.videoPid = ((section[at + 1]! & 0x1f) << 8) | section[at + 2]!;
        this.kind = kind;
        this.streamType = type;
        return;
      }
      unknown ??= type;
      at += 5 + (((section[at + 3]! & 0x0f) << 8) | section[at + 4]!);
    }
    this.videoPid = undefined;
    this.kind = undefined;
    this.streamType = unknown;
  }
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index << 24;
  for (let bit = 0; bit < 8; bit += 1) value = value & 0x80000000 ? (value << 1) ^ 0x04c11db7 : value << 1;
  return value;
});

/** CRC-32/MPEG-2 (annex A); 0 over a section with its checksum. */
export function crc32(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = (crc << 8) ^ CRC_TABLE[((crc >>> 24) ^ byte) & 0xff]!;
  return crc >>> 0;
}
