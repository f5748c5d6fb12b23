// Child processes of a test: each in its own group, all of them gone at the end, output kept for the report.
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import path from "node:path";

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../..");
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const running = new Set();
// Whatever way this process ends, nothing outlives it.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));

export class Child {
  constructor(name, command, args = [], { env = {}, stdin = "ignore" } = {}) {
    this.name = name;
    this.output = "";
    // Should this process be killed, the kernel ends the child.
    this.process = spawn("setpriv", ["--pdeathsig", "KILL", "--", command, ...args], { env: { ...process.env, ...env }, stdio: [stdin, "pipe", "pipe"], detached: true });
    this.exited = new Promise((resolve) => {
      this.process.on("error", (error) => {
        this.output += `${error}\n`;
        resolve(-1);
      });
      this.process.on("exit", (code, signal) => {
        this.code = code ?? signal;
        running.delete(this);
        resolve(this.code);
      });
    });
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => {
        this.output = (this.output + text).slice(-400_000);
        if (process.env.FANLIGHT_SHOW) process.stderr.write(text.replace(/^/gm, `[${name}] `));
      });
    }
    running.add(this);
  }

  kill(signal) {
    try {
      process.kill(-this.process.pid, signal);
    } catch {
      // already gone
    }
  }

  /** Only the process itself, not its group. */
  signal(signal) {
    this.process.kill(signal);
  }

  async stop() {
    if (this.code !== undefined) return this.code;
    this.signal("SIGTERM");
    const ended = await Promise.race([this.exited.then(() => true), sleep(6000).then(() => false)]);
    if (!ended) this.kill("SIGKILL");
    return this.exited;
  }

  /** The first line of output that is JSON. */
  async json(timeout = 15_000) {
    return until(`${this.name} to print JSON`, timeout, () => {
      if (this.code !== undefined) throw new Error(`${this.name} ended with ${this.code}:\n${this.output}`);
      const line = this.output.split("\n").slice(0, -1).find((text) => text.startsWith("{"));
      return line && JSON.parse(line);
    });
  }
}

/** Polls until `probe` gives something true; the last error is part of the complaint. */
export async function until(what, timeout, probe, every = 50) {
  const deadline = Date.now() + timeout;
  let last;
  for (;;) {
    try {
      const value = await probe();
      if (value) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`waited ${timeout} ms for ${what}${last ? `: ${last.message}` : ""}`);
    await sleep(every);
  }
}

const given = new Set();
/** A port of the loopback that is free now and was not given out before. */
export async function freePort() {
  for (;;) {
    const port = await new Promise((resolve, reject) => {
      const server = createServer();
      server.on("error", reject);
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address();
        server.close(() => resolve(port));
      });
    });
    if (!given.has(port)) {
      given.add(port);
      return port;
    }
  }
}

/** Things to undo, in reverse order, all of them whatever fails. */
export class Cleanup {
  #steps = [];
  add(step) {
    this.#steps.push(step);
  }
  async run() {
    const errors = [];
    for (const step of this.#steps.reverse()) {
      try {
        await step();
      } catch (error) {
        errors.push(error);
      }
    }
    this.#steps = [];
    if (errors.length) throw new AggregateError(errors, errors.map(String).join("; "));
  }
}
