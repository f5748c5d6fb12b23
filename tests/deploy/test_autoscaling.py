"""The chart's autoscaling: its expression on a real Prometheus, its behaviour over a day of viewers."""

import math
import pathlib
import random
import sys
import time

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
sys.path += [str(ROOT / "tests/chart"), str(ROOT / "tests/observability")]

import helmchart  # noqa: E402
from _autoscaler import SYNC_SECONDS, Autoscaler, flaps, wanted  # noqa: E402
from system import System, eventually, get  # noqa: E402

NAMESPACE = "video"  # what system.py's Prometheus says
TARGET = 5
SCRAPE_SECONDS = 1


def rendered(**edge):
    values = {"cameras": helmchart.GATE, "edge": edge}
    return helmchart.render(helmchart.load(), values, namespace=NAMESPACE)


def keda():
    return helmchart.named(rendered(keda={"enabled": True, "targetViewers": TARGET}), "ScaledObject", "edge")


def hpa(**more):
    return helmchart.named(rendered(autoscaling={"enabled": True, **more}), "HorizontalPodAutoscaler", "edge")


def adapter_rule():
    """The Prometheus adapter's rule as docs/deploy.md gives it."""
    text = (ROOT / "docs/deploy.md").read_text()
    blocks = [b.split("```")[0] for b in text.split("```yaml\n")[1:]]
    (block,) = [b for b in blocks if "metricsQuery" in b]
    (rule,) = yaml.safe_load(block)["rules"]
    return rule


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """Two edges, named as the chart's Deployment names its pods, and a Prometheus that scrapes them."""
    name = keda()["spec"]["scaleTargetRef"]["name"]
    folder = tmp_path_factory.mktemp("autoscaling")
    env = {"FANLIGHT_DRAIN_DELAY": "1", "FANLIGHT_DRAIN_SECONDS": "3"}
    with System(folder, cameras=("front", "yard"), edges=0, env=env) as system:
        pods = [f"{name}-5d8c7b6f4-{end}" for end in ("ab2cd", "xy9zw")]
        for pod in pods:
            system.edge(pod, ("front", "yard"))
        # Somebody else's edge in the same namespace.
        system.edge("other-fanlight-edge-5d8c7b6f4-ab2cd", ("front",))
        for pod, (_, admin) in system.targets.items():
            eventually(f"{pod} ready", lambda at=admin: get(f"http://127.0.0.1:{at}/readyz"))
        assert system.view(2, "front").status == 101
        yield system, pods, system.prometheus()


def test_the_expression_follows_the_load_within_one_scrape(installation):
    system, pods, prometheus = installation
    trigger = next(t for t in keda()["spec"]["triggers"] if t["type"] == "prometheus")["metadata"]
    spec = keda()["spec"]
    limits = spec["minReplicaCount"], spec["maxReplicaCount"]
    target = float(trigger["threshold"])
    assert target == TARGET and trigger["ignoreNullValues"] == "false"
    (metric,) = [m for m in hpa(targetViewers=TARGET)["spec"]["metrics"] if m["type"] == "Pods"]
    rule = adapter_rule()
    assert rule["name"]["as"] == metric["pods"]["metric"]["name"]
    assert float(metric["pods"]["target"]["averageValue"]) == TARGET

    def asked():
        """Viewers as KEDA asks for them: one series, or no answer."""
        found = prometheus.query(trigger["query"])
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def adapted():
        """The same by the adapter's rule, a value for each pod."""
        matchers = f'namespace="{NAMESPACE}",pod=~"{"|".join(pods)}"'
        query = rule["metricsQuery"].replace("<<.GroupBy>>", "pod").replace("<<.LabelMatchers>>", matchers)
        found = {s["metric"]["pod"]: float(s["value"][1]) for s in prometheus.query(query)}
        return sum(found.values()) if set(found) == set(pods) else None

    def follows(viewers, replicas):
        began = time.monotonic()
        eventually(f"{viewers} viewers", lambda: asked() == viewers)
        took = time.monotonic() - began
        assert took < SCRAPE_SECONDS + 2, f"{took:.1f} s"
        assert wanted(asked(), target, 2, *limits) == replicas

    follows(0, 2)
    crowd = [system.view(n % 2, camera) for n in range(2) for camera in ("front", "yard") for _ in range(4)]
    assert all(viewer.status == 101 for viewer in crowd)
    follows(16, math.ceil(16 / TARGET))
    assert adapted() == 16
    # Four of each replica's eight viewers are of one camera; two of those stay.
    stay = [crowd[6], crowd[7], crowd[14], crowd[15]]
    for viewer in crowd:
        if viewer not in stay:
            viewer.leave()
    follows(4, 2)
    # A replica that ends takes its viewers out of the sum.
    first, second = system.children[-4:-2]
    second.terminate()
    second.wait(timeout=20)
    eventually("the other replica's viewers alone", lambda: asked() == 2)
    for viewer in stay[:2]:
        viewer.leave()
    follows(0, 2)
    # No edge at all is no answer: replicas stay, and somebody else's edge is not asked.
    first.terminate()
    first.wait(timeout=20)
    eventually("no answer", lambda: prometheus.query(trigger["query"]) == [])
    assert wanted(asked(), target, 7, *limits) == 7
    assert prometheus.query("sum(fanlight_edge_viewers)"), "the other release is still scraped"


