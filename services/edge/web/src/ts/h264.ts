// H.264 (ITU-T H.264): what a decoder has to know from the parameter sets, and the access unit as it
// wants it (ISO/IEC 14496-15: length-prefixed, parameter sets apart).
import { BitReader, BitWriter, escape, unescape } from "./bits.ts";
import type { Configured, Unit } from "./video.ts";

const IDR = 5;
const SEI = 6;
const SPS = 7;
const PPS = 8;
const DELIMITER = 9;
const FILLER = 12;

const HIGH_PROFILES = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135]);

export interface Sps {
  profile: number;
  constraints: number;
  level: number;
  width: number;
  height: number;
  chromaFormat: number;
  bitDepth: number;
  refFrames: number;
  /** pic_order_cnt_type; 2 means output order is decoding order */
  orderType: number;
  /** max_num_reorder_frames where the SPS says so */
  reorderFrames: number | undefined;
  /** Bits before vui_parameters_present_flag, and before bitstream_restriction_flag where a VUI is there */
  vuiAt: number;
  restrictionAt: number | undefined;
}

/** 7.3.2.1.1 and annex E.1.1. Throws RangeError on a truncated set. */
export function parseSps(nal: Uint8Array): Sps {
  const rbsp = unescape(nal);
  const reader = new BitReader(rbsp);
  reader.skip(8);
  const profile = reader.bits(8);
  const constraints = reader.bits(8);
  const level = reader.bits(8);
  reader.ue(); // seq_parameter_set_id
  let chromaFormat = 1;
  let separatePlanes = 0;
  let bitDepth = 8;
  if (HIGH_PROFILES.has(profile)) {
    chromaFormat = reader.ue();
    if (chromaFormat === 3) separatePlanes = reader.bit();
    bitDepth = 8 + reader.ue();
    reader.ue(); // bit_depth_chroma_minus8
    reader.skip(1);
    if (reader.bit()) {
      for (let index = 0; index < (chromaFormat === 3 ? 12 : 8); index += 1) {
        if (reader.bit()) skipScalingList(reader, index < 6 ? 16 : 64);
      }
    }
  }
  reader.ue(); // log2_max_frame_num_minus4
  const orderType = reader.ue();
  if (orderType === 0) {
    reader.ue();
  } else if (orderType === 1) {
    reader.skip(1);
    reader.se();
    reader.se();
    for (let left = reader.ue(); left > 0; left -= 1) reader.se();
  }
  const refFrames = reader.ue();
  reader.skip(1);
  const mbWidth = reader.ue() + 1;
  const mapHeight = reader.ue() + 1;
  const framesOnly = reader.bit();
  if (!framesOnly) reader.skip(1);
  reader.skip(1);
  let crop = [0, 0, 0, 0];
  if (reader.bit()) crop = [reader.ue(), reader.ue(), reader.ue(), reader.ue()];
  const unitX = chromaFormat === 1 || chromaFormat === 2 ? 2 : 1;
  const unitY = (chromaFormat === 1 && !separatePlanes ? 2 : 1) * (2 - framesOnly);
  const vuiAt = reader.position;
  let restrictionAt: number | undefined;
  let reorderFrames: number | undefined;
  if (reader.bit()) {
    skipVui(reader);
    restrictionAt = reader.position;
    if (reader.bit()) {
      reader.skip(1);
      for (let index = 0; index < 4; index += 1) reader.ue();
      reorderFrames = reader.ue();
    }
  }
  return {
    profile,
    constraints,
    level,
    width: mbWidth * 16 - unitX * (crop[0]! + crop[1]!),
    height: (2 - framesOnly) * mapHeight * 16 - unitY * (crop[2]! + crop[3]!),
    chromaFormat,
    bitDepth,
    refFrames,
    orderType,
    reorderFrames,
    vuiAt,
    restrictionAt,
  };
}

function skipScalingList(reader: BitReader, size: number): void {
  let last = 8;
  let next = 8;
  for (let index = 0; index < size; index += 1) {
    if (next !== 0) next = (last + reader.se() + 256) % 256;
    last = next === 0 ? last : next;
  }
}

