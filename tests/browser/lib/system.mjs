// The real programs, on free ports of the loopback.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { Child, Cleanup, ROOT, freePort, until } from "./processes.mjs";

const tool = (name) => path.join(ROOT, "tests/tools", name);
export const FFMPEG_CLOCK = tool("ffmpeg-clock");
export const PYTHON = path.join(ROOT, ".venv/bin/python");

function binary(name) {
  const file = path.join(ROOT, "target", process.env.FANLIGHT_PROFILE ?? "debug", name);
  if (!existsSync(file)) throw new Error(`${file} is missing: cargo build --workspace --bins`);
  return file;
}

export class System {
  cleanup = new Cleanup();
  children = [];

  async close() {
    await this.cleanup.run();
  }

  start(name, command, args, options) {
    const child = new Child(name, command, args, options);
    this.children.push(child);
    this.cleanup.add(() => child.stop());
    return child;
  }

  /** All output of all programs, for a failed test's report and for canaries. */
  output() {
    return this.children.map((child) => `--- ${child.name} (${child.code ?? "running"})\n${child.output}`).join("\n");
  }

  async nats() {
    const child = this.start("nats", PYTHON, [tool("nats_server.py")]);
    return { child, ...(await child.json()) };
  }

  /** An RTSP camera with digest authentication unless told otherwise. */
  async camera(...args) {
    const child = this.start("camera", "/usr/bin/python3", [tool("rtsp_camera.py"), ...args]);
    return { child, ...(await child.json()) };
  }

  async ingest(nats, camera, input, ...args) {
    const admin = await freePort();
    const child = this.start(`ingest ${camera}`, binary("fanlight-ingest"), [
      "--camera", camera, "--input", input, "--nats-url", nats.url, "--admin-listen", `127.0.0.1:${admin}`, ...args,
    ]);
    return { child, admin: `http://127.0.0.1:${admin}` };
  }

  async edge(nats, ...args) {
    return this.#serving("edge", "fanlight-edge", ["--nats-url", nats.url, "--allow-anonymous", ...args]);
  }

  async standalone(...args) {
    return this.#serving("fanlight", "fanlight", args);
  }

  /** A folder that is gone at the end. */
  async folder() {
    const folder = await mkdtemp(path.join(os.tmpdir(), "fanlight-test-"));
    this.cleanup.add(() => rm(folder, { recursive: true, force: true }));
    return folder;
  }

  /** What a command of the edge prints, given `input` on its stdin. */
  async edgeCommand(args, input = "") {
    const child = this.start(`fanlight-edge ${args[0]}`, binary("fanlight-edge"), args, { stdin: "pipe" });
    child.process.stdin.end(input);
    const code = await child.exited;
    if (code !== 0) throw new Error(`fanlight-edge ${args[0]} ended with ${code}:\n${child.output}`);
    return child.output.trim();
  }

  /** `fanlight --config`, with cameras as { id: { url, codec, … } }. */
  async cameras(cameras, ...args) {
    const file = path.join(await this.folder(), "cameras.yaml");
    await writeFile(file, JSON.stringify({ cameras })); // JSON is YAML
    return this.standalone("--config", file, ...args);
  }

  async #serving(name, program, args) {
    const [port, admin] = [await freePort(), await freePort()];
    const child = this.start(name, binary(program), [
      "--listen", `127.0.0.1:${port}`, "--admin-listen", `127.0.0.1:${admin}`, ...args,
    ]);
    const edge = new Edge(child, `${args.includes("--tls-cert") ? "https" : "http"}://127.0.0.1:${port}`, port, `http://127.0.0.1:${admin}`, args);
    await until(`${name} to be ready`, 30_000, async () => {
      if (child.code !== undefined) throw new Error(`${name} ended with ${child.code}:\n${child.output}`);
      return (await fetch(`${edge.admin}/readyz`)).ok;
    });
    return edge;
  }
}

export class Edge {
  constructor(child, url, port, admin) {
    Object.assign(this, { child, url, port, admin });
  }

  ws(camera) {
    return `ws://127.0.0.1:${this.port}${camera ? `/ws/${camera}` : "/"}`;
  }

  page(camera) {
    return camera ? `${this.url}/cameras/${camera}` : `${this.url}/`;
  }

  async camera(id) {
    const answer = await fetch(`${this.url}/api/cameras/${id}`);
    return { status: answer.status, ...(await answer.json()) };
  }

  /** Waits until the camera has this state. */
  async state(id, state = "live", timeout = 20_000) {
    let last;
    return until(`camera ${id} to be ${state}`, timeout, async () => {
      last = await this.camera(id);
      if (last.state !== state) throw new Error(`it is ${JSON.stringify(last)}`);
      return last;
    });
  }

  /** Sum of a metric over its label sets. */
  async metric(name, labels = "") {
    const text = await (await fetch(`${this.admin}/metrics`)).text();
    let sum;
    for (const line of text.split("\n")) {
      const match = /^([a-zA-Z_:]+)(\{[^}]*\})? (\S+)/.exec(line);
      if (match && match[1] === name && (match[2] ?? "").includes(labels)) sum = (sum ?? 0) + Number(match[3]);
    }
    return sum;
  }
}
