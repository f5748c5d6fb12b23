// H.265 (ITU-T H.265): parameter sets, codec string and decoder configuration record.
import { BitReader, unescape } from "./bits.ts";
import type { Configured, Unit } from "./video.ts";

const RADL_N = 6;
const RASL_R = 9;
const FIRST_KEY = 16;
const LAST_KEY = 21;
const VPS = 32;
const SPS = 33;
const PPS = 34;
const DELIMITER = 35;
const FILLER = 38;

const typeOf = (nal: Uint8Array): number => (nal[0]! >> 1) & 0x3f;

interface Sps {
  /** The 12 bytes of general profile, tier, flags, constraints and level */
  profileTierLevel: Uint8Array;
  width: number;
  height: number;
  chromaFormat: number;
  lumaDepth: number;
  chromaDepth: number;
  subLayers: number;
  nested: number;
  reorder: number;
}

/** 7.3.2.2; emulation prevention is removed first: the level byte lies behind zero constraint bytes. */
export function parseSps(nal: Uint8Array): Sps {
  const rbsp = unescape(nal);
  const reader = new BitReader(rbsp);
  reader.skip(16 + 4);
  const subLayers = reader.bits(3) + 1;
  const nested = reader.bit();
  const profileTierLevel = rbsp.slice(3, 15);
  reader.skip(96);
  skipSubLayers(reader, subLayers - 1);
  reader.ue(); // sps_seq_parameter_set_id
  const chromaFormat = reader.ue();
  if (chromaFormat === 3) reader.skip(1);
  let width = reader.ue();
  let height = reader.ue();
  if (reader.bit()) {
    const unitX = chromaFormat === 1 || chromaFormat === 2 ? 2 : 1;
    const unitY = chromaFormat === 1 ? 2 : 1;
    width -= unitX * (reader.ue() + reader.ue());
    height -= unitY * (reader.ue() + reader.ue());
  }
  const lumaDepth = 8 + reader.ue();
  const chromaDepth = 8 + reader.ue();
  reader.ue(); // log2_max_pic_order_cnt_lsb_minus4
  const ordering = reader.bit();
  let reorder = 0;
  for (let index = ordering ? 0 : subLayers - 1; index < subLayers; index += 1) {
    reader.ue();
    reorder = reader.ue();
    reader.ue();
  }
  return { profileTierLevel, width, height, chromaFormat, lumaDepth, chromaDepth, subLayers, nested, reorder };
}

function skipSubLayers(reader: BitReader, count: number): void {
  const flags = Array.from({ length: count }, () => [reader.bit(), reader.bit()] as const);
  if (count > 0) reader.skip(2 * (8 - count));
  for (const [profile, level] of flags) reader.skip(profile * 88 + level * 8);
}

/** RFC 6381 form of ISO/IEC 14496-15 annex E: hvc1.profile.compatibility.tierLevel.constraints */
export function codecString(sps: Sps): string {
  const ptl = sps.profileTierLevel;
  const space = ["", "A", "B", "C"][ptl[0]! >> 6]!;
  let compatibility = 0;
  for (let bit = 0; bit < 32; bit += 1) {
    compatibility = compatibility * 2 + ((ptl[1 + ((31 - bit) >> 3)]! >> (7 - ((31 - bit) & 7))) & 1);
  }
  const constraints = [...ptl.subarray(5, 11)];
  while (constraints.length > 0 && constraints.at(-1) === 0) constraints.pop();
  const parts = [
    `${space}${ptl[0]! & 0x1f}`,
    compatibility.toString(16).toUpperCase(),
    `${ptl[0]! & 0x20 ? "H" : "L"}${ptl[11]!}`,
    ...constraints.map((byte) => byte.toString(16).toUpperCase()),
  ];
  return `hvc1.${parts.join(".")}`;
}

/** HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 8.3.3.1). */
export function hvcC(sps: Sps, parameters: readonly Uint8Array[]): Uint8Array {
  const out = [
    1,
    ...sps.profileTierLevel,
    0xf0,
    0, // min_spatial_segmentation_idc
    0xfc, // parallelismType unknown
    0xfc | sps.chromaFormat,
    0xf8 | (sps.lumaDepth - 8),
    0xf8 | (sps.chromaDepth - 8),
    0,
    0, // avgFrameRate unknown
    (sps.subLayers << 3) | (sps.nested << 2) | 3,
  ];
  const sets = [VPS, SPS, PPS].map((type) => ({ type, nals: parameters.filter((nal) => typeOf(nal) === type) }));
  const present = sets.filter((set) => set.nals.length > 0);
  out.push(present.length);
  for (const { type, nals } of present) {
    out.push(0x80 | type, nals.length >> 8, nals.length & 255);
    for (const nal of nals) out.push(nal.length >> 8, nal.length & 255, ...nal);
  }
  return Uint8Array.from(out);
}

export function readUnit(units: readonly Uint8Array[]): Unit {
  const unit: Unit = { key: false, slices: [], parameters: [], leading: false, pictures: 0 };
  for (const nal of units) {
    const type = typeOf(nal);
    if (type >= VPS && type <= PPS) unit.parameters.push(nal);
    else if (type >= DELIMITER && type <= FILLER) continue;
    else {
      if (type >= FIRST_KEY && type <= LAST_KEY) unit.key = true;
      // Leading pictures of a key picture that was joined at refer to pictures before it.
      if (type >= RADL_N && type <= RASL_R) unit.leading = true;
      if (type < VPS) unit.pictures += 1;
      unit.slices.push(nal);
    }
  }
  return unit;
}

export function configure(parameters: readonly Uint8Array[]): Configured | undefined {
  const sps = parameters.find((nal) => typeOf(nal) === SPS);
  if (!sps || !parameters.some((nal) => typeOf(nal) === PPS) || !parameters.some((nal) => typeOf(nal) === VPS)) return undefined;
  const info = parseSps(sps);
  return {
    codec: codecString(info),
    width: info.width,
    height: info.height,
    description: hvcC(info, parameters),
    sampleEntry: "hvc1",
    reordered: info.reorder > 0,
  };
}
