#!/usr/bin/env python3
"""Draws the dashboards as SVG from live data, for the README: no Grafana runs here.

    .venv/bin/python tests/observability/render.py [SECONDS] [FOLDER]

starts NATS, ingests, edges, viewers and Prometheus, lets them run for SECONDS (120) and writes
one picture a dashboard to FOLDER (docs/images). A sketch of the panels in Grafana's grid, with
its colours; not Grafana's own rendering.
"""

import contextlib
import json
import math
import os
import random
import signal
import sys
import tempfile
import time
import urllib.parse
from html import escape
from pathlib import Path

from promql import ROOT, boards, substitute
from system import System, eventually, get

COLUMN, ROW, GAP = 50, 30, 6
COLOURS = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#37872d", "#8ab8ff"]
NAMED = {"green": "#73bf69", "red": "#f2495c", "orange": "#ff9830", "blue": "#5794f2"}
STEP = 2


def shown(value, unit):
    """A number as Grafana would write it."""
    if math.isnan(value):
        return "–"
    if unit == "percentunit":
        return f"{value * 100:.1f} %"
    if unit == "s":
        if value and abs(value) < 1:
            return f"{value * 1000:.3g} ms"
        return f"{value:.3g} s"
    if unit in ("bytes", "Bps"):
        step, names = 1024 if unit == "bytes" else 1000, ["B", "kB", "MB", "GB"]
        index = 0
        while abs(value) >= step and index < 3:
            value, index = value / step, index + 1
        return f"{value:.3g} {names[index]}" + ("/s" if unit == "Bps" else "")
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value != int(value) else str(int(value))


class Picture:
    def __init__(self):
        self.parts = []

    def box(self, x, y, w, h, fill, **attributes):
        more = "".join(f' {k.replace("_", "-")}="{v}"' for k, v in attributes.items())
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(w, 0):.1f}" height="{max(h, 0):.1f}" '
            f'fill="{fill}"{more}/>')

    def text(self, x, y, words, size=11, fill="#ccccdc", anchor="start", weight="normal"):
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" '
            f'text-anchor="{anchor}" font-weight="{weight}">{escape(str(words))}</text>')

    def line(self, points, colour):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.4"/>')

    def svg(self, width, height):
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            'font-family="Inter, Helvetica, Arial, sans-serif">\n'
            f'<rect width="{width}" height="{height}" fill="#111217"/>\n'
            + "\n".join(self.parts) + "\n</svg>\n")


def legend(target, labels):
    text = target.get("legendFormat", "__auto")
    if text == "__auto":
        return ", ".join(v for k, v in labels.items() if k != "__name__") or "value"
    for name, value in labels.items():
        text = text.replace("{{%s}}" % name, value)
    return " ".join(text.split())


class Data:
    """Answers of Prometheus over the time that is drawn."""

    def __init__(self, prometheus, start, end, camera):
        self.prometheus, self.start, self.end, self.camera = prometheus, start, end, camera

    def range(self, target):
        query = urllib.parse.urlencode({
            "query": substitute(target["expr"], "15s", self.camera),
            "start": self.start, "end": self.end, "step": STEP,
        })
        answer = json.loads(get(f"{self.prometheus.url}/api/v1/query_range?{query}"))
        for one in answer["data"]["result"]:
            yield one["metric"], [(float(t), float(v)) for t, v in one["values"]]

    def now(self, target):
        text = substitute(target["expr"], "15s", self.camera)
        return [(one["metric"], float(one["value"][1])) for one in self.prometheus.query(text)]

    def x(self, when, left, width):
        return left + (when - self.start) / (self.end - self.start) * width


def colour_of(field, value):
    for mapping in field.get("mappings", []):
        if option := mapping["options"].get(str(int(value))):
            return NAMED[option["color"]], option["text"]
    colour = "#73bf69"
    for step in field.get("thresholds", {}).get("steps", []):
        if step["value"] is None or value >= step["value"]:
            colour = NAMED[step["color"]]
    return colour, shown(value, field["unit"])


