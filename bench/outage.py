"""All of NATS killed and back while every one of many cameras is watched.

    cargo build --release -p fanlight-edge -p fanlight-bench && .venv/bin/python bench/outage.py

Every edge that lost its server asks 200 cameras for their newest group of pictures when it is
back: more at once than a NATS server buffers for one client, which then is cut off and asks again.
"""

import argparse
import json
import re
import statistics
import subprocess
import tempfile
import time
import urllib.request

from machine import ROOT, free_port
from run import RELEASE, Load, cpu_seconds, resident_kib, wait_for_port

FPS = 15


def sent(admin):
    """Messages sent to viewers by camera."""
    text = urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=5).read().decode()
    found = re.findall(r'^fanlight_edge_sent_chunks_total\{camera="([^"]+)".* (\d+)$', text, re.M)
    return {camera: int(count) for camera, count in found}


def broker(port, folder):
    process = subprocess.Popen(
        [ROOT / ".venv/bin/nats-server", "-a", "127.0.0.1", "-p", str(port), "-l", f"{folder}/nats.log"])
    wait_for_port(port, process)
    return process


def seconds_until(admin, cameras, limit=60):
    """Until each camera's viewer got something that was not there before."""
    began, before = time.monotonic(), sent(admin)
    while time.monotonic() - began < limit:
        now = sent(admin)
        moved = sum(now[camera] > before.get(camera, 0) for camera in now)
        if moved >= cameras:
            return time.monotonic() - began
        time.sleep(0.05)
    raise SystemExit(f"after {limit} s only {moved} of {cameras} cameras have pictures again")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--cameras", type=int, default=200)
    options.add_argument("--mbit", type=float, default=8.0, help="of each camera")
    options.add_argument("--runs", type=int, default=5)
    args = options.parse_args()
    packets = round(args.mbit * 1e6 / 8 / FPS / 188)
    port, feed, listen, admin = free_port(), free_port(), free_port(), free_port()
    nats = f"nats://127.0.0.1:{port}"
    processes = []
    with tempfile.TemporaryDirectory() as folder:
        server = broker(port, folder)
        try:
            processes.append(subprocess.Popen(
                [RELEASE / "bench-publish", "--nats-url", nats, "--feed", f"127.0.0.1:{feed}",
                 "--cameras", str(args.cameras), "--packets", str(packets)], stderr=subprocess.DEVNULL))
            edge = subprocess.Popen(
                [RELEASE / "fanlight-edge", "--listen", f"127.0.0.1:{listen}", "--nats-url", nats,
                 "--admin-listen", f"127.0.0.1:{admin}", "--log-level", "error"])
            processes.append(edge)
            time.sleep(4)
            seconds = 16 * args.runs + 20
            load = Load(listen, args.cameras, seconds, ["--cameras", args.cameras, "--packets", packets])
            processes += load.processes
            if not load.ready():
                raise SystemExit("not all viewers have a picture")
            for process in load.processes:
                process.stdin.write("go\n")
                process.stdin.flush()
            time.sleep(8)  # rings fill
            times, memory = [], [resident_kib(edge.pid) / 1024]
            for _ in range(args.runs):
                began, used, rate = time.monotonic(), cpu_seconds(edge.pid), sum(sent(admin).values())
                time.sleep(4)
                rate = (sum(sent(admin).values()) - rate) / (time.monotonic() - began)
                used = (cpu_seconds(edge.pid) - used) / (time.monotonic() - began)
                server.kill()
                server.wait()
                time.sleep(2)
                server = broker(port, folder)
                times.append(seconds_until(admin, args.cameras))
                time.sleep(4)
                memory.append(resident_kib(edge.pid) / 1024)
                print(f"{args.cameras} cameras, {rate:.0f} of {args.cameras * FPS} messages a second before "
                      f"({used:.0%} of a core for the edge), all moving {times[-1]:.2f} s after the server's "
                      f"start, {memory[-1]:.0f} MiB", flush=True)
            reports = [json.loads(p.stdout.readline()) for p in load.processes]
            wrong = sum(r["wrong"] + r["lost"] + r["refused"] for r in reports)
            print(f"median {statistics.median(times):.2f} s, worst {max(times):.2f} s; memory "
                  f"{memory[0]:.0f} -> {memory[-1]:.0f} MiB; {wrong} viewers lost or with wrong bytes")
        finally:
            for process in [*reversed(processes), server]:
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main()