def day(seed=7):
    """Viewers every SYNC_SECONDS of a day: two peaks, noise from minute to minute, 500 who come at
    once, and a minute in which nobody gets through, after which all are back."""
    chance = random.Random(seed)
    noise = 1.0
    for second in range(0, 24 * 3600, SYNC_SECONDS):
        hour = second / 3600
        base = 300 + 9000 * math.exp(-((hour - 20.5) ** 2) / 3) + 5000 * math.exp(-((hour - 8) ** 2) / 2)
        if second % 60 == 0:
            noise = chance.gauss(1, 0.04)
        burst = 500 if 12 * 3600 <= second < 12.5 * 3600 else 0
        gone = 21 * 3600 <= second < 21 * 3600 + 60
        yield second, 0 if gone else max(0, round(base * noise) + burst)


def played(behavior, target=2000, smallest=2, largest=10):
    """The day's scaling events, and the longest time that viewers were over what the pods carry."""
    scaler = Autoscaler(behavior, target, smallest, largest)
    over = longest = 0
    for second, viewers in day():
        replicas = scaler.sync(second, viewers)
        over = over + SYNC_SECONDS if viewers > replicas * target * 1.1 else 0
        longest = max(longest, over)
    return scaler.events, longest


@pytest.mark.parametrize("kind", ["hpa", "keda"])
def test_a_day_of_viewers_goes_by_without_flapping(kind):
    if kind == "hpa":
        behavior = hpa(targetViewers=2000)["spec"]["behavior"]
    else:
        behavior = keda()["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    window = behavior["scaleDown"]["stabilizationWindowSeconds"]
    events, longest = played(behavior)
    assert flaps(events, window) == 0, events
    assert longest <= 60, f"too few replicas for {longest} s"
    assert max(n for _, n in events) > 0 > min(n for _, n in events), "the day moves it both ways"
    # One up and one down for each peak, and steps on the way.
    turns = sum(a * b < 0 for (_, a), (_, b) in zip(events, events[1:], strict=False))
    assert turns <= 12, (turns, events)
    outage = [n for at, n in events if 21 * 3600 <= at < 21 * 3600 + window]
    assert all(n >= 0 for n in outage), "a minute without viewers takes no replica away"

    hasty = {**behavior, "scaleDown": {"stabilizationWindowSeconds": 0,
                                       "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}}
    assert flaps(played(hasty)[0], window) >= 3, "without the window the same day flaps"


def test_the_model_does_what_kubernetes_documents():
    """Examples of the HPA's documentation."""
    assert wanted(200, 100, 1, 1, 10) == 2
    assert wanted(50, 100, 2, 1, 10) == 1
    assert wanted(105, 100, 1, 1, 10) == 1, "within the tolerance"
    slow = {"scaleDown": {"stabilizationWindowSeconds": 0, "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 60}, {"type": "Percent", "value": 10, "periodSeconds": 60}]},
        "scaleUp": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Percent", "value": 900, "periodSeconds": 60}]}}
    scaler = Autoscaler(slow, 1, 1, 1000)
    assert scaler.sync(0, 80) == 10, "from 1 by 900 %"
    scaler.replicas, scaler.events = 80, []
    # 10 % of 80 is 8; 10 % of 72 is 7.2, "rounded up to 8".
    assert [scaler.sync(60 * minute, 10) for minute in (2, 3)] == [72, 64]
