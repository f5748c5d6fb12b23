"""The figures of docs/scaling.md follow from its table of coefficients, which has the simulator's
defaults. After a change: `python tests/docs/test_scaling.py` writes them anew."""

import math
import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOC = ROOT / "docs" / "scaling.md"
DEFAULTS = ROOT / "bench" / "src" / "simulate" / "coefficients.rs"
SIMULATOR = ROOT / "target" / "debug" / "bench-simulate"
BLOCK = re.compile(r"(<!-- (computed|simulated): (.+?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
GBIT = 125e6
MONTH = 30.44 * 86_400


def coefficients(text):
    """flag -> value, of the table's rows whose first cell is a flag."""
    rows = re.findall(r"^\| `--([a-z-]+)` \| ([\d.,]+) ", text, re.MULTILINE)
    return {name.replace("-", "_"): float(value.replace(",", "")) for name, value in rows}


class Model:
    def __init__(self, values):
        self.__dict__.update(values)
        self.stream = self.fps * (self.message_bytes + self.overhead_bytes)  # bytes a second

    def edge_use(self, viewers, watched):
        return self.fps * (viewers * self.deliver_us + watched * self.receive_us) / 1e6

    def watched(self, viewers, cameras):
        """Cameras of an edge whose viewers each take one by chance."""
        return cameras * (1 - math.exp(-viewers / cameras))

    def nats_egress(self, pairs, cameras, servers):
        """Bytes a second that one server sends."""
        return (pairs + min(cameras, pairs) * (servers - 1)) * self.stream / servers


def number(value, digits=0):
    return f"{value:,.{digits}f}"


def node(m):
    """What one node carries, at the planned share of its resources."""
    core = m.headroom * 1e6 / (m.fps * m.deliver_us)
    link = m.headroom * m.edge_gbit * GBIT / m.stream
    pairs = m.headroom * m.nats_gbit * GBIT / m.stream
    pairs_cpu = m.headroom * m.nats_cores * 1e6 / (m.fps * m.nats_us)
    joins = (1 - m.headroom) * 1e6 / m.join_us
    pictures = (1 - m.headroom) * m.edge_gbit * GBIT / (m.stream * m.gop_seconds / 2)
    return [
        ("", "carries"),
        ("a stream on the wire", f"{number(m.stream * 8 / 1e6, 3)} Mbit/s"),
        ("a core of an edge", f"{number(core)} viewers of one camera"),
        ("a link of an edge", f"{number(link)} viewers"),
        ("a camera that an edge takes from NATS", f"as much CPU as {number(m.receive_us / m.deliver_us)} viewers"),
        ("a core of an edge, taking cameras alone", f"{number(m.headroom * 1e6 / (m.fps * m.receive_us))} cameras"),
        ("memory for viewers of a full edge", f"{number(m.max_viewers * m.viewer_kib / 1024)} MiB"),
        ("joins that what is left of a core takes", f"{number(joins)} a second"),
        ("joins that what is left of a link takes", f"{number(pictures)} a second"),
        ("a NATS server's link", f"{number(pairs)} pairs of camera and edge"),
        ("a NATS server's CPU", f"{number(pairs_cpu)} pairs of camera and edge"),
    ]


SITES = [(1_000, 10, 1), (10_000, 100, 1), (100_000, 1_000, 1), (1_000_000, 10_000, 10)]


def sizes(m):
    """Edges that hold with a zone lost, and what they and NATS use then and before."""
    rows = [("", *(f"{number(v)} viewers, {number(c)} cameras" for v, c, _ in SITES))]
    columns = [size(m, *site) for site in SITES]
    return rows + [(name, *(column[name] for column in columns)) for name in columns[0]]


def size(m, viewers, cameras, cells):
    spare = m.zones / (m.zones - 1)
    v, c = viewers / cells, cameras / cells
    edges = m.zones * math.ceil(v * spare / m.max_viewers / m.zones)  # as many in each zone
    each = v / edges
    chance = m.watched(each, c)
    named = min(c, c * m.edges_per_camera / edges)
    egress = viewers * m.stream
    return {
        "cells": number(cells),
        "edges": number(edges * cells),
        "viewers of an edge; with a zone lost": f"{number(each)}; {number(each * spare)}",
        "egress of an edge then, Gbit/s": number(each * spare * m.stream / GBIT, 2),
        "cameras of an edge, spread by chance": number(chance),
        "cores of an edge, spread by chance": number(m.edge_use(each, chance), 2),
        "cameras of an edge, spread by camera": number(named),
        "cores of an edge, spread by camera": number(m.edge_use(each, named), 2),
        "the same with a zone lost": number(m.edge_use(each * spare, named * spare), 2),
        "egress of each of a cell's NATS servers by chance, Gbit/s":
            number(m.nats_egress(chance * edges, c, m.nats) / GBIT, 2),
        "by camera, Gbit/s": number(m.nats_egress(named * edges, c, m.nats) / GBIT, 2),
        "by camera, one server lost, Gbit/s": number(m.nats_egress(named * edges, c, m.nats - 1) / GBIT, 2),
        "cores of all edges, by camera": number(m.edge_use(viewers, named * edges * cells), 1),
        "memory for viewers, GiB": number(viewers * m.viewer_kib / 2**20, 2),
        "egress to viewers, Gbit/s": number(egress / GBIT, 1),
        "egress to viewers in a month, PB": number(egress * MONTH / 1e15, 2),
    }


def flat(m):
    """Why many cameras are not one cluster of NATS servers."""
    rows = [("servers in one cluster", "egress of each by camera, 10,000 cameras, Gbit/s")]
    for servers in (3, 6, 12, 24):
        rows.append((number(servers), number(m.nats_egress(10_000 * m.edges_per_camera, 10_000, servers) / GBIT, 1)))
    return rows


TABLES = {"node": node, "sizes": sizes, "flat": flat}


def table(rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]) + "\n"


def simulate(command):
    args = shlex.split(command)
    assert args[0] == "bench-simulate"
    assert SIMULATOR.exists(), f"{SIMULATOR} is missing: cargo build --workspace --bins"
    return subprocess.run(
        [SIMULATOR, *args[1:]], capture_output=True, text=True, timeout=60, check=True
    ).stdout


def content(kind, name, text):
    if kind == "computed":
        return table(TABLES[name](Model(coefficients(text))))
    return simulate(name)


def blocks():
    return [match.group(2, 3, 4) for match in BLOCK.finditer(DOC.read_text())]


def test_coefficients_are_the_simulators_defaults():
    source = DEFAULTS.read_text()
    pattern = r"#\[arg\(long, default_value_t = ([\d._]+)\)\]\s+pub (\w+):"
    real = {name: float(value.replace("_", "")) for value, name in re.findall(pattern, source)}
    documented = coefficients(DOC.read_text())
    of_a_run = {"viewers", "cameras", "edges"}
    assert documented == {name: value for name, value in real.items() if name not in of_a_run}


def test_all_tables_are_there():
    assert {name for kind, name, _ in blocks() if kind == "computed"} == TABLES.keys()
    assert any(kind == "simulated" for kind, *_ in blocks())


@pytest.mark.parametrize("kind, name, written", blocks(), ids=lambda text: text[:40].strip())
def test_written_is_what_follows(kind, name, written):
    assert written == content(kind, name, DOC.read_text())


if __name__ == "__main__":
    before = DOC.read_text()
    DOC.write_text(BLOCK.sub(lambda m: m.group(1) + content(m.group(2), m.group(3), before) + m.group(5), before))
