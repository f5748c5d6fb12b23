// Captures, cut into messages the way the edge sends them: one access unit each.
import { readFileSync } from "node:fs";
import { PACKET } from "../src/ts/sync.ts";

const VIDEO_PID = 256;

export function capture(name: string): Uint8Array {
  return new Uint8Array(readFileSync(`${import.meta.dirname}/fixtures/${name}.mpegts`));
}

export function packets(data: Uint8Array): Uint8Array[] {
  return Array.from({ length: data.length / PACKET }, (_, index) => data.slice(index * PACKET, (index + 1) * PACKET));
}

export function pidOf(packet: Uint8Array): number {
  return ((packet[1]! & 31) << 8) | packet[2]!;
}

export function isVideo(packet: Uint8Array): boolean {
  return pidOf(packet) === VIDEO_PID;
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** A message ends where the next tables or PES begin. */
export function messages(name: string): Uint8Array[] {
  const out: Uint8Array[][] = [];
  let current: Uint8Array[] = [];
  for (const packet of packets(capture(name))) {
    if (packet[1]! & 0x40 && current.some(isVideo)) {
      out.push(current);
      current = [];
    }
    current.push(packet);
  }
  out.push(current);
  return out.map(concat);
}
