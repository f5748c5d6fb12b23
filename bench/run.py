"""Measures the CPU time of a delivered message beside the floor and the peers.

All servers take turns on one core, the generator has the other; figures are medians of the
rounds, as ratios to the floor of the same round. Needs the release build (scripts/bench.sh makes
it). `--short` is small rounds of the debug build that fails on gross regression only: a message
costs little outside of the kernel, so even that one is within twice the floor.
"""

import argparse
import collections
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

import ingest
import rows
from machine import ROOT, free_port
from quantiles import quantile

RELEASE, DEBUG = ROOT / "target/release", ROOT / "target/debug"
TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = str(CORES[0]), str(CORES[-1])
BEGIN, END = "<!-- fan-out: written by make bench -->", "<!-- end of fan-out -->"


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


class Load:
    """One generator or several on the load core; together they are the viewers."""

    def __init__(self, port, viewers, seconds, options, generators=1, build=RELEASE):
        command = ["taskset", "-c", LOAD_CORE, build / "bench-load", "--connect", f"127.0.0.1:{port}",
                   "--viewers", viewers // generators, "--seconds", seconds, *options]
        self.processes = [
            subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(generators)]

    def ready(self):
        """Waits until every viewer has a message."""
        return all(p.stdout.readline().strip() == "ready" for p in self.processes)

    def measure(self):
        for process in self.processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        reports = [json.loads(p.stdout.readline()) for p in self.processes]
        total = collections.Counter()
        histograms = {"latency_us": collections.Counter(), "join_us": collections.Counter()}
        for report in reports:
            for key, histogram in histograms.items():
                histogram.update({int(us): count for us, count in report.pop(key).items()})
            total.update(report)
        return {**total, **histograms}


class Bench:
    def __init__(self, seconds, folder, build=RELEASE):
        self.seconds, self.build = seconds, build
        self.floor = pathlib.Path(folder) / "floor"
        subprocess.run(["cc", "-O2", "-o", self.floor, ROOT / "bench/floor/floor.c"], check=True)
        self.certificate = [f"{folder}/cert.pem", f"{folder}/key.pem"]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-days", "2", "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-addext", "basicConstraints=critical,CA:FALSE",
                        "-out", self.certificate[0], "-keyout", self.certificate[1]],
                       check=True, stderr=subprocess.DEVNULL)

    def server(self, name, port, feed, nats):
        edge = [self.build / "fanlight-edge", "--listen", f"127.0.0.1:{port}", "--nats-url", nats,
                "--admin-listen", f"127.0.0.1:{free_port()}", "--log-level", "error",
                "--max-attempts-per-address", "0"]
        return {
            "edge, NATS": edge,
            "edge, NATS, TLS": [*edge, "--tls-cert", self.certificate[0], "--tls-key", self.certificate[1]],
            "edge, in process": [self.build / "bench-inprocess", "--listen", f"127.0.0.1:{port}"],
            "floor (C)": [self.floor, port, feed],
            "axum ws, small buffers": [self.build / "bench-axum", "--listen", f"127.0.0.1:{port}",
                                       "--feed", f"127.0.0.1:{feed}", "--small"],
            "axum ws": [self.build / "bench-axum", "--listen", f"127.0.0.1:{port}",
                        "--feed", f"127.0.0.1:{feed}"],
            "Node ws": ["node", ROOT / "bench/peers/node/relay.mjs", port, feed],
            "Python websockets": [ROOT / ".venv/bin/python", ROOT / "bench/peers/python/relay.py",
                                  port, feed],
        }[name]

    def measure(self, name, viewers, cameras=1, options=(), generators=1):
        """Figures of one server; a generator or two are its viewers."""
        port, feed, nats_port = free_port(), free_port(), free_port()
        nats = f"nats://127.0.0.1:{nats_port}"
        broker = start(LOAD_CORE, ROOT / ".venv/bin/nats-server", "-a", "127.0.0.1", "-p", nats_port)
        processes = [broker]
        try:
            wait_for_port(nats_port, broker)
            publisher = start(LOAD_CORE, self.build / "bench-publish", "--nats-url", nats,
                              "--feed", f"127.0.0.1:{feed}", "--cameras", cameras)
            processes.append(publisher)
            wait_for_port(feed, publisher)
            server = start(SERVER_CORE, *self.server(name, port, feed, nats))
            processes.append(server)
            # Not probed: the floor takes every connection for a viewer. An edge hears one
            # announcement period before it answers.
            time.sleep(3)
            idle = resident_kib(server.pid)
            if name.endswith("TLS"):
                options = [*options, "--tls-ca", self.certificate[0]]
            load = Load(port, viewers, self.seconds, ["--cameras", cameras, *options], generators, self.build)
            processes += load.processes
            if not load.ready():
                sys.exit(f"{name}: the viewers got no messages")
            before = cpu_seconds(server.pid)
            report = load.measure()
            used = cpu_seconds(server.pid) - before
            memory = (resident_kib(server.pid) - idle) / viewers
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait()
        return {
            **report,
            "us": used / max(1, report["messages"]) * 1e6,
            "core": used / self.seconds,
            "p50": quantile(report["latency_us"], 0.5),
            "p99": quantile(report["latency_us"], 0.99),
            "kib": memory,
            "bad": report["gaps"] + report["wrong"] + report["lost"] + report["refused"],
        }


