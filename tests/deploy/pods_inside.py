"""The chart's pods, run with what their specs say; test_pods.py starts this in own namespaces."""

import base64
import json
import os
import pathlib
import re
import sys
import time
import urllib.request

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "chart"))
import helmchart
from _node import Node, eventually, get
from _pods import Cluster
from _viewers import Crowd

LONG = bool(os.environ.get("FANLIGHT_LONG"))
VIEWERS = 200 if LONG else 40
CAMERAS = ["gate", "yard"]
EDGE, NATS = "rel-fanlight-edge", "rel-fanlight-nats"
# A small picture, so that the machine's time goes to the edges. The drain is the chart's in the
# long form.
VALUES = {
    "cameras": {camera: {"url": "test"} for camera in CAMERAS},
    "ingest": {"defaults": {"size": "320x240", "fps": 10, "bitrate": "200k", "gopSeconds": 1}},
    "edge": {} if LONG else {"drain": {"delaySeconds": 2, "seconds": 5}},
}


@pytest.fixture(scope="module")
def node():
    node = Node()
    yield node
    node.close()


@pytest.fixture(scope="module")
def cluster(node):
    cluster = Cluster(node, helmchart.render(helmchart.load(), VALUES))
    controllers = [o for o in cluster.objects if o["kind"] in ("Deployment", "StatefulSet")]
    assert len(controllers) == 2 + len(CAMERAS)
    # All at once, as a cluster does: nobody waits for NATS.
    for controller in controllers:
        cluster.start(controller)
    yield cluster
    cluster.close()


def pods(cluster, owner):
    return [p for p in cluster.pods if p.owner == owner and not p.deleted]


def test_every_pod_becomes_ready(cluster):
    started = time.monotonic()
    for pod in cluster.pods:
        eventually(f"{pod.name} ready", lambda p=pod: p.ready, 60)
    assert len(pods(cluster, EDGE)) == 2
    print(f"\n{len(cluster.pods)} pods ready {time.monotonic() - started:.1f} s after the last was started")


def test_containers_are_as_restricted_as_the_spec_says(cluster):
    for pod in cluster.pods:
        found = pod.process.status()
        assert found["Uid"].split() == ["10001"] * 4 and found["Gid"].split() == ["10001"] * 4, pod.name
        assert found["NoNewPrivs"] == "1" and found["NSpid"].split()[-1] == "1", pod.name
        assert int(found["CapBnd"], 16) == int(found["CapEff"], 16) == 0, pod.name
        tried = pod.process.exec(["touch", "/usr/local/bin/x"], uid=0)
        assert tried.returncode != 0 and "Read-only file system" in tried.stderr, pod.name
        files, scratch = pod.mounts()
        for path in scratch:
            done = pod.process.exec(["touch", f"{path}/x"])
            assert done.returncode == 0, f"{pod.name}: {done.stderr}"


def test_urls_reach_the_ingest_by_file_only(cluster):
    for camera in CAMERAS:
        pod = pods(cluster, f"rel-fanlight-ingest-{camera}")[0]
        assert pod.process.exec(["cat", "/run/secrets/camera/url"]).stdout.strip() == "test"
        assert "FANLIGHT_INPUT" not in pod.environment()


