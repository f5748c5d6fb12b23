import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { initSegment, Remuxer, TIMESCALE } from "../src/mp4/remux.ts";
import { BitWriter, escape, splitAnnexB, unescape } from "../src/ts/bits.ts";
import { parseSps, withoutReordering } from "../src/ts/h264.ts";
import { Demuxer } from "../src/ts/pes.ts";
import { SampleFilter, type Sample } from "../src/ts/video.ts";
import { capture, messages } from "./fixture.ts";

const spsOf = (name: string): Uint8Array => {
  const [unit] = new Demuxer().push(capture(name), 0);
  return splitAnnexB(unit!.data).find((nal) => (nal[0]! & 31) === 7)!;
};

const samplesOf = (name: string): Sample[] => {
  const [demuxer, filter] = [new Demuxer(), new SampleFilter()];
  return messages(name).flatMap((message, tag) => demuxer.push(message, tag)).flatMap((unit) => filter.push(unit) ?? []);
};

test("emulation prevention there and back", () => {
  const rbsp = Uint8Array.from([1, 0, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 3, 7, 0, 0]);
  assert.deepEqual(unescape(escape(rbsp)), rbsp);
});

test("NAL units lose start codes of both lengths and trailing zeros", () => {
  const data = Uint8Array.from([0, 0, 0, 1, 9, 16, 0, 0, 1, 0x65, 1, 2, 0, 0, 0, 0, 1, 0x41, 5]);
  assert.deepEqual(splitAnnexB(data).map((nal) => [...nal]), [[9, 16], [0x65, 1, 2], [0x41, 5]]);
});

for (const name of ["h264", "h264-reordered"]) {
  test(`${name}: the rewritten SPS says no reordering and nothing else`, () => {
    const before = parseSps(spsOf(name));
    const rewritten = withoutReordering(spsOf(name));
    const after = parseSps(rewritten);
    assert.equal(after.reorderFrames, 0);
    for (const key of ["profile", "constraints", "level", "width", "height", "refFrames", "orderType", "chromaFormat", "bitDepth"] as const) {
      assert.equal(after[key], before[key], key);
    }
    assert.deepEqual(withoutReordering(rewritten), rewritten, "rewriting twice changes nothing");
  });
}

test("an SPS without VUI gets one that holds only the restriction", () => {
  const out = new BitWriter(); // 640x480 baseline of level 3, after 7.3.2.1.1
  for (const byte of [0x67, 0x42, 0xc0, 0x1e]) for (let bit = 7; bit >= 0; bit -= 1) out.bit((byte >> bit) & 1);
  for (const value of [0, 0, 2, 1]) out.ue(value); // id, frame number bits, order type, reference pictures
  out.bit(0);
  for (const value of [39, 29]) out.ue(value); // macroblocks across and down, minus 1
  for (const bit of [1, 1, 0, 0]) out.bit(bit); // frames only, direct 8x8, no cropping, no VUI
  const sps = out.finish();
  const before = parseSps(sps);
  const after = parseSps(withoutReordering(sps));
  assert.equal(before.restrictionAt, undefined);
  assert.deepEqual([after.width, after.height, after.reorderFrames], [640, 480, 0]);
  assert.equal(before.width, 640);
});

test("a truncated SPS throws and does not hang", () => {
  assert.throws(() => parseSps(Uint8Array.from([0x67, 0x42, 0xc0])), RangeError);
  assert.throws(() => parseSps(Uint8Array.from([0x67, 0x42, 0xc0, 0x1e, 0, 0, 0, 0, 0, 0, 0])), RangeError);
});

for (const name of ["h264", "h265"]) {
  test(`${name}: ffmpeg decodes every picture of our fragments`, () => {
    const samples = samplesOf(name);
    const remuxer = new Remuxer(15);
    const fragments = samples.map((sample) => remuxer.fragment(sample));
    const directory = mkdtempSync(`${tmpdir()}/fanlight-`);
    try {
      const file = `${directory}/out.mp4`;
      writeFileSync(file, Buffer.concat([initSegment(samples[0]!.config!), ...fragments.map((fragment) => fragment.data)]));
      const decoded = spawnSync("ffmpeg", ["-v", "error", "-xerror", "-i", file, "-f", "framemd5", "-"], { encoding: "utf8" });
      const source = `${import.meta.dirname}/fixtures/${name}.mpegts`;
      const wanted = spawnSync("ffmpeg", ["-v", "error", "-i", source, "-f", "framemd5", "-"], { encoding: "utf8" });
      const hashes = (text: string): string[] => text.split("\n").filter((line) => /^0,/.test(line)).map((line) => line.split(",").at(-1)!.trim());
      assert.equal(decoded.stderr, "");
      assert.equal(hashes(decoded.stdout).length, samples.length);
      assert.deepEqual(hashes(decoded.stdout), hashes(wanted.stdout));
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
}

test("a gap in the stream is shortened to what a source buffer takes, a run's new clock is not followed", () => {
  const remuxer = new Remuxer(15);
  const sample = (dts: number): Sample => ({ key: dts === 0, data: new Uint8Array(4), pts: dts, dts, tag: 0, config: undefined });
  const times = [0, 6000, 12_000, 12_000 + 60_000, 78_000, 1000, 7000].map((dts) => remuxer.fragment(sample(dts)).start * TIMESCALE);
  times.slice(1).forEach((time, index) => {
    const step = time - times[index]!;
    assert.ok(step > 0 && step <= 2 * remuxer.interval * 1.5, `step ${step}`);
  });
});
