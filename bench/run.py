"""Measures the CPU time of a delivered message beside the floor and the peers.

All servers take turns on one core, the generator has the other; figures are medians of the
rounds, as ratios to the floor of the same round. `--short` is one small round that fails on
gross regression only. Needs the release build (scripts/bench.sh makes it).
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
RELEASE = ROOT / "target/release"
TICKS = os.sysconf("SC_CLK_TCK")
SERVER_CORE, LOAD_CORE = "0", "1"
BEGIN, END = "<!-- fan-out: written by make bench -->", "<!-- end of fan-out -->"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(core, *command):
    command = ["taskset", "-c", core, *map(str, command)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for_port(port, process):
    for _ in range(200):
        if process.poll() is not None:
            sys.exit(f"{process.args} ended with {process.returncode}")
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"{process.args} does not listen")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_kib(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4


def quantile(histogram, q):
    """Of {microseconds: count}."""
    rank, seen = max(1, round(sum(histogram.values()) * q)), 0
    for us, count in sorted((int(k), v) for k, v in histogram.items()):
        seen += count
        if seen >= rank:
            return us / 1000
    return float("nan")


class Bench:
    def __init__(self, viewers, seconds, folder):
        self.viewers, self.seconds = viewers, seconds
        self.floor = pathlib.Path(folder) / "floor"
        subprocess.run(["cc", "-O2", "-o", self.floor, ROOT / "bench/floor/floor.c"], check=True)

    def server(self, name, port, feed, nats):
        if name == "edge, NATS":
            return [RELEASE / "fanlight-edge", "--listen", f"127.0.0.1:{port}", "--nats-url", nats,
                    "--admin-listen", f"127.0.0.1:{free_port()}", "--log-level", "error",
                    "--cameras", "cam-0"]
        return {
            "floor (C)": [self.floor, port, feed],
            "axum ws, small buffers": [RELEASE / "bench-axum", "--listen", f"127.0.0.1:{port}",
                                       "--feed", f"127.0.0.1:{feed}", "--small"],
            "axum ws": [RELEASE / "bench-axum", "--listen", f"127.0.0.1:{port}",
                        "--feed", f"127.0.0.1:{feed}"],
            "Node ws": ["node", ROOT / "bench/peers/node/relay.mjs", port, feed],
            "Python websockets": [ROOT / ".venv/bin/python", ROOT / "bench/peers/python/relay.py",
                                  port, feed],
        }[name]

    def measure(self, name):
        port, feed, nats_port = free_port(), free_port(), free_port()
        nats = f"nats://127.0.0.1:{nats_port}"
        broker = start(LOAD_CORE, ROOT / ".venv/bin/nats-server", "-a", "127.0.0.1", "-p", nats_port)
        processes = [broker]
        try:
            wait_for_port(nats_port, broker)
            publisher = start(LOAD_CORE, RELEASE / "bench-publish", "--nats-url", nats,
                              "--feed", f"127.0.0.1:{feed}")
            processes.append(publisher)
            wait_for_port(feed, publisher)
            server = start(SERVER_CORE, *self.server(name, port, feed, nats))
            processes.append(server)
            # Not probed: the floor takes every connection for a viewer. An edge hears one
            # announcement period before it answers.
            time.sleep(3)
            idle = resident_kib(server.pid)
            load = subprocess.Popen(
                ["taskset", "-c", LOAD_CORE, RELEASE / "bench-load", "--connect", f"127.0.0.1:{port}",
                 "--viewers", str(self.viewers), "--seconds", str(self.seconds)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            processes.append(load)
            # It says so when every viewer has a message, and measures from a line on its input.
            if load.stdout.readline().strip() != "ready":
                sys.exit(f"{name}: the viewers got no messages")
            before = cpu_seconds(server.pid)
            load.stdin.write("go\n")
            load.stdin.flush()
            report = json.loads(load.stdout.readline())
            used = cpu_seconds(server.pid) - before
            memory = (resident_kib(server.pid) - idle) / self.viewers
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait()
        return {
            "us": used / report["messages"] * 1e6,
            "p50": quantile(report["latency_us"], 0.5),
            "p99": quantile(report["latency_us"], 0.99),
            "kib": memory,
            "gaps": report["gaps"] + report["wrong"] + report["lost"] + report["refused"],
        }


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--short", action="store_true")
    options.add_argument("--viewers", type=int, default=1000)
    options.add_argument("--rounds", type=int, default=5)
    args = options.parse_args()
    if args.short:
        args.viewers, args.rounds = 300, 1
    names = ["floor (C)", "edge, NATS"]
    if not args.short:
        names += ["axum ws, small buffers", "axum ws", "Node ws", "Python websockets"]
    results = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args.viewers, 8, folder)
        for _ in range(args.rounds):
            for name in names:
                results[name].append(bench.measure(name))
    lines = ["| server | us a message | x floor | p50 / p99 ms | KiB a viewer | gaps |",
             "|---|---|---|---|---|---|"]
    ratios = {}
    for name in names:
        def median(key, name=name):
            return statistics.median(r[key] for r in results[name])
        pairs = zip(results[name], results["floor (C)"])
        ratios[name] = statistics.median(r["us"] / f["us"] for r, f in pairs)
        gaps = sum(r["gaps"] for r in results[name])
        lines.append(f"| {name} | {median('us'):.1f} | {ratios[name]:.2f} | {median('p50'):.1f} / "
                     f"{median('p99'):.1f} | {median('kib'):.1f} | {gaps} |")
    print("\n".join(lines))
    if args.short:
        ok = ratios["edge, NATS"] <= 2 and not any(r["gaps"] for r in results["edge, NATS"])
        print(f"{int(ok)} passed, {int(not ok)} failed")
        sys.exit(not ok)
    path = ROOT / "docs/benchmarks.md"
    text = path.read_text()
    head, rest = text.split(BEGIN)[0], text.split(END)[1]
    cpu = next((line.split(": ")[1] for line in open("/proc/cpuinfo") if "model name" in line),
               platform.machine())
    path.write_text(f"{head}{BEGIN}\n\n{datetime.date.today()}, {cpu.strip()}, "
                    f"{os.cpu_count()} cores; {args.viewers} viewers, one camera of 800 kbit/s and 15 "
                    f"pictures a second, medians of {args.rounds} rounds.\n\n" + "\n".join(lines) + f"\n\n{END}" + rest)


if __name__ == "__main__":
    if not shutil.which("taskset"):
        sys.exit("taskset (util-linux) is needed")
    main()