def draw_stat(picture, panel, data, x, y, w, h):
    for _, value in data.now(panel["targets"][0])[:1]:
        colour, words = colour_of(panel["fieldConfig"]["defaults"], value)
        picture.text(x + w / 2, y + h / 2 + 18, words, 28, colour, "middle", "600")


def draw_timeseries(picture, panel, data, x, y, w, h):
    field = panel["fieldConfig"]["defaults"]
    lines = [(legend(t, labels), points) for t in panel["targets"]
             for labels, points in data.range(t)]
    lines = [(name, [p for p in points if math.isfinite(p[1])]) for name, points in lines]
    lines = sorted(((n, p) for n, p in lines if p), key=lambda line: -line[1][-1][1])
    rows = min(len(lines), 3)
    left, right, top, bottom = x + 58, x + w - 10, y + 28, y + h - 20 - 14 * rows
    values = [v for _, points in lines for _, v in points]
    high = max(values, default=1) * 1.1 or 1
    low = min(0, min(values, default=0))
    for share in (0, 0.5, 1):
        level = bottom - share * (bottom - top)
        picture.box(left, level, right - left, 0.5, "#2c2f36")
        words = shown(low + share * (high - low), field["unit"])
        picture.text(left - 5, level + 4, words, 9, "#8e8e99", "end")
    for index, (name, points) in enumerate(lines):
        colour = COLOURS[index % len(COLOURS)]
        picture.line([(data.x(t, left, right - left),
                       bottom - (v - low) / (high - low) * (bottom - top)) for t, v in points],
                     colour)
        if index < rows:
            at = bottom + 18 + 14 * index
            picture.box(x + 10, at - 5, 12, 3, colour)
            picture.text(x + 28, at, name[:44], 10)
            picture.text(x + w - 12, at, shown(points[-1][1], field["unit"]), 10, anchor="end")


def draw_state(picture, panel, data, x, y, w, h):
    field = panel["fieldConfig"]["defaults"]
    lines = [(legend(t, labels), points) for t in panel["targets"]
             for labels, points in data.range(t)]
    tall = (h - 44) / max(len(lines), 1)
    for index, (name, points) in enumerate(sorted(lines)):
        top = y + 30 + index * tall
        picture.text(x + 10, top + tall / 2 + 4, name[:20], 10)
        left, width = x + 130, w - 142
        for when, value in points:
            at = data.x(when, left, width)
            step = min(width * STEP / (data.end - data.start), left + width - at)
            picture.box(at - 0.3, top + 2, step + 0.6, tall - 4, colour_of(field, value)[0])


def draw_heatmap(picture, panel, data, x, y, w, h):
    buckets = sorted(((float(labels["le"]), points)
                      for labels, points in data.range(panel["targets"][0])), key=lambda b: b[0])
    left, width, top, tall = x + 58, w - 70, y + 30, (h - 44) / max(len(buckets), 1)
    below, cells = {}, []
    for index, (le, points) in enumerate(buckets):
        for when, value in points:
            cells.append((index, when, max(value - below.get(when, 0), 0)))
            below[when] = value
        picture.text(left - 5, top + (len(buckets) - index) * tall - 2,
                     "∞" if math.isinf(le) else shown(le, "s"), 9, "#8e8e99", "end")
    most = max((v for *_, v in cells), default=1) or 1
    for index, when, value in cells:
        if value > 0:
            at = data.x(when, left, width)
            step = min(width * STEP / (data.end - data.start), left + width - at)
            picture.box(at, top + (len(buckets) - 1 - index) * tall + 0.5, step, tall - 1, "#ff9830",
                        opacity=f"{0.15 + 0.85 * (value / most) ** 0.5:.2f}")


