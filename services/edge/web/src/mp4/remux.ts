// Samples into init and media segments for MediaSource, one fragment a picture, on a timeline of our own.
//
// MediaSource throws a picture away, and all up to the next key picture, when its decode time is more than
// twice the last duration after the last one (Media Source Extensions, coded frame processing). A camera
// that leaves pictures out would trip that, so gaps are shortened on our timeline; the delay is measured
// elsewhere, from marks, and does not depend on it.
import { box, join, u16, u32, u64 } from "./boxes.ts";
import type { Configured, Sample } from "../ts/video.ts";

export const TIMESCALE = 90_000;
/** Decode time of the first picture: leaves room for a composition offset below it. */
const START = TIMESCALE;
const DEFAULT_INTERVAL = TIMESCALE / 15;

export interface Fragment {
  data: Uint8Array;
  /** Seconds on the media timeline */
  start: number;
  end: number;
  key: boolean;
  tag: number;
}

export class Remuxer {
  /** Mean distance of pictures, 90 kHz */
  interval = DEFAULT_INTERVAL;
  private sequence = 0;
  private time = START;
  private last: { dts: number; duration: number } | undefined;

  /** Expected rate before the first distance is known. */
  constructor(fps?: number) {
    if (fps && fps > 0) this.interval = TIMESCALE / fps;
  }

  fragment(sample: Sample): Fragment {
    if (this.last) {
      const step = sample.dts - this.last.dts;
      const usable = step > 0 && step < 10 * TIMESCALE;
      if (usable && step < TIMESCALE) this.interval += (step - this.interval) / 8;
      this.time += usable ? Math.min(step, Math.floor(this.last.duration * 1.9)) : this.last.duration;
    }
    const duration = Math.max(1, Math.round(this.interval));
    this.last = { dts: sample.dts, duration };
    const offset = sample.pts - sample.dts;
    this.sequence += 1;
    const data = fragment(this.sequence, this.time, duration, offset, sample.key, sample.data);
    const start = (this.time + offset) / TIMESCALE;
    return { data, start, end: start + duration / TIMESCALE, key: sample.key, tag: sample.tag };
  }
}

const MATRIX = u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000);
/** sample_depends_on 2 (key) or 1, with is_non_sync_sample (8.8.3.1) */
const SYNC_FLAGS = 0x02000000;
const DELTA_FLAGS = 0x01010000;

export function initSegment(config: Configured): Uint8Array {
  const { width, height } = config;
  const entry = box(
    config.sampleEntry,
    u32(0), u16(0, 1), u32(0, 0, 0, 0),
    u16(width, height), u32(0x480000, 0x480000, 0), u16(1),
    new Uint8Array(32), u16(0x18, 0xffff),
    box(config.sampleEntry === "avc1" ? "avcC" : "hvcC", config.description),
  );
  const stbl = box("stbl",
    box("stsd", u32(0, 1), entry),
    box("stts", u32(0, 0)), box("stsc", u32(0, 0)), box("stsz", u32(0, 0, 0)), box("stco", u32(0, 0)));
  const minf = box("minf",
    box("vmhd", u32(1, 0, 0)),
    box("dinf", box("dref", u32(0, 1), box("url ", u32(1)))),
    stbl);
  const mdia = box("mdia",
    box("mdhd", u32(0, 0, 0, TIMESCALE, 0), u16(0x55c4, 0)),
    box("hdlr", u32(0, 0), "vide", u32(0, 0, 0), "video", 0),
    minf);
  const tkhd = box("tkhd", u32(3, 0, 0, 1, 0, 0, 0, 0), u16(0, 0, 0, 0), MATRIX, u16(width, 0, height, 0));
  const mvhd = box("mvhd", u32(0, 0, 0, TIMESCALE, 0, 0x10000), u16(0x100, 0), u32(0, 0), MATRIX, u32(0, 0, 0, 0, 0, 0, 2));
  const moov = box("moov", mvhd, box("trak", tkhd, mdia), box("mvex", box("trex", u32(0, 1, 1, 0, 0, 0))));
  return join([box("ftyp", "isom", u32(0x200), "isomiso6mp41"), moov]);
}

function fragment(sequence: number, time: number, duration: number, offset: number, key: boolean, data: Uint8Array): Uint8Array {
  const build = (dataAt: number): Uint8Array =>
    box("moof",
      box("mfhd", u32(0, sequence)),
      box("traf",
        box("tfhd", u32(0x020000, 1)),
        box("tfdt", u32(0x01000000), u64(time)),
        // version 1: signed composition offset; data offset, duration, size, flags, offset present
        box("trun", u32(0x01000f01, 1, dataAt, duration, data.length, key ? SYNC_FLAGS : DELTA_FLAGS, offset))));
  const size = build(0).length;
  return join([build(size + 8), box("mdat", data)]);
}
