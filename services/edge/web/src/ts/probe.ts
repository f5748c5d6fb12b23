// What a message carries, without decoding it: for a server that did not say.
import { Program, type VideoKind } from "./psi.ts";
import { forEachPacket } from "./sync.ts";

export function probeKind(message: ArrayBuffer): { kind: VideoKind | undefined; streamType: number | undefined } {
  const program = new Program();
  forEachPacket(new Uint8Array(message), (packet) => void program.push(packet));
  return { kind: program.kind, streamType: program.streamType };
}
