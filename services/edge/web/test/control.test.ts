import assert from "node:assert/strict";
import { test } from "node:test";
import { choosePath, kindOf, type Abilities } from "../src/decode/choose.ts";
import { EdgeFollower } from "../src/decode/edge-follower.ts";
import { ErrorBudget } from "../src/decode/engine.ts";
import { ClockOffset, Lag, LatencyMeter, Window } from "../src/latency.ts";
import { judge, overdueAfter, StallCounter, type Facts } from "../src/stall.ts";
import { Rate, Traffic } from "../src/stats.ts";
import { WORDS } from "../src/i18n.ts";
import { describe } from "../src/describe.ts";

const all: Abilities = { secure: true, webCodecs: true, mediaSource: true, worker: true };
const none = new Set<string>();

test("the path follows codec, context and failures", () => {
  assert.deepEqual(choosePath("h264", all, none), { path: "webcodecs", worker: true, why: "fastest" });
  assert.deepEqual(choosePath("h264", { ...all, secure: false, webCodecs: false }, none), { path: "mse", worker: false, why: "insecure" });
  assert.deepEqual(choosePath("h264", { ...all, webCodecs: false }, none), { path: "mse", worker: false, why: "noWebCodecs" });
  assert.deepEqual(choosePath("h264", all, new Set(["webcodecs"])), { path: "mse", worker: false, why: "webCodecsFailed" });
  assert.deepEqual(choosePath("h264", all, new Set(["webcodecs", "mse"])), { path: undefined, unplayable: "failed" });
  assert.deepEqual(choosePath("h264", { ...all, secure: false, webCodecs: false, mediaSource: false }, none), { path: undefined, unplayable: "insecure" });
  assert.deepEqual(choosePath("h264", { ...all, webCodecs: false, mediaSource: false }, none), { path: undefined, unplayable: "old" });
  assert.deepEqual(choosePath("h265", all, new Set(["webcodecs", "mse"])), { path: undefined, unplayable: "codec" });
  assert.deepEqual(choosePath("mpeg1", { ...all, webCodecs: false, mediaSource: false, secure: false }, none), { path: "jsmpeg", worker: true, why: "mpeg1" });
  assert.deepEqual(choosePath("mpeg2", all, none), { path: undefined, unplayable: "codec" });
});

test("codec strings name their family", () => {
  const pairs = { "avc1.42C01E": "h264", "hvc1.1.6.L93.B0": "h265", "hev1.1.6.L93.B0": "h265", "mp4v.6A": "mpeg1", "mp4v.61": "mpeg2", av01: undefined };
  for (const [codec, kind] of Object.entries(pairs)) assert.equal(kindOf(codec), kind, codec);
});

test("five errors in ten seconds are forgiven, the sixth is not", () => {
  const budget = new ErrorBudget();
  assert.deepEqual([0, 1, 2, 3, 4, 5].map((second) => budget.spend(second * 1000)), [true, true, true, true, true, false]);
  assert.equal(budget.spend(60_000), true);
});

/** A player at 15 pictures a second whose playhead moves as the follower says. */
function follow(follower: EdgeFollower, seconds: number, ahead: number, held = 0, from = 0): { ahead: number; seeks: number; rates: number[] } {
  const interval = 1 / 15;
  let seeks = 0;
  const rates: number[] = [];
  for (let time = from * 1000; time < (from + seconds) * 1000; time += interval * 1000) {
    follower.arrived(time, time / 1000, interval);
    const decision = follower.observe({ time, ahead, interval });
    if (decision.seek !== undefined) {
      seeks += 1;
      ahead = Math.max(held, decision.seek);
    }
    rates.push(decision.rate);
    ahead = Math.max(held, ahead + interval - interval * decision.rate);
  }
  return { ahead, seeks, rates };
}

test("a backlog is sought through once, a small lag is played off", () => {
  const backlog = follow(new EdgeFollower(), 5, 2);
  assert.equal(backlog.seeks, 1);
  assert.ok(backlog.ahead < 0.12, `ahead ${backlog.ahead}`);
  const late = new EdgeFollower();
  follow(late, 2, 0.1);
  const lag = follow(late, 5, 0.4, 0, 2);
  assert.equal(lag.seeks, 0);
  assert.ok(lag.ahead < 0.12, `ahead ${lag.ahead}`);
  assert.ok(lag.rates.some((rate) => rate > 1.2) && lag.rates.at(-1)! <= 1.02);
});

test("a decoder that holds pictures for ever is sought only while it joins", () => {
  const holding = new EdgeFollower();
  assert.ok(follow(holding, 2, 2, 1.2).seeks <= 14);
  assert.ok(follow(holding, 60, 1.2, 1.2, 2).seeks <= 1);
});

