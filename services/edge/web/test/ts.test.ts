import assert from "node:assert/strict";
import { test } from "node:test";
import { Demuxer, wrapDifference } from "../src/ts/pes.ts";
import { probeKind, probePts } from "../src/ts/probe.ts";
import { forEachPacket, PACKET } from "../src/ts/sync.ts";
import { SampleFilter, type Sample } from "../src/ts/video.ts";
import { capture, concat, isVideo, messages, packets } from "./fixture.ts";

const units = (parts: readonly Uint8Array[]) => {
  const demuxer = new Demuxer();
  return { demuxer, each: parts.map((part, tag) => demuxer.push(part, tag)) };
};

for (const name of ["h264", "h265", "mpeg1"]) {
  test(`${name}: each message gives its own access unit at once`, () => {
    const { demuxer, each } = units(messages(name));
    assert.deepEqual(each.map((out) => out.length), each.map(() => 1));
    assert.equal(demuxer.program.kind, name);
    assert.deepEqual(demuxer.errors, { sync: 0, continuity: 0 });
    each.forEach(([unit], tag) => assert.equal(unit!.tag, tag));
    const steps = each.slice(1).map(([unit], index) => unit!.pts - each[index]![0]!.pts);
    assert.deepEqual(new Set(steps), new Set([6000]), "15 pictures a second of the 90 kHz clock");
  });
}

test("a PES of unknown length ends with its stuffed packet", () => {
  // Length 0 is what ffmpeg writes for pictures above 64 KiB.
  const parts = messages("h264").map((message) =>
    concat(
      packets(message).map((packet) => {
        const at = packet.findIndex((byte, index) => byte === 0 && packet[index + 1] === 0 && packet[index + 2] === 1 && packet[index + 3] === 0xe0);
        if (at > 0 && packet[1]! & 0x40) packet.fill(0, at + 4, at + 6);
        return packet;
      }),
    ),
  );
  const { each } = units(parts);
  const whole = units(messages("h264")).each;
  const stuffed = each.filter((out) => out.length === 1).length;
  assert.ok(stuffed >= each.length - 2, `${stuffed} of ${each.length} at once`);
  assert.deepEqual(each.flat()[0]!.data, whole.flat()[0]!.data);
});

test("a picture sent in parts comes out once, whole, with the last part", () => {
  const [first, ...rest] = messages("h264");
  const all = packets(first!);
  const cut = all.length - 4;
  const { each } = units([concat(all.slice(0, cut)), concat(all.slice(cut)), ...rest]);
  assert.equal(each[0]!.length, 0);
  assert.equal(each[1]!.length, 1);
  assert.equal(each[1]![0]!.tag, 0, "named after the message it began in");
  assert.deepEqual(each[1]![0]!.data, units(messages("h264")).each[0]![0]!.data);
});

test("a lost packet damages its picture and no other", () => {
  const parts = messages("h264").map((message, index) => (index === 5 ? concat(packets(message).toSpliced(2, 1)) : message));
  const { demuxer, each } = units(parts);
  assert.equal(demuxer.errors.continuity, 1);
  assert.deepEqual(each.flat().filter((unit) => unit.damaged).map((unit) => unit.tag), [5]);
});

test("a picture lost whole, or its first packet: the next one knows that it refers to a hole", () => {
  const whole = messages("h264").map((message, index) => (index === 5 ? concat(packets(message).filter((packet) => !isVideo(packet))) : message));
  const start = messages("h264").map((message, index) => (index === 5 ? concat(packets(message).filter((packet) => !(isVideo(packet) && packet[1]! & 0x40))) : message));
  for (const parts of [whole, start]) {
    const { demuxer, each } = units(parts);
    assert.ok(demuxer.errors.continuity >= 1);
    assert.deepEqual(each.flat().filter((unit) => unit.afterHole).map((unit) => unit.tag), [6]);
    const filter = new SampleFilter();
    assert.deepEqual(each.flat().flatMap((unit) => filter.push(unit)?.tag ?? []).slice(5, 7), [12, 13], "on with the next key picture");
  }
});

test("a repeated packet is no damage of what follows it", () => {
  const demuxer = new Demuxer();
  const [first, second] = messages("h264");
  demuxer.push(first!, 0);
  demuxer.reset();
  const [unit] = demuxer.push(second!, 1);
  assert.equal(unit!.damaged, false, "after a reset any counter is right");
});

test("bytes that are no packets are skipped up to two sync bytes in a row", () => {
  const message = messages("h264")[0]!;
  const noise = Uint8Array.from({ length: 100 }, (_, index) => (index === 40 ? 0x47 : index));
  let count = 0;
  const skipped = forEachPacket(concat([noise, message]), () => (count += 1));
  assert.equal(count, message.length / PACKET);
  assert.equal(skipped, noise.length);
});

test("33-bit time wraps without a jump", () => {
  assert.equal(wrapDifference(3000, 2 ** 33 - 3000), 6000);
  assert.equal(wrapDifference(2 ** 33 - 3000, 3000), -6000);
});

test("the kind and the time of a message are found without decoding", () => {
  const [first] = messages("mpeg1");
  assert.equal(probeKind(first!.buffer as ArrayBuffer).kind, "mpeg1");
  assert.equal(probePts(first!.buffer as ArrayBuffer), units(messages("mpeg1")).each[0]![0]!.pts);
});

const samples = (name: string, damage: (unit: number) => boolean = () => false): { out: (Sample | undefined)[]; filter: SampleFilter } => {
  const filter = new SampleFilter();
  const all = units(name === "h264-reordered" ? [capture(name)] : messages(name)).each.flat();
  return { filter, out: all.map((unit, index) => filter.push({ ...unit, damaged: damage(index) })) };
};

test("what a decoder gets begins with a configured key picture", () => {
  for (const [name, codec, width, height] of [["h264", "avc1.42C00A", 160, 120], ["h265", "hvc1.1.6.L30.90", 162, 122], ["mpeg1", "mp4v.6A", 160, 120]] as const) {
    const { out } = samples(name);
    assert.equal(out[0]!.key, true);
    assert.deepEqual([out[0]!.config!.codec, out[0]!.config!.width, out[0]!.config!.height], [codec, width, height]);
    assert.ok(out.slice(1).every((sample) => sample!.config === undefined), "told once");
  }
});

test("a damaged picture takes those after it along, up to the next key picture", () => {
  const { out, filter } = samples("h264", (index) => index === 5);
  const missing = out.flatMap((sample, index) => (sample ? [] : [index]));
  assert.deepEqual(missing, [5, 6, 7, 8, 9, 10, 11]);
  assert.equal(out[12]!.key, true);
  assert.equal(filter.dropped, 7);
});

test("reordering is seen, so that such a stream keeps its own SPS", () => {
  assert.equal(samples("h264-reordered").out[0]!.config!.reordered, true);
  assert.equal(samples("h264").out[0]!.config!.reordered, false);
});

test("MPEG-2 is told from MPEG-1 by its sequence extension", () => {
  assert.equal(samples("mpeg2").out[0]!.config!.codec, "mp4v.61");
});
