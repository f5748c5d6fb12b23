// A stand-in for ingest and edge while the player is developed: one ffmpeg a camera, cut into access units,
// with GOP replay and fanlight.v1. No test of the product runs against it.
//   node test/relay.mjs [port] [camera=codec ...]      codecs: h264 mpeg1 h265 off
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { WebSocketServer } from "ws";

const dist = fileURLToPath(new URL("../dist/", import.meta.url));
const BITRATE = process.env.RELAY_BITRATE ?? "800k";
const TYPES = { html: "text/html", js: "text/javascript", css: "text/css", svg: "image/svg+xml", txt: "text/plain" };
const CSP = "default-src 'self'; media-src 'self' blob:; frame-ancestors 'self'; base-uri 'none'; form-action 'self'";

const ENCODERS = {
  h264: ["-c:v", "libx264", "-profile:v", "baseline", "-level", "3.0", "-preset", "veryfast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-bf", "0", "-keyint_min", "30", "-sc_threshold", "0"],
  h265: ["-c:v", "libx265", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-x265-params", "log-level=none:keyint=30"],
  mpeg1: ["-c:v", "mpeg1video", "-strict", "unofficial", "-flags", "low_delay", "-bf", "0"],
};
const NAMES = { h264: "avc1.42C01E", h265: "hvc1.1.6.L93.90", mpeg1: "mp4v.6A" };

class Camera {
  constructor(id, codec, { fps = 15, size = "640x480" } = {}) {
    Object.assign(this, { id, codec, fps, size, viewers: new Set(), gop: [], seq: 0, state: codec === "off" ? "offline" : "starting", since: Date.now() });
    if (codec !== "off") this.start();
  }

  start() {
    this.run = `${String(Date.now()).padStart(13, "0")}-relay-${Math.random().toString(36).slice(2, 8)}`;
    this.seq = 0;
    this.gop = [];
    const source = `testsrc2=size=${this.size}:rate=${this.fps},drawtext=text='${this.id} %{localtime}':x=20:y=h-60:fontsize=28:fontcolor=white:box=1:boxcolor=black@0.6`;
    this.ffmpeg = spawn(process.env.RELAY_FFMPEG ?? "ffmpeg", [
      "-hide_banner", "-loglevel", "error", "-nostdin", "-re", "-f", "lavfi", "-i", source, "-an", ...ENCODERS[this.codec],
      "-b:v", BITRATE, "-maxrate", BITRATE, "-bufsize", "200k", "-g", String(2 * this.fps),
      "-muxdelay", "0", "-muxpreload", "0", "-flush_packets", "1", "-omit_video_pes_length", "0", "-mpegts_flags", "+initial_discontinuity", "-f", "mpegts", "pipe:1",
    ], { stdio: ["ignore", "pipe", "inherit"] });
    let rest = Buffer.alloc(0);
    let unit = [];
    let timer;
    const close = () => {
      if (unit.length > 0) this.publish(Buffer.concat(unit));
      unit = [];
    };
    this.ffmpeg.stdout.on("data", (bytes) => {
      clearTimeout(timer);
      rest = Buffer.concat([rest, bytes]);
      while (rest.length >= 188) {
        const packet = Buffer.from(rest.subarray(0, 188));
        rest = rest.subarray(188);
        // A new table or picture after a picture begins the next unit.
        if ((packet[1] & 64) !== 0 && unit.some((p) => (((p[1] & 31) << 8) | p[2]) === 256)) close();
        unit.push(packet);
      }
      timer = setTimeout(close, 2);
    });
    this.ffmpeg.on("exit", () => this.set("offline", "ffmpeg ended", "refused"));
    this.set("live");
  }

  /** Another ffmpeg, possibly of another codec or size: a new run. */
  restart(codec = this.codec, size = this.size) {
    this.ffmpeg.removeAllListeners("exit");
    this.stop();
    Object.assign(this, { codec, size });
    this.start();
    for (const viewer of this.viewers) viewer.helloDue = true;
  }

  stop() {
    this.ffmpeg?.kill("SIGKILL");
  }

  set(state, cause, cause_kind) {
    Object.assign(this, { state, cause, cause_kind, since: Date.now() });
    for (const viewer of this.viewers) viewer.text({ type: "state", ...this.status() });
  }

  status() {
    const { state, cause, cause_kind, since } = this;
    const [width, height] = this.size.split("x").map(Number);
    return { state, cause, cause_kind, since, codec: NAMES[this.codec], width, height, fps: this.fps };
  }

  publish(payload) {
    this.seq += 1;
    // The first packet of a key picture of ffmpeg's carries random_access_indicator.
    let key = false;
    for (let at = 0; at < payload.length; at += 188) if (payload[at + 3] & 32 && payload[at + 4] > 0 && payload[at + 5] & 64) key = true;
    const chunk = { seq: this.seq, time: Math.round((performance.timeOrigin + performance.now()) * 1e6), key, payload };
    if (key) this.gop = [];
    this.gop.push(chunk);
    for (const viewer of this.viewers) viewer.send(chunk);
  }
}

/** One of so many video packets is left out, as a broken relay would. */
const LOSS = Number(process.env.RELAY_LOSS ?? 0);
let lossCount = 0;
function lossy(payload) {
  const kept = [];
  for (let at = 0; at < payload.length; at += 188) {
    const video = (((payload[at + 1] & 31) << 8) | payload[at + 2]) === 256;
    if (video && (lossCount += 1) % LOSS === 0) continue;
    kept.push(payload.subarray(at, at + 188));
  }
  return Buffer.concat(kept);
}

class Viewer {
  constructor(socket, camera) {
    Object.assign(this, { socket, camera, marked: 0, plain: !socket.protocol });
    socket.on("message", (data) => this.onMessage(String(data)));
    socket.on("close", () => camera.viewers.delete(this));
    const first = camera.gop[0];
    this.text({ type: "hello", camera: camera.id, ...camera.status(), run: first && camera.run, seq: first?.seq });
    for (const chunk of camera.gop) this.send(chunk);
    camera.viewers.add(this);
  }

  text(message) {
    if (!this.plain) this.socket.send(JSON.stringify(message));
  }

  send({ seq, time, payload }) {
    if (this.helloDue) this.text({ type: "hello", camera: this.camera.id, ...this.camera.status(), run: this.camera.run, seq });
    this.helloDue = false;
    if (this.run !== this.camera.run || this.next !== seq || Date.now() - this.marked > 1000) {
      this.text({ type: "mark", run: this.camera.run, seq, time: String(time) });
      this.marked = Date.now();
    }
    this.run = this.camera.run;
    this.next = seq + 1;
    this.socket.send(LOSS > 0 ? lossy(payload) : payload);
  }

  onMessage(data) {
    const message = JSON.parse(data);
    const t1 = Math.round((performance.timeOrigin + performance.now()) * 1e6);
    if (message.type === "clock") this.text({ type: "clock", t0: message.t0, t1: String(t1), t2: String(t1) });
    if (message.type === "report" && process.env.REPORTS) console.log(this.camera.id, data);
  }
}

export async function startRelay({ port = 0, cameras = { test: "h264" }, fps = 15, size = "640x480" } = {}) {
  const all = new Map(Object.entries(cameras).map(([id, codec]) => [id, new Camera(id, codec, { fps, size })]));
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://x");
    const json = (status, body) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    if (pathname === "/api/cameras") return json(200, { cameras: [...all.values()].map((camera) => ({ camera: camera.id, ...camera.status(), viewers: camera.viewers.size })) });
    const one = /^\/api\/cameras\/(.+)$/.exec(pathname);
    if (one) {
      const camera = all.get(decodeURIComponent(one[1]));
      return camera ? json(200, { camera: camera.id, ...camera.status() }) : json(404, { code: "unknown_camera", message: "no such camera" });
    }
    const name = pathname === "/" || pathname.startsWith("/cameras/") ? "index.html" : pathname.slice(1);
    try {
      const body = await readFile(dist + name.replace(/[^\w.-]/g, ""));
      response.writeHead(200, { "content-type": TYPES[name.split(".").pop()] ?? "application/octet-stream", "content-security-policy": CSP, "access-control-allow-origin": "*" }).end(body);
    } catch {
      json(404, { code: "not_found", message: "no such page" });
    }
  });
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: (offered) => (offered.has("fanlight.v1") ? "fanlight.v1" : false), perMessageDeflate: false });
  server.on("upgrade", (request, socket, head) => {
    const camera = all.get(decodeURIComponent(/^\/ws\/([^/?]+)/.exec(request.url)?.[1] ?? [...all.keys()][0]));
    if (!camera) return socket.end("HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n");
    socket.setNoDelay(true);
    sockets.handleUpgrade(request, socket, head, (ws) => new Viewer(ws, camera));
  });
  await new Promise((done) => server.listen(port, "127.0.0.1", done));
  return {
    port: server.address().port,
    cameras: all,
    close() {
      for (const camera of all.values()) camera.stop();
      for (const client of sockets.clients) client.terminate();
      server.closeAllConnections();
      server.close();
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const cameras = Object.fromEntries(process.argv.slice(3).map((pair) => pair.split("=")));
  const relay = await startRelay({ port: Number(process.argv[2] ?? 8113), ...(Object.keys(cameras).length > 0 ? { cameras } : {}) });
  console.log(`http://127.0.0.1:${relay.port}/`);
  process.on("SIGINT", () => {
    relay.close();
    process.exit(0);
  });
}
