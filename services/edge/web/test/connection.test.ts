import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Backoff } from "../src/backoff.ts";
import { Connection } from "../src/connection.ts";
import type { SocketLike } from "../src/feed.ts";
import type { Accepted } from "../src/merge.ts";
import { clockMessage, parseMessage, parseRefusal, reportMessage, SUBPROTOCOL, type Refusal } from "../src/protocol.ts";
import type { Phase } from "../src/stall.ts";
import { parseCameras } from "../src/cameras.ts";

const wire = (name: string) => JSON.parse(readFileSync(`${import.meta.dirname}/../../../../docs/wire/${name}.json`, "utf8"));

class FakeSocket implements SocketLike {
  binaryType: BinaryType = "blob";
  readyState = 0;
  onopen: SocketLike["onopen"] = null;
  onmessage: SocketLike["onmessage"] = null;
  onclose: SocketLike["onclose"] = null;
  onerror: SocketLike["onerror"] = null;
  sent: { type: string }[] = [];
  closed = false;

  open(): void {
    this.readyState = 1;
    this.onopen?.({} as Event);
  }

  send(data: string): void {
    this.sent.push(JSON.parse(data));
  }

  close(): void {
    this.closed = true;
    this.readyState = 3;
  }

  text(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) } as MessageEvent);
  }

  /** hello and mark, then `count` messages from `seq` on; the payload names run and number. */
  play(run: string, seq: number, count: number): void {
    this.text({ type: "mark", run, seq, time: "1767225601234567890" });
    for (let index = 0; index < count; index += 1) {
      this.onmessage?.({ data: new TextEncoder().encode(`${run}:${seq + index}`).buffer } as MessageEvent);
    }
  }

  lose(code = 1006): void {
    this.readyState = 3;
    this.onclose?.({ code, reason: "" } as CloseEvent);
  }
}

class World {
  time = 1_000_000;
  sockets: FakeSocket[] = [];
  phases: Phase[] = [];
  media: Accepted[] = [];
  refusal: Refusal | undefined;
  asked = 0;
  private timers: { at: number; callback: () => void }[] = [];
  readonly connection = new Connection(
    "ws://edge/ws/cam",
    {
      openSocket: () => {
        const socket = new FakeSocket();
        this.sockets.push(socket);
        return socket;
      },
      askReason: async () => {
        this.asked += 1;
        return this.refusal;
      },
      now: () => this.time,
      random: () => 0.5,
      setTimeout: (callback, ms) => {
        const timer = { at: this.time + ms, callback };
        this.timers.push(timer);
        return timer;
      },
      clearTimeout: (timer) => (this.timers = this.timers.filter((one) => one !== timer)),
    },
    { phase: (phase) => this.phases.push(phase), media: (media) => this.media.push(media), control: () => undefined, joined: () => undefined, note: () => undefined },
  );

  async pass(ms: number): Promise<void> {
    const end = this.time + ms;
    for (;;) {
      await Promise.resolve();
      await Promise.resolve();
      const due = this.timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.timers = this.timers.filter((timer) => timer !== due);
      this.time = Math.max(this.time, due.at);
      due.callback();
    }
    this.time = end;
  }

  get last(): FakeSocket {
    return this.sockets.at(-1)!;
  }

  get phase(): Phase {
    return this.connection.phase;
  }

  get seen(): string[] {
    return this.media.map(({ data }) => new TextDecoder().decode(data));
  }

  get restarts(): string[] {
    return this.media.filter((media) => media.restart).map(({ data }) => new TextDecoder().decode(data));
  }
}

const names = (run: string, from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, index) => `${run}:${from + index}`);

test("golden vectors: every server message is understood, later ones are ignored", () => {
  const golden = wire("fanlight.v1");
  assert.equal(golden.subprotocol, SUBPROTOCOL);
  for (const { name, message } of golden.server) {
    const parsed = parseMessage(JSON.stringify(message));
    assert.equal(parsed?.type, message.type, name);
    if (parsed?.type === "hello") {
      assert.deepEqual(parsed.next, message.run ? { run: message.run, seq: message.seq } : undefined, name);
      for (const key of ["camera", "state", "since", "codec", "width", "height", "fps", "cause"] as const) assert.equal(parsed[key], message[key], `${name}: ${key}`);
      assert.equal(parsed.causeKind, message.cause_kind);
    }
    if (parsed?.type === "mark") {
      assert.deepEqual(parsed.next, { run: message.run, seq: message.seq });
      assert.ok(Math.abs(parsed.time - 1767225601234.567890) < 0.001, "nanoseconds to milliseconds");
    }
    if (parsed?.type === "state") assert.deepEqual([parsed.state, parsed.cause, parsed.causeKind, parsed.since], [message.state, message.cause, message.cause_kind, message.since]);
    if (parsed?.type === "slow") assert.equal(parsed.skipped, message.skipped);
    if (parsed?.type === "drain") assert.equal(parsed.deadline, message.deadline);
    if (parsed?.type === "clock") {
      assert.equal(parsed.t0, message.t0);
      assert.ok(Math.abs(parsed.t2 - parsed.t1 - 0.009) < 0.001);
    }
  }
  for (const message of golden.ignored_by_both) assert.equal(parseMessage(JSON.stringify(message)), undefined);
  for (const text of ["", "nonsense", "null", "[1", '{"type":"mark","run":"a","seq":1}']) assert.equal(parseMessage(text), undefined);
});