test("a backlog that arrives in pieces is left behind at once", () => {
  const follower = new EdgeFollower();
  assert.equal(follower.observe({ time: 0, ahead: 0.1, interval: 1 / 15 }).seek, undefined);
  assert.equal(follower.observe({ time: 20, ahead: 0.9, interval: 1 / 15 }).seek !== undefined, true);
  assert.equal(follower.observe({ time: 40, ahead: 0.7, interval: 1 / 15 }).seek, undefined, "not twice in a row");
  assert.equal(follower.observe({ time: 110, ahead: 0.7, interval: 1 / 15 }).seek !== undefined, true);
});

test("a late picture that lets the playhead run dry gets more distance, which melts; one left out does not", () => {
  const interval = 1 / 15;
  const follower = new EdgeFollower();
  follow(follower, 2, 0.1);
  const before = follower.target(interval);
  follower.ranDry();
  follower.arrived(2600, 2.6, interval); // 9 pictures were left out, this one is on time
  assert.ok(follower.target(interval) < before + 0.001);
  follower.ranDry();
  follower.arrived(2767, 2.667, interval); // 100 ms late
  const dry = follower.target(interval);
  assert.ok(dry > before + interval / 6 && dry < before + interval, `${before} to ${dry}`);
  follow(follower, 30, 0.1, 0, 2.834);
  assert.ok(follower.target(interval) < before + 0.005);
});

test("the clock exchange with the shortest round trip wins", () => {
  const clock = new ClockOffset();
  clock.add(1000, 6020, 6020, 1100); // 100 ms, skewed
  clock.add(2000, 7005, 7006, 2011); // 10 ms
  assert.equal(clock.offset, (7005 - 2000 + (7006 - 2011)) / 2);
  assert.equal(clock.delay, 10);
});

test("percentiles are of the last minute", () => {
  const window = new Window();
  window.add(0, 5000);
  for (let value = 1; value <= 100; value += 1) window.add(61_000, value);
  assert.equal(window.percentile(62_000, 0.5), 50);
  assert.equal(window.percentile(62_000, 0.95), 95);
});

test("delay: exact for marked pictures, by PTS between them; a backlog does not count", () => {
  const meter = new LatencyMeter();
  meter.clock.add(0, 500, 500, 0); // the server is 500 ms ahead
  meter.restart(10_000);
  meter.mark(1, 90_000, 9000);
  // Joined 1.5 s late: three pictures of the backlog, painted within 30 ms
  assert.equal(Math.round(meter.painted(1, 90_000, 10_000)!), 1500);
  assert.equal(Math.round(meter.painted(2, 90_000 + 63_000, 10_015)!), 815);
  assert.equal(Math.round(meter.painted(3, 90_000 + 126_000, 10_030)!), 130);
  assert.equal(meter.window.count(10_030), 0);
  meter.mark(4, 90_000 + 135_000, 10_600);
  meter.painted(4, 90_000 + 135_000, 10_121); // 21 ms, but so far below the last that it may still catch up
  meter.shown(4, 10_121);
  meter.painted(5, 90_000 + 141_000, 10_188);
  meter.mark(20, 300_000, 11_700);
  assert.equal(Math.round(meter.painted(20, 300_000, 11_205)!), 5);
  assert.equal(meter.isMarked(20), true);
  meter.shown(20, 11_215);
  assert.equal(meter.isMarked(20), false);
  meter.shown(20, 11_300);
  assert.deepEqual([meter.current, meter.window.count(11_300)], [15, 1]);
  assert.equal(meter.take(), 15);
  assert.equal(meter.take(), undefined);
});

test("a link slower than its stream is told within two seconds, a backlog or another clock never", () => {
  /** When pictures that come every `step` ms, each with its delay, first fall behind. */
  const behindAt = (step: number, delay: (at: number) => number): number | undefined => {
    const lag = new Lag();
    for (let at = 0; at <= 60_000; at += step) if (lag.painted(delay(at), at)) return at;
    return undefined;
  };
  const after = (from: number, late: (ms: number) => number) => (at: number) => 20 + (at < from ? 0 : late(at - from));
  const told = behindAt(220, after(4400, (ms) => 0.7 * ms))!; // 30 % of what the stream needs
  assert.ok(told > 4400 && told <= 6600, `${told}`);
  assert.ok(behindAt(74, after(5000, (ms) => 0.1 * ms))! < 15_000);
  assert.equal(behindAt(67, after(5000, (ms) => Math.max(0, 3000 - 2 * ms))), undefined); // a backlog
  assert.equal(behindAt(67, after(5000, () => 3_600_000)), undefined); // a clock that was set
  assert.equal(behindAt(67, (at) => 20 + (at % 670)), undefined); // jitter
  assert.equal(behindAt(67, (at) => 20 + at * 0.0005), undefined); // clocks that drift
});

