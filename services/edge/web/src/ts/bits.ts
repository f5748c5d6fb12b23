// Bits of a raw byte sequence payload (H.264 7.2 and H.265 7.2), and the Annex B form of NAL units.

export class BitReader {
  private at = 0;

  constructor(private readonly data: Uint8Array) {}

  get position(): number {
    return this.at;
  }

  bit(): number {
    const byte = this.data[this.at >> 3];
    if (byte === undefined) throw new RangeError("parameter set ends early");
    const bit = (byte >> (7 - (this.at & 7))) & 1;
    this.at += 1;
    return bit;
  }

  bits(count: number): number {
    let value = 0;
    for (let index = 0; index < count; index += 1) value = value * 2 + this.bit();
    return value;
  }

  skip(count: number): void {
    this.at += count;
  }

  /** ue(v), 9.1 */
  ue(): number {
    let zeros = 0;
    while (this.bit() === 0) {
      zeros += 1;
      if (zeros > 32) throw new RangeError("Exp-Golomb code too long");
    }
    return 2 ** zeros - 1 + this.bits(zeros);
  }

  se(): number {
    const code = this.ue();
    return code % 2 ? (code + 1) / 2 : -code / 2;
  }
}

export class BitWriter {
  private readonly bytes: number[] = [];
  private count = 0;

  bit(value: number): void {
    if (this.count % 8 === 0) this.bytes.push(0);
    if (value) this.bytes[this.bytes.length - 1]! |= 0x80 >> this.count % 8;
    this.count += 1;
  }

  ue(value: number): void {
    const code = value + 1;
    const length = Math.floor(Math.log2(code));
    for (let index = 0; index < length; index += 1) this.bit(0);
    for (let index = length; index >= 0; index -= 1) this.bit(Math.floor(code / 2 ** index) & 1);
  }

  /** rbsp_trailing_bits and the bytes. */
  finish(): Uint8Array {
    this.bit(1);
    return Uint8Array.from(this.bytes);
  }
}

/** Removes emulation prevention bytes (7.4.1). */
export function unescape(nal: Uint8Array): Uint8Array {
  const out = new Uint8Array(nal.length);
  let size = 0;
  let zeros = 0;
  for (const byte of nal) {
    if (zeros >= 2 && byte === 3) {
      zeros = 0;
      continue;
    }
    zeros = byte === 0 ? zeros + 1 : 0;
    out[size] = byte;
    size += 1;
  }
  return out.subarray(0, size);
}

/** Inserts emulation prevention bytes. */
export function escape(rbsp: Uint8Array): Uint8Array {
  const out: number[] = [];
  let zeros = 0;
  for (const byte of rbsp) {
    if (zeros >= 2 && byte <= 3) {
      out.push(3);
      zeros = 0;
    }
    zeros = byte === 0 ? zeros + 1 : 0;
    out.push(byte);
  }
  return Uint8Array.from(out);
}

/** NAL units of an Annex B access unit, without start codes and trailing zeros (annex B.2). */
export function splitAnnexB(data: Uint8Array): Uint8Array[] {
  const units: Uint8Array[] = [];
  let start = -1;
  let at = 0;
  const end = data.length;
  while (at + 2 < end) {
    if (data[at + 2]! > 1) {
      at += 3;
    } else if (data[at] === 0 && data[at + 1] === 0 && data[at + 2] === 1) {
      if (start >= 0) push(units, data, start, at);
      start = at + 3;
      at += 3;
    } else {
      at += 1;
    }
  }
  if (start >= 0) push(units, data, start, end);
  return units;
}

function push(units: Uint8Array[], data: Uint8Array, start: number, end: number): void {
  let last = end;
  while (last > start && data[last - 1] === 0) last -= 1;
  if (last > start) units.push(data.subarray(start, last));
}

/** NAL units with 4-byte lengths in front (ISO/IEC 14496-15). */
export function lengthPrefixed(units: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (const unit of units) size += 4 + unit.length;
  const out = new Uint8Array(size);
  const view = new DataView(out.buffer);
  let at = 0;
  for (const unit of units) {
    view.setUint32(at, unit.length);
    out.set(unit, at + 4);
    at += 4 + unit.length;
  }
  return out;
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
