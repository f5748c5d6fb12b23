"""How many series a fleet costs, counted at real processes: an edge that knows 200 cameras, with
and without viewers, and an ingest. The budget is in docs/metrics.md."""

import collections
import json
import re
import socket
import time

import pytest
from promql import ROOT
from system import System, eventually, get, samples

FLEET = 200
EDGES = 10
NAMES = [f"gate-{number}" for number in range(FLEET - 1)]
FOLDED = 50


def announce(url, cameras):
    """Says on the bus what the ingests of so many cameras would."""
    host, port = url.removeprefix("nats://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as nats:
        answers = nats.makefile("rb")
        assert answers.readline().startswith(b"INFO")
        nats.sendall(b'CONNECT {"verbose":false}\r\n')
        for camera in cameras:
            text = json.dumps({
                "camera": camera, "rendition": "main", "state": "offline", "cause": "a test",
                "since": 1, "ttl": 60.0, "instance": f"i-{camera}", "time": time.time_ns(),
            }).encode()
            nats.sendall(b"PUB fanlight.%s.main.status %d\r\n%s\r\n" % (
                camera.encode(), len(text), text))
        nats.sendall(b"PING\r\n")
        assert answers.readline() == b"PONG\r\n"


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    with System(tmp_path_factory.mktemp("series"), cameras=("front",), edges=1) as running:
        running.env["FANLIGHT_METRICS_CAMERAS"] = str(FOLDED)
        running.edge("edge-folded", ("front",))
        admin = running.targets["edge-folded"][1]
        eventually("the second edge", lambda: get(f"http://127.0.0.1:{admin}/readyz"))
        announce(running.nats_url, NAMES)
        eventually("all cameras known", lambda: len(cameras_of(running, "edge-0")) == FLEET)
        yield running


def cameras_of(system, pod):
    return {labels["camera"] for _, labels, _ in samples(system.metrics(pod)) if "camera" in labels}


def count(system, pod):
    return sum(1 for _ in samples(system.metrics(pod)))


def budget():
    text = (ROOT / "docs" / "metrics.md").read_text()
    (number,) = re.findall(r"budget is \*\*([\d,]+)\*\* series", text)
    return int(number.replace(",", ""))


def test_viewers_add_no_series(system):
    before = count(system, "edge-0")
    viewers = [system.view(0, camera) for camera in NAMES[:30] for _ in range(2)]
    assert {viewer.status for viewer in viewers} == {101}
    eventually("all counted", lambda: system.value("edge-0", "fanlight_edge_viewers") == 60)
    assert count(system, "edge-0") == before
    for viewer in viewers:
        viewer.abandon()
    eventually("all gone", lambda: system.value("edge-0", "fanlight_edge_viewers") == 0)
    assert count(system, "edge-0") == before


def test_the_fleet_is_within_its_budget(system):
    ingest, edge = count(system, "front-0"), count(system, "edge-0")
    total = FLEET * ingest + EDGES * edge
    assert total <= budget() == 32_000, f"{ingest} an ingest, {edge} an edge"
    # what the page says is what is so, but for a handful
    page = (ROOT / "docs" / "metrics.md").read_text()
    said = re.search(r"an ingest has about (\d+), an edge that knows 200 cameras about ([\d,]+)", page)
    assert abs(int(said[1]) - ingest) <= 5, ingest
    assert abs(int(said[2].replace(",", "")) - edge) <= 50, edge


def test_cameras_above_the_limit_share_a_label(system):
    eventually("folded", lambda: "__any__" in cameras_of(system, "edge-folded"))
    announce(system.nats_url, NAMES)
    time.sleep(0.5)
    assert len(cameras_of(system, "edge-folded")) == FOLDED + 1
    per_name = collections.Counter(
        name for name, labels, _ in samples(system.metrics("edge-folded")) if "camera" in labels)
    assert set(per_name.values()) == {FOLDED + 1}, per_name