const facts = (over: Partial<Facts>): Facts => ({
  now: 100_000, phase: { name: "open" }, camera: { state: "live" }, painted: 99_950, interval: 67, unplayable: undefined, slowAt: undefined, blocked: false, ...over,
});

test("the state follows painted pictures, not the socket", () => {
  const table: [Partial<Facts>, string][] = [
    [{}, "live"],
    [{ painted: undefined, phase: { name: "connecting" } }, "connecting"],
    [{ painted: undefined }, "waiting"],
    [{ painted: 90_000 }, "stalled"],
    [{ painted: 90_000, camera: { state: "offline", cause: "no route" } }, "offline"],
    [{ camera: { state: "offline" } }, "live"],
    [{ painted: undefined, camera: { state: "starting", cause: "connection refused" } }, "offline"],
    [{ painted: 90_000, camera: { state: "offline", causeKind: "nats" } }, "reconnecting"],
    [{ painted: 90_000, phase: { name: "waiting", at: 101_000, reason: "lost" } }, "reconnecting"],
    [{ phase: { name: "waiting", at: 101_000, reason: "lost" } }, "live"],
    [{ painted: 90_000, phase: { name: "waiting", at: 101_000, reason: "restarting" } }, "restarting"],
    [{ painted: undefined, phase: { name: "waiting", at: 101_000, reason: "unknownCamera" } }, "unknown-camera"],
    [{ phase: { name: "refused", reason: "signedOut" } }, "signed-out"],
    [{ phase: { name: "refused", reason: "revoked" } }, "forbidden"],
    [{ painted: undefined, unplayable: { reason: "codec", codec: "hvc1" } }, "unplayable"],
    [{ slowAt: 95_000 }, "slow"],
    [{ slowAt: 80_000 }, "live"],
    [{ phase: { name: "idle" } }, "idle"],
    [{ phase: { name: "hidden" } }, "hidden"],
  ];
  for (const [over, name] of table) assert.equal(judge(facts(over)).name, name, JSON.stringify(over));
});

test("overdue within seconds at camera rates, later for slow cameras", () => {
  assert.equal(overdueAfter(67), 1200);
  assert.equal(overdueAfter(1000), 8000);
  assert.equal(overdueAfter(60_000), 10_000);
});

test("a stall counts once, however often it is looked at", () => {
  const stalls = new StallCounter();
  for (const name of ["live", "stalled", "stalled", "reconnecting", "live", "stalled"] as const) stalls.update(name);
  assert.equal(stalls.total, 2);
});

test("rates forget what is older than their span", () => {
  const rate = new Rate(3000);
  for (let time = 0; time <= 10_000; time += 100) rate.add(time, 10);
  assert.equal(rate.perSecond(10_000), 100);
  assert.equal(rate.interval(10_000), 100);
  assert.equal(rate.perSecond(20_000), 0);
  const traffic = new Traffic();
  traffic.start(0);
  traffic.add(1000, 18_800);
  assert.deepEqual(traffic.summary(2000), { packets: 100, bytes: 18_800, messages: 1, duration: 2, averageRate: 9.4, currentRate: 18.8 / 3 });
});

test("both languages have the same words with the same values", () => {
  const values = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!).sort();
  assert.deepEqual(Object.keys(WORDS["zh-CN"]).sort(), Object.keys(WORDS.en).sort());
  for (const [key, text] of Object.entries(WORDS.en)) assert.deepEqual(values(WORDS["zh-CN"][key]!), values(text), key);
});

test("every state has words in both languages, with its cause", () => {
  const time = 1_767_225_600_000;
  const offline = { name: "offline", since: time, cause: "camera refused the user name or password", causeKind: "auth" } as const;
  assert.match(describe(offline, "en", time).detail, /^Camera refused the user name or password\. Offline since /);
  assert.match(describe(offline, "zh-CN", time).detail, /^摄像头拒绝了用户名或密码。自 /);
  const waiting = describe({ name: "reconnecting", at: time + 2400, reason: "lost" }, "en", time);
  assert.deepEqual(waiting, { title: "Reconnecting", detail: "The connection was lost. Next attempt in 3 s.", spoken: "Reconnecting. The connection was lost." });
  assert.match(describe({ name: "unplayable", reason: "codec", codec: "hvc1.1.6.L93.B0" }, "en", time).detail, /hvc1\.1\.6\.L93\.B0.*Safari/);
});