test("golden vectors: what the player sends", () => {
  for (const { name, message } of wire("fanlight.v1").client) {
    const { type, ...rest } = message;
    assert.deepEqual(JSON.parse(type === "clock" ? clockMessage(rest.t0) : reportMessage(rest)), message, name);
  }
});

test("golden vectors: refusals and the list of cameras", () => {
  const api = wire("api");
  const refused = api["GET /api/cameras/{camera}"].find((answer: { body: { refusal?: object } }) => answer.body.refusal);
  assert.deepEqual(parseRefusal(200, refused.body), { status: 503, code: "draining", message: refused.body.refusal.message, retryAfterMs: 1000 });
  for (const { status, body } of api.errors) assert.deepEqual([parseRefusal(status, body).status, parseRefusal(status, body).code], [status, body.code]);
  assert.deepEqual(parseCameras(api["GET /api/cameras"][0].body), [{ camera: "front-door", state: "live", viewers: 3 }, { camera: "yard", state: "offline", viewers: 0 }]);
});

test("pictures after a reconnect continue: none twice, no restart when nothing is missing", async () => {
  const world = new World();
  world.connection.connect();
  world.last.open();
  world.last.play("1", 10, 5);
  world.last.lose();
  assert.equal(world.phase.name, "waiting");
  await world.pass(1000);
  assert.equal(world.sockets.length, 2);
  world.last.open();
  world.last.play("1", 8, 10);
  assert.deepEqual(world.seen, names("1", 10, 17));
  assert.deepEqual(world.restarts, ["1:10"]);
  assert.equal(world.connection.reconnects, 1);
});

test("a hole or a new run is a restart", async () => {
  const world = new World();
  world.connection.connect();
  world.last.open();
  world.last.play("1", 10, 2);
  world.last.play("1", 30, 2);
  world.last.play("2", 1, 2);
  assert.deepEqual(world.restarts, ["1:10", "1:30", "2:1"]);
});

test("drain: the second socket takes over where the first stands, nothing lost or twice", async () => {
  const world = new World();
  world.connection.connect();
  const old = world.last;
  old.open();
  old.play("1", 1, 20);
  old.text({ type: "drain", deadline: 30_000 });
  const fresh = world.last;
  assert.notEqual(fresh, old);
  fresh.open();
  fresh.play("1", 15, 5); // replay: all known
  old.play("1", 21, 2);
  assert.equal(old.closed, false);
  fresh.play("1", 20, 5);
  assert.equal(old.closed, true);
  fresh.play("1", 25, 3);
  assert.deepEqual(world.seen, names("1", 1, 27));
  assert.deepEqual(world.restarts, ["1:1"]);
  assert.equal(world.phase.name, "open");
});

test("drain: a second socket that is ahead waits until the first has caught up", async () => {
  const world = new World();
  world.connection.connect();
  const old = world.last;
  old.open();
  old.play("1", 1, 20);
  old.text({ type: "drain", deadline: 30_000 });
  world.last.open();
  world.last.play("1", 25, 5);
  assert.deepEqual(world.seen, names("1", 1, 20));
  old.play("1", 21, 4);
  assert.equal(old.closed, true);
  assert.deepEqual(world.seen, names("1", 1, 29));
  assert.deepEqual(world.restarts, ["1:1"]);
});

test("drain: a refused second socket is tried again, the first plays on; its end hands over at once", async () => {
  const world = new World();
  world.connection.connect();
  const old = world.last;
  old.open();
  old.play("1", 1, 5);
  old.text({ type: "drain", deadline: 30_000 });
  world.last.lose();
  await world.pass(600);
  assert.equal(world.sockets.length, 3);
  world.last.open();
  world.last.play("1", 1, 4);
  old.lose(1001);
  world.last.play("1", 5, 2);
  assert.deepEqual(world.seen, names("1", 1, 6));
  assert.equal(world.phase.name, "open");
});

