// Transport stream packets of one message (ISO/IEC 13818-1 2.4.3.2). The edge sends whole packets; a
// message that is not aligned (a foreign relay, damage) is resynchronised on two sync bytes in a row.

export const PACKET = 188;
const SYNC = 0x47;

/** One packet, valid only during the callback. */
export interface Packet {
  pid: number;
  /** payload_unit_start_indicator */
  start: boolean;
  /** continuity_counter, 0..15 */
  counter: number;
  scrambled: boolean;
  /** transport_error_indicator */
  error: boolean;
  /** discontinuity_indicator: the counter may jump here */
  discontinuity: boolean;
  /** The adaptation field holds stuffing: the payload's unit ends in this packet. */
  stuffed: boolean;
  payload: Uint8Array | undefined;
}

/** Calls `each` for every packet; returns the number of bytes that belong to none. */
export function forEachPacket(data: Uint8Array, each: (packet: Packet) => void): number {
  let skipped = 0;
  let at = 0;
  while (at + PACKET <= data.length) {
    const aligned = data[at] === SYNC && (at + PACKET === data.length || data[at + PACKET] === SYNC || skipped === 0);
    if (!aligned) {
      at += 1;
      skipped += 1;
      continue;
    }
    each(readPacket(data, at));
    at += PACKET;
  }
  return skipped + (data.length - at);
}

function readPacket(data: Uint8Array, at: number): Packet {
  const b1 = data[at + 1]!;
  const b3 = data[at + 3]!;
  const end = at + PACKET;
  let payloadAt = at + 4;
  let discontinuity = false;
  let stuffed = false;
  if (b3 & 0x20) {
    const length = data[at + 4]!;
    payloadAt += 1 + length;
    if (length === 0) {
      stuffed = true; // one byte of stuffing is an adaptation field of length 0
    } else {
      const flags = data[at + 5]!;
      discontinuity = (flags & 0x80) !== 0;
      stuffed = length > 1 + optionalLength(data, at + 6, flags);
    }
  }
  return {
    pid: ((b1 & 0x1f) << 8) | data[at + 2]!,
    start: (b1 & 0x40) !== 0,
    counter: b3 & 0x0f,
    scrambled: (b3 & 0xc0) !== 0,
    error: (b1 & 0x80) !== 0,
    discontinuity,
    stuffed,
    payload: b3 & 0x10 && payloadAt < end ? data.subarray(payloadAt, end) : undefined,
  };
}

/** Bytes of the adaptation field's optional parts, which are not stuffing. */
function optionalLength(data: Uint8Array, at: number, flags: number): number {
  let length = 0;
  if (flags & 0x10) length += 6; // PCR
  if (flags & 0x08) length += 6; // OPCR
  if (flags & 0x04) length += 1; // splice_countdown
  if (flags & 0x02) length += 1 + (data[at + length] ?? 0); // private data
  if (flags & 0x01) length += 1 + (data[at + length] ?? 0); // extension
  return length;
}
