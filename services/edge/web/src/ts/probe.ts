// What a message carries, without decoding it: for a server that did not say.
import { readTime } from "./pes.ts";
import { Program, type VideoKind } from "./psi.ts";
import { forEachPacket } from "./sync.ts";

export function probeKind(message: ArrayBuffer): { kind: VideoKind | undefined; streamType: number | undefined } {
  const program = new Program();
  forEachPacket(new Uint8Array(message), (packet) => void program.push(packet));
  return { kind: program.kind, streamType: program.streamType };
}

/** PTS (90 kHz, 33 bits) of the first video PES that begins in the message. */
export function probePts(message: ArrayBuffer): number | undefined {
  let pts: number | undefined;
  forEachPacket(new Uint8Array(message), ({ start, payload }) => {
    if (pts !== undefined || !start || !payload || payload.length < 14) return;
    const video = payload[0] === 0 && payload[1] === 0 && payload[2] === 1 && (payload[3]! & 0xf0) === 0xe0;
    if (video && payload[7]! & 0x80) pts = readTime(payload, 9);
  });
  return pts;
}
