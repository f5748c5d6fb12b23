#!/usr/bin/env python3
"""What the spans of a running edge cost while tracing is off.

    cargo build --release && .venv/bin/python tests/observability/trace_cost.py

counts the instructions of a release edge under valgrind's callgrind while it serves viewers, and
says which share of them belongs to source lines of tracing and OpenTelemetry. A share of
instructions does not depend on what else the machine does, as a share of time would.
"""

import collections
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("FANLIGHT_BIN_DIR", str(Path(__file__).resolve().parents[2] / "target/release"))

from system import System, eventually  # noqa: E402

OURS = re.compile(r"/tracing-|/opentelemetry|shared/ops/src/trace\.rs")
VIEWERS = 40


class Counted(System):
    """The edge runs under callgrind, and counts only when told to."""

    def spawn(self, name, command):
        if name.startswith("edge"):
            out = f"--callgrind-out-file={self.folder / 'callgrind'}"
            command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", out, *command]
        return super().spawn(name, command)


def by_file(path):
    """Instructions by source file, inlined functions with the file they were written in."""
    cost, names, current, of_call = collections.Counter(), {}, None, False
    for line in path.read_text().splitlines():
        if file := re.match(r"(c?f[lie])=\((\d+)\)(?: (.*))?$", line):
            kind, number, name = file.groups()
            if kind in ("fl", "fi", "fe", "cfi", "cfl") and name:
                names[number] = name
            if kind in ("fl", "fi", "fe"):
                current = names[number]
        elif line.startswith("calls="):
            of_call = True
        elif own := re.match(r"[+\-*\d]\S* (\d+)$", line):
            if not of_call:
                cost[current] += int(own[1])
            of_call = False
    return cost


def main(seconds=20):
    env = {"FANLIGHT_DRAIN_DELAY": "0", "FANLIGHT_DRAIN_SECONDS": "0"}
    with tempfile.TemporaryDirectory() as folder:
        with Counted(Path(folder), cameras=("front",), edges=1, env=env) as system:
            edge = system.children[-1].pid
            control = lambda state: subprocess.run(  # noqa: E731
                ["callgrind_control", "-i", state, str(edge)], check=True, capture_output=True)
            sent = lambda: system.value("edge-0", "fanlight_edge_sent_chunks_total")  # noqa: E731
            for _ in range(VIEWERS):
                system.view(0, "front")
            eventually("all viewers", lambda: min(v.messages for v in system.viewers) > 5)
            control("on")
            before = sent()
            time.sleep(seconds)
            messages = sent() - before
            control("off")
        cost = by_file(Path(folder) / "callgrind")
    total = sum(cost.values())
    spans = sum(n for name, n in cost.items() if OURS.search(name or ""))
    assert messages > 1000 and spans > 0, (messages, spans)
    print(f"{messages:.0f} messages to {VIEWERS} viewers, {total / messages:.0f} instructions each; "
          f"spans: {spans / messages:.1f} each, {spans / total:.2%}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
