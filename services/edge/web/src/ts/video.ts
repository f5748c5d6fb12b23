// From access units of a stream to what a decoder may be given: configured key pictures first, nothing
// damaged, nothing that refers to a picture that was dropped.
import type { AccessUnit } from "./pes.ts";
import { lengthPrefixed, sameBytes, splitAnnexB } from "./bits.ts";
import * as h264 from "./h264.ts";
import * as h265 from "./h265.ts";

/** The parts of one access unit. */
export interface Unit {
  key: boolean;
  /** A leading picture of H.265, not decodable right after a join */
  leading: boolean;
  slices: Uint8Array[];
  parameters: Uint8Array[];
  /** Number of slice NAL units; 0 when the unit holds no picture */
  pictures: number;
}

/** What a decoder or an init segment needs. */
export interface Configured {
  /** RFC 6381 */
  codec: string;
  width: number;
  height: number;
  /** avcC or hvcC; empty for MPEG-1 */
  description: Uint8Array;
  sampleEntry: "avc1" | "hvc1" | "mpeg1" | "mpeg2";
  /** Pictures come out in another order than they go in */
  reordered: boolean;
}

/** One picture for a decoder. */
export interface Sample {
  key: boolean;
  /** Length-prefixed NAL units, or the MPEG-1 elementary stream as it is */
  data: Uint8Array;
  /** 90 kHz */
  pts: number;
  dts: number;
  tag: number;
  /** Set on key pictures where the configuration is new */
  config: Configured | undefined;
}

export class SampleFilter {
  /** Pictures kept from the decoder: damaged ones and those after them up to the next key picture. */
  dropped = 0;
  private waiting = true;
  private config: Configured | undefined;
  private reordered = false;
  private lastPts = -Infinity;
  private skipLeading = false;

  /** Nothing passes before the next key picture. */
  waitForKey(): void {
    this.waiting = true;
  }

  /** The configuration is told again with the next key picture. */
  forget(): void {
    this.config = undefined;
    this.waiting = true;
  }

  push(unit: AccessUnit): Sample | undefined {
    const sample = unit.kind === "mpeg1" ? this.mpeg(unit) : this.nal(unit);
    if (!sample) return undefined;
    if (unit.damaged || ((this.waiting || unit.afterHole) && !sample.key)) {
      this.waiting = true;
      this.dropped += 1;
      return undefined;
    }
    this.waiting = false;
    return sample;
  }

  private nal(unit: AccessUnit): Sample | undefined {
    const codec = unit.kind === "h264" ? h264 : h265;
    const parts = codec.readUnit(splitAnnexB(unit.data));
    if (parts.pictures === 0) return undefined;
    this.watchOrder(unit, parts.key);
    if (parts.leading && this.skipLeading) {
      this.dropped += 1;
      return undefined;
    }
    if (!parts.leading && !parts.key) this.skipLeading = false;
    let config: Configured | undefined;
    if (parts.key && !unit.damaged) {
      this.skipLeading = this.waiting;
      config = this.changed(configured(() => codec.configure(parts.parameters, this.reordered)));
      // A key picture without its parameter sets, and none known: no decoder can start here.
      if (!this.config) return undefined;
    }
    const { pts, dts, tag } = unit;
    return { key: parts.key, data: lengthPrefixed(parts.slices), pts, dts, tag, config };
  }

  private mpeg(unit: AccessUnit): Sample | undefined {
    const header = mpegHeader(unit.data);
    let config: Configured | undefined;
    if (header && !unit.damaged) {
      config = this.changed({ ...header, codec: header.sampleEntry === "mpeg1" ? "mp4v.6A" : "mp4v.61", description: new Uint8Array(0), reordered: false });
    }
    const { data, pts, dts, tag } = unit;
    return { key: header !== undefined, data, pts, dts, tag, config };
  }

  /** Pictures that leave in another order show by DTS apart from PTS, or by PTS that goes back. */
  private watchOrder(unit: AccessUnit, key: boolean): void {
    if (key) this.reordered = unit.pts !== unit.dts;
    else if (unit.pts !== unit.dts || unit.pts < this.lastPts) this.reordered = true;
    this.lastPts = unit.pts;
  }

  private changed(next: Configured | undefined): Configured | undefined {
    if (!next) return undefined;
    const last = this.config;
    if (last && last.codec === next.codec && last.width === next.width && last.height === next.height && sameBytes(last.description, next.description)) {
      return undefined;
    }
    this.config = next;
    return next;
  }
}

/** A parameter set that cannot be read is as good as none. */
function configured(read: () => Configured | undefined): Configured | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The sequence header that begins a key picture (ISO/IEC 11172-2 2.4.2.3); an extension after it makes it MPEG-2. */
function mpegHeader(data: Uint8Array): { width: number; height: number; sampleEntry: "mpeg1" | "mpeg2" } | undefined {
  if (data.length < 12 || data[0] !== 0 || data[1] !== 0 || data[2] !== 1 || data[3] !== 0xb3) return undefined;
  let at = 12; // the header without matrices; each of those is 64 bytes
  while (at + 4 < data.length && at <= 12 + 128 && !(data[at] === 0 && data[at + 1] === 0 && data[at + 2] === 1)) at += 1;
  const sampleEntry = data[at + 3] === 0xb5 ? "mpeg2" : "mpeg1";
  return { width: (data[4]! << 4) | (data[5]! >> 4), height: ((data[5]! & 15) << 8) | data[6]!, sampleEntry };
}