def draw_table(picture, panel, data, x, y, w, h):
    organize = panel["transformations"][0]["options"]
    hidden, renamed = set(organize["excludeByName"]) | {"__name__"}, organize["renameByName"]
    defaults = panel["fieldConfig"]["defaults"]
    worth = (lambda v: f"{v:.0f}") if defaults.get("decimals") == 0 else (
        lambda v: shown(v, defaults["unit"]))
    rows = [labels | {"Value": worth(value)} for labels, value in data.now(panel["targets"][0])]
    if not rows:
        words = panel["fieldConfig"]["defaults"].get("noValue", "no data")
        picture.text(x + w / 2, y + h / 2 + 8, words, 13, "#8e8e99", "middle")
        return
    columns = [c for c in rows[0] if c not in hidden]
    # as wide as what is in them
    texts = {c: [renamed.get(c, c)] + [one.get(c, "") for one in rows] for c in columns}
    letters = {c: max(map(len, texts[c])) + 2 for c in columns}
    left, letter = x + 10, (w - 20) / max(sum(letters.values()), 1)
    for column in columns:
        wide = letters[column] * letter
        for line, text in enumerate(texts[column][: int((h - 50) / 18) + 1]):
            picture.text(left, y + 42 + line * 18 + 2 * (line > 0), text[: int(wide / 5.5)], 10,
                         *["#8ab8ff"] * (line == 0))
        left += wide


DRAW = {"stat": draw_stat, "timeseries": draw_timeseries, "state-timeline": draw_state,
        "heatmap": draw_heatmap, "table": draw_table}


def draw(board, data):
    picture = Picture()
    picture.text(14, 26, board["title"], 17, weight="600")
    picture.text(24 * COLUMN - 14, 26, f"last {int(data.end - data.start)} s", 11, "#8e8e99", "end")
    bottom = 0
    for panel in board["panels"]:
        place = panel["gridPos"]
        x, y = place["x"] * COLUMN + GAP / 2, place["y"] * ROW + 40
        w, h = place["w"] * COLUMN - GAP, place["h"] * ROW - GAP
        bottom = max(bottom, y + h + GAP)
        if panel["type"] == "row":
            picture.text(x + 8, y + 18, panel["title"], 13, weight="600")
            continue
        picture.box(x, y, w, h, "#181b1f", stroke="#25272d", rx=2)
        picture.text(x + 10, y + 18, panel["title"], 11.5, weight="600")
        DRAW[panel["type"]](picture, panel, data, x, y, w, h)
    return picture.svg(24 * COLUMN, int(bottom) + 4)


def end_ffmpeg(system, camera):
    # between two attempts there is none
    with contextlib.suppress(AssertionError, OSError):
        os.kill(system.ffmpeg_of(camera), signal.SIGKILL)


def main(seconds=120, folder=ROOT / "docs" / "images"):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work, System(Path(work)) as system:
        prometheus = system.prometheus()
        start = time.time()
        players, dice, bad = [], random.Random(1), ["front"]
        while time.time() < start + seconds:
            if len(players) < 24 and dice.random() < 0.6:
                camera = dice.choice(["front", "front", "yard", "gate"])
                players.append(system.view(dice.randrange(2), camera, protocol="fanlight.v1"))
            elif players and dice.random() < 0.1:
                players.pop(0).leave()
            for player in players:
                if player.status == 101 and player.messages and dice.random() < 0.5:
                    stalls = int(dice.random() < 0.02)
                    player.report(latency=dice.gauss(140, 25), stalls=stalls, decoded=10, dropped=0)
            time.sleep(1)
            passed = (time.time() - start) / seconds
            # one short freeze, and a camera that is down for a while
            if (bad and passed > 0.3) or 0.5 < passed < 0.65:
                end_ffmpeg(system, bad.pop() if bad else "yard")
        eventually("data", lambda: prometheus.query("fanlight_edge_viewers"))
        for name, board in boards().items():
            data = Data(prometheus, start, time.time(), "front" if name == "camera" else ".*")
            (folder / f"dashboard-{name}.svg").write_text(draw(board, data))
            print(folder / f"dashboard-{name}.svg")


if __name__ == "__main__":
    main(*[kind(value) for kind, value in zip((int, Path), sys.argv[1:])])
