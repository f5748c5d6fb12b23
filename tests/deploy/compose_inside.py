"""The services of deploy/compose.yaml as processes; test_compose.py starts this in own namespaces."""

import json
import time
import urllib.parse

import pytest
from _compose import Compose
from _node import Node, eventually, get
from _viewers import Crowd

HOST = {"Host": "localhost:8103"}


@pytest.fixture(scope="module")
def compose():
    node = Node("172.31.83")
    compose = Compose(node, ["monitoring"])
    (subnet,) = compose.file["networks"]["default"]["ipam"]["config"]
    assert subnet == {"subnet": f"{node.network}.0/24"}
    took = compose.up()
    print("\nhealthy after", {name: f"{seconds:.1f} s" for name, seconds in took.items()})
    yield compose
    node.close()


def test_every_service_runs(compose):
    for name in compose.services:
        container = compose.containers[name]
        assert container.process.poll() is None, f"{name}:\n{container.text()[-1500:]}"

        def restricted(container=container):
            found = container.status()
            return found["Uid"].split()[0] != "0" and int(found["CapBnd"], 16) == 0
        eventually(f"{name} restricted", restricted, 10)


def address(compose, name, port):
    return f"http://{compose.containers[name].address}:{port}"


def test_cameras_are_live_through_haproxy(compose):
    def live():
        status, body = get(f"{address(compose, 'haproxy', 8103)}/api/cameras", headers=HOST)
        assert status == 200, body
        return {c["camera"]: c.get("codec") for c in json.loads(body)["cameras"] if c["state"] == "live"}
    eventually("both cameras live", lambda: set(live()) == {"test", "yard"})
    assert get(address(compose, "haproxy", 8103) + "/", headers=HOST)[0] == 200


def test_viewers_watch_through_haproxy(compose):
    crowd = Crowd((compose.containers["haproxy"].address, 8103, "localhost:8103"), ["test", "yard"], 6)
    crowd.start()
    eventually("pictures", lambda: all(v.pictures() > 30 for v in crowd.viewers))
    spread = [get(f"{address(compose, edge, 9103)}/metrics", 5)[1] for edge in ("edge-1", "edge-2")]
    assert all('fanlight_edge_connections_total{result="accepted"} 0\n' not in text for text in spread)
    crowd.stop()
    assert {v.holes() for v in crowd.viewers} == {0}
    assert [v.lost for v in crowd.viewers if v.lost] == []


def test_a_replaced_edge_loses_no_viewer(compose):
    """`docker compose restart edge-1`, with viewers on both."""
    crowd = Crowd((compose.containers["haproxy"].address, 8103, "localhost:8103"), ["test"], 8)
    crowd.start()
    eventually("pictures", lambda: all(v.pictures() > 10 for v in crowd.viewers))
    status, seconds = compose.containers["edge-1"].stop(30)
    crowd.stop()
    assert status == 0
    moved = [v for v in crowd.viewers if v.moves]
    print(f"edge-1 drained in {seconds:.1f} s, {len(moved)} of {len(crowd.viewers)} viewers moved, "
          f"longest wait {max(v.longest for v in crowd.viewers):.2f} s")
    assert moved and {v.holes() for v in crowd.viewers} == {0}
    assert [v.lost for v in crowd.viewers if v.lost] == []
    old = compose.containers["edge-1"]
    compose.containers["edge-1"] = new = compose.node.container("edge-1-again")
    new.address, new.namespace = old.address, old.namespace
    compose.start("edge-1", compose.services["edge-1"])
    eventually("edge-1 healthy", lambda: compose.healthy("edge-1"))


def test_prometheus_sees_every_target(compose):
    def up():
        query = urllib.parse.urlencode({"query": "up == 1"})
        answer = json.loads(get(f"{address(compose, 'prometheus', 9090)}/api/v1/query?{query}")[1])
        return {(r["metric"]["namespace"], r["metric"]["pod"]) for r in answer["data"]["result"]}
    pods = {("compose", pod) for pod in ("edge-1", "edge-2", "camera-test", "camera-yard")}
    eventually("targets up", lambda: up() == pods)
    rules = json.loads(get(f"{address(compose, 'prometheus', 9090)}/api/v1/rules")[1])
    assert sum(len(group["rules"]) for group in rules["data"]["groups"]) >= 10


def test_stop_ends_everything_in_its_time(compose):
    started = time.monotonic()
    ends = compose.stop()
    print(f"stopped in {time.monotonic() - started:.1f} s: "
          f"{ {name: (status, round(seconds, 1)) for name, (status, seconds) in ends.items()} }")
    killed = [name for name, (status, _) in ends.items() if status in (-9, 137)]
    assert killed == []
    ours = ("edge-1", "edge-2", "camera-test", "camera-yard")
    assert {ends[name][0] for name in ours} == {0}