test("a refused upgrade is explained by the interface, close codes by themselves", async () => {
  const table: [Refusal | undefined | number, string, string | undefined][] = [
    [{ status: 401, code: "not_signed_in", message: "", retryAfterMs: undefined }, "refused", "signedOut"],
    [{ status: 403, code: "camera_not_allowed", message: "", retryAfterMs: undefined }, "refused", "forbidden"],
    [{ status: 403, code: "origin_not_allowed", message: "", retryAfterMs: undefined }, "refused", "origin"],
    [{ status: 404, code: "unknown_camera", message: "", retryAfterMs: undefined }, "waiting", "unknownCamera"],
    [{ status: 429, code: "too_many_viewers", message: "", retryAfterMs: 7000 }, "waiting", "limited"],
    [{ status: 503, code: "camera_at_capacity", message: "", retryAfterMs: 7000 }, "waiting", "capacity"],
    [{ status: 503, code: "draining", message: "", retryAfterMs: 1000 }, "waiting", "restarting"],
    [undefined, "waiting", "unreachable"],
    [4401, "refused", "signedOut"],
    [4403, "refused", "revoked"],
    [4404, "waiting", "unknownCamera"],
    [4408, "waiting", "slow"],
    [1001, "waiting", "restarting"],
    [1013, "waiting", "capacity"],
  ];
  for (const [what, phase, reason] of table) {
    const world = new World();
    world.connection.connect();
    if (typeof what === "number") {
      world.last.open();
      world.last.lose(what);
    } else {
      world.refusal = what;
      world.last.lose();
    }
    await world.pass(0);
    assert.equal(world.phase.name, phase, JSON.stringify(what));
    assert.equal("reason" in world.phase ? world.phase.reason : undefined, reason);
    assert.equal(world.asked, typeof what === "number" ? 0 : 1);
    if (typeof what === "object" && what.retryAfterMs && world.phase.name === "waiting") assert.ok(world.phase.at - world.time >= what.retryAfterMs);
  }
});

test("hidden for ten seconds closes, visible opens at once", async () => {
  const world = new World();
  world.connection.connect();
  world.last.open();
  world.last.play("1", 1, 2);
  world.connection.setHidden(true);
  await world.pass(4000);
  world.last.text({ type: "clock", t0: 0, t1: "1", t2: "1" });
  await world.pass(4000);
  world.connection.setHidden(false);
  assert.equal(world.phase.name, "open", "a glance away costs nothing");
  world.connection.setHidden(true);
  world.last.text({ type: "clock", t0: 0, t1: "1", t2: "1" });
  for (let second = 0; second < 11; second += 1) {
    await world.pass(1000);
    world.last.text({ type: "clock", t0: 0, t1: "1", t2: "1" });
  }
  assert.equal(world.phase.name, "hidden");
  assert.equal(world.sockets[0]!.closed, true);
  await world.pass(60_000);
  assert.equal(world.sockets.length, 1);
  world.connection.setHidden(false);
  assert.equal(world.sockets.length, 2);
});

test("a silent socket is given up, one that answers the clock is not", async () => {
  const world = new World();
  world.connection.connect();
  world.last.open();
  for (let second = 0; second < 30; second += 1) {
    await world.pass(1000);
    world.last.text({ type: "clock", t0: 0, t1: "1", t2: "1" });
  }
  assert.equal(world.phase.name, "open");
  assert.ok(world.last.sent.filter((message) => message.type === "clock").length >= 14);
  await world.pass(7000);
  assert.notEqual(world.phase.name, "open");
});

test("after sleep the link is proved first, and given up when nothing answers", async () => {
  const world = new World();
  world.connection.connect();
  world.last.open();
  await world.pass(2000);
  const sent = world.last.sent.length;
  world.time += 3_600_000; // timers stood still
  await world.pass(1000);
  assert.equal(world.last.sent.length, sent + 1);
  assert.equal(world.sockets.length, 1);
  await world.pass(4000);
  assert.ok(world.sockets.length > 1 || world.phase.name === "waiting");
});

test("disconnect ends everything, connect replays from the key picture", async () => {
  const world = new World();
  world.connection.connect();
  world.last.open();
  world.last.play("1", 1, 3);
  world.connection.disconnect();
  assert.deepEqual([world.phase.name, world.last.closed], ["idle", true]);
  await world.pass(120_000);
  assert.equal(world.sockets.length, 1);
  world.connection.connect();
  world.last.open();
  world.last.play("1", 1, 3);
  assert.equal(world.seen.length, 6);
});

test("backoff doubles to its cap, jittered, and honours the server's wish", () => {
  const at = (random: number): number[] => {
    const backoff = new Backoff({ firstMs: 300, capMs: 10_000, random: () => random });
    return Array.from({ length: 8 }, () => backoff.next());
  };
  assert.deepEqual(at(1), [300, 600, 1200, 2400, 4800, 9600, 10_000, 10_000]);
  assert.deepEqual(at(0), [150, 300, 600, 1200, 2400, 4800, 5000, 5000]);
  assert.ok(new Backoff({ firstMs: 300, capMs: 10_000, random: () => 0 }).next(7000) >= 7000);
});