@pytest.fixture(scope="module")
def signed_in(cluster, node):
    """A session with the password of the chart's Secret, by any replica for all of them."""
    url = "http://{}:{}/login".format(*node.services[EDGE])
    secret = helmchart.named(cluster.objects, "Secret", "-auth")["data"]["admin-password"]
    body = json.dumps({"name": "admin", "password": base64.b64decode(secret).decode()}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return {"Cookie": answer.headers["Set-Cookie"].split(";")[0]}


def test_the_service_shows_cameras_to_those_who_signed_in(node, signed_in):
    url = "http://{}:{}/api/cameras".format(*node.services[EDGE])
    assert get(url)[0] == 401

    def live():
        code, body = get(url, headers=signed_in)
        return code == 200 and {c["camera"] for c in json.loads(body)["cameras"] if c["state"] == "live"}
    eventually("both cameras live", lambda: live() == set(CAMERAS))


def test_helm_test_passes(cluster):
    hook = helmchart.named(cluster.objects, "Pod", "-test-watch")
    started = time.monotonic()
    pod = cluster.pod(hook, hook=True)
    assert pod.process.process.wait(timeout=60) == 0, pod.process.text()
    print(f"helm test: {time.monotonic() - started:.1f} s: {pod.process.text().strip().splitlines()[-1]}")


def viewers_of(pod):
    text = get(f"http://{pod.address}:9103/metrics", 5)[1]
    return sum(float(v) for v in re.findall(r"^fanlight_edge_viewers\{.*\} (\S+)$", text, re.M))


def test_a_rollout_restart_loses_no_viewer(cluster, node, signed_in):
    crowd = Crowd((*node.services[EDGE], EDGE), CAMERAS, VIEWERS, signed_in)
    crowd.start()
    eventually("all viewers in", lambda: sum(map(viewers_of, pods(cluster, EDGE))) == VIEWERS)
    spread = [viewers_of(p) for p in pods(cluster, EDGE)]
    assert min(spread) > 0, spread
    started = time.monotonic()
    old = cluster.rollout_restart(EDGE)
    took = time.monotonic() - started
    eventually("all viewers on the new pods", lambda: sum(map(viewers_of, pods(cluster, EDGE))) == VIEWERS)
    time.sleep(2)
    crowd.stop()
    for pod in old:
        code, seconds = pod.end
        assert code == 0, f"{pod.name} ended with {code} after {seconds:.1f} s:\n{pod.process.text()[-2000:]}"
    viewers = crowd.viewers
    print(f"{VIEWERS} viewers on {spread}, rollout {took:.1f} s, {sum(v.moves for v in viewers)} moves, "
          f"{sum(v.refused for v in viewers)} refused and asked again, "
          f"{sum(v.pictures() for v in viewers)} pictures, {sum(v.holes() for v in viewers)} lost, longest "
          f"wait for a picture {max(v.longest for v in viewers):.2f} s, "
          f"ends {[f'{p.end[1]:.1f} s' for p in old]}")
    assert [v.lost for v in viewers if v.lost] == []
    assert sum(v.moves for v in viewers) >= VIEWERS
    assert {v.holes() for v in viewers} == {0}
    # A GOP is a second; a viewer sees pictures all along.
    assert max(v.longest for v in viewers) < 3


def test_a_restarted_ingest_hands_over(cluster, node, signed_in):
    name = "rel-fanlight-ingest-gate"
    crowd = Crowd((*node.services[EDGE], EDGE), ["gate"], 4, signed_in)
    crowd.start()
    eventually("pictures", lambda: all(v.pictures() > 10 for v in crowd.viewers))
    (old,) = cluster.rollout_restart(name)
    assert old.end[0] == 0, old.process.text()[-2000:]
    time.sleep(3)
    crowd.stop()
    print(f"ingest handed over: runs {max(len(v.places) for v in crowd.viewers)}, longest wait "
          f"{max(v.longest for v in crowd.viewers):.2f} s, old one ended in {old.end[1]:.1f} s")
    assert [v.lost for v in crowd.viewers if v.lost] == []
    assert {len(v.places) for v in crowd.viewers} == {2}
    assert max(v.longest for v in crowd.viewers) < 3


def test_nats_goes_by_its_prestop(cluster):
    """The lame duck's period is the pod's to wait for; the server says so and leaves by itself."""
    (pod,) = pods(cluster, NATS)
    hook = pod.container["lifecycle"]["preStop"]["exec"]["command"]
    assert pod.process.exec(hook).returncode == 0
    eventually("lame duck", lambda: "lame duck" in pod.process.text().lower(), 10)


def test_no_probe_ended_a_container(cluster):
    assert {p.name: p.restarts for p in cluster.pods if p.restarts} == {}