/** The VUI up to, not including, bitstream_restriction_flag. */
function skipVui(reader: BitReader): void {
  if (reader.bit() && reader.bits(8) === 255) reader.skip(32); // aspect ratio
  if (reader.bit()) reader.skip(1); // overscan
  if (reader.bit()) {
    reader.skip(4);
    if (reader.bit()) reader.skip(24); // colour description
  }
  if (reader.bit()) {
    reader.ue();
    reader.ue();
  }
  if (reader.bit()) reader.skip(65); // timing
  const nalHrd = reader.bit();
  if (nalHrd) skipHrd(reader);
  const vclHrd = reader.bit();
  if (vclHrd) skipHrd(reader);
  if (nalHrd || vclHrd) reader.skip(1);
  reader.skip(1); // pic_struct_present_flag
}

function skipHrd(reader: BitReader): void {
  const count = reader.ue() + 1;
  reader.skip(8);
  for (let index = 0; index < count; index += 1) {
    reader.ue();
    reader.ue();
    reader.skip(1);
  }
  reader.skip(20);
}

/**
 * The SPS with a bitstream_restriction that says "nothing is reordered". Without it many hardware
 * decoders hold a whole decoded picture buffer (0.3-1.7 s at camera rates). Only for streams whose
 * pictures come out in the order they go in; the stream itself keeps its own SPS.
 */
export function withoutReordering(nal: Uint8Array): Uint8Array {
  const sps = parseSps(nal);
  if (sps.reorderFrames === 0) return nal;
  const source = new BitReader(unescape(nal));
  const out = new BitWriter();
  const copied = sps.restrictionAt ?? sps.vuiAt;
  for (let index = 0; index < copied; index += 1) out.bit(source.bit());
  if (sps.restrictionAt === undefined) {
    out.bit(1); // vui_parameters_present_flag, then a VUI that says nothing else
    for (let index = 0; index < 8; index += 1) out.bit(0);
  }
  out.bit(1); // bitstream_restriction_flag
  out.bit(1); // motion_vectors_over_pic_boundaries_flag, inferred 1 when absent
  for (const value of [2, 1, 16, 16, 0, sps.refFrames]) out.ue(value); // inferred values of E.2.1, then no reordering
  return escape(out.finish());
}

/** `avc1.` with profile, constraints and level (RFC 6381 3.3). */
export function codecString(sps: Sps): string {
  const hex = (value: number): string => value.toString(16).padStart(2, "0").toUpperCase();
  return `avc1.${hex(sps.profile)}${hex(sps.constraints)}${hex(sps.level)}`;
}

/** AVCDecoderConfigurationRecord (ISO/IEC 14496-15 5.3.3.1). */
export function avcC(sps: Uint8Array, info: Sps, pps: readonly Uint8Array[]): Uint8Array {
  const out = [1, info.profile, info.constraints, info.level, 0xff, 0xe1, sps.length >> 8, sps.length & 255, ...sps, pps.length];
  for (const set of pps) out.push(set.length >> 8, set.length & 255, ...set);
  if (HIGH_PROFILES.has(info.profile)) out.push(0xfc | info.chromaFormat, 0xf8 | (info.bitDepth - 8), 0xf8 | (info.bitDepth - 8), 0);
  return Uint8Array.from(out);
}

/** Sorts the NAL units of one access unit. */
export function readUnit(units: readonly Uint8Array[]): Unit {
  const unit: Unit = { key: false, slices: [], parameters: [], leading: false, pictures: 0 };
  for (const nal of units) {
    const type = nal[0]! & 0x1f;
    if (type === SPS || type === PPS) unit.parameters.push(nal);
    else if (type === DELIMITER || type === FILLER) continue;
    else {
      if (type === IDR) unit.key = true;
      if (type >= 1 && type <= IDR) unit.pictures += 1;
      // SEI of buffering or timing tells a live player nothing, and some decoders reject it before the slice.
      if (type !== SEI) unit.slices.push(nal);
    }
  }
  return unit;
}

/** Decoder configuration of a key picture; undefined while a parameter set is missing. */
export function configure(parameters: readonly Uint8Array[], reordered: boolean): Configured | undefined {
  const sps = parameters.find((nal) => (nal[0]! & 0x1f) === SPS);
  const pps = parameters.filter((nal) => (nal[0]! & 0x1f) === PPS);
  if (!sps || pps.length === 0) return undefined;
  const info = parseSps(sps);
  const inOrder = !reordered || info.orderType === 2;
  const mine = inOrder ? withoutReordering(sps) : sps;
  return {
    codec: codecString(info),
    width: info.width,
    height: info.height,
    description: avcC(mine, info, pps),
    sampleEntry: "avc1",
    reordered: !inOrder,
  };
}