def medians(rounds, keys):
    return {key: statistics.median(r[key] for r in rounds) for key in keys}


def relays(bench, names, viewers, rounds):
    """Each server in turn; its table, and its ratios to the floor of the same round."""
    results = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            results[name].append(bench.measure(name, viewers))
    lines = ["| server | us a message | x floor | p50 / p99 ms | KiB a viewer | gaps |",
             "|---|---|---|---|---|---|"]
    ratios = {}
    for name, measured in results.items():
        m = medians(measured, ("us", "p50", "p99", "kib"))
        ratios[name] = statistics.median(
            r["us"] / f["us"] for r, f in zip(measured, results["floor (C)"], strict=True))
        lines.append(f"| {name} | {m['us']:.1f} | {ratios[name]:.2f} | {m['p50']:.1f} / {m['p99']:.1f} | "
                     f"{m['kib']:.1f} | {sum(r['bad'] for r in measured)} |")
    return lines, ratios, results


def short(bench):
    """Three small rounds; only gross regression fails."""
    lines, ratios, results = relays(bench, ["floor (C)", "edge, NATS"], 300, 3)
    print("\n".join(lines))
    ok = ratios["edge, NATS"] <= 2 and not any(r["bad"] for r in results["edge, NATS"])
    print(f"{int(ok)} passed, {int(not ok)} failed")
    sys.exit(not ok)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--short", action="store_true")
    options.add_argument("--rounds", type=int, default=5)
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.short:
            short(Bench(3, folder, DEBUG))
        bench = Bench(8, folder)
        peers = ["edge, in process", "edge, NATS, TLS", "axum ws, small buffers", "axum ws", "Node ws", "Python websockets"]
        all_of_them, _, _ = relays(bench, ["floor (C)", "edge, NATS", *peers], 1000, args.rounds)
        hundred, _, _ = relays(bench, ["floor (C)", "edge, NATS"], 100, args.rounds)
        more = rows.measure(bench, args.rounds)
        more += ingest.measure(folder, min(args.rounds, 3))
    cpu = next((line.split(": ")[1] for line in open("/proc/cpuinfo") if "model name" in line),
               platform.machine())
    text = "\n".join([
        BEGIN, "", f"{datetime.date.today()}, {cpu.strip()}, {os.cpu_count()} cores, medians of {args.rounds} "
        "rounds; cameras of 800 kbit/s and 15 pictures a second.", "", "1,000 viewers of one camera:", "",
        *all_of_them, "", "100 viewers:", "", *hundred, "", "The edge alone:", "",
        "| case | figures |", "|---|---|", *more, "", END])
    print(text)
    path = ROOT / "docs/benchmarks.md"
    head, rest = path.read_text().split(BEGIN)[0], path.read_text().split(END)[1]
    path.write_text(head + text + rest)


if __name__ == "__main__":
    if not shutil.which("taskset"):
        sys.exit("taskset (util-linux) is needed")
    main()
