// ISO base media file format boxes (ISO/IEC 14496-12) for one video track in fragments.

type Content = number | string | Uint8Array | readonly Content[];

/** A box of 4-character type; numbers in `content` are single bytes. */
export function box(type: string, ...content: Content[]): Uint8Array {
  const parts: Uint8Array[] = [];
  flatten(content, parts);
  const size = parts.reduce((sum, part) => sum + part.length, 8);
  const out = new Uint8Array(size);
  out.set(u32(size));
  out.set(ascii(type), 4);
  let at = 8;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function flatten(content: readonly Content[], into: Uint8Array[]): void {
  for (const item of content) {
    if (typeof item === "number") into.push(Uint8Array.of(item));
    else if (typeof item === "string") into.push(ascii(item));
    else if (item instanceof Uint8Array) into.push(item);
    else flatten(item, into);
  }
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

export function u16(...values: number[]): Uint8Array {
  return Uint8Array.from(values.flatMap((value) => [(value >> 8) & 255, value & 255]));
}

export function u32(...values: number[]): Uint8Array {
  return Uint8Array.from(values.flatMap((value) => [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]));
}

export function u64(value: number): Uint8Array {
  return u32(Math.floor(value / 2 ** 32), value >>> 0);
}

/** Concatenation of boxes. */
export function join(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
