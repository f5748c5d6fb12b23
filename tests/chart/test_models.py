"""Custom resources against the models of their operators (npm, tests/chart/npm)."""

import copy
import json
import shutil
import subprocess

import pytest
from helmchart import ROOT, load, named, of_kind, render, rendered

NPM = ROOT / "tests/chart/npm"
GROUPS = ("monitoring.coreos.com", "gateway.networking.k8s.io", "keda.sh")


def problems(objects):
    assert shutil.which("node"), "node is missing: apt install nodejs"
    assert (NPM / "node_modules").is_dir(), "run scripts/setup.sh test first"
    done = subprocess.run(["node", "models.mjs"], cwd=NPM, input=json.dumps(objects),
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def custom():
    """Each different custom resource of the matrix."""
    seen = {}
    for _, objects in rendered():
        for o in objects:
            if o["apiVersion"].split("/")[0] in GROUPS:
                seen[json.dumps(o, sort_keys=True)] = o
    return list(seen.values())


def test_every_custom_resource_passes(custom):
    assert {o["kind"] for o in custom} == {"ScaledObject", "HTTPRoute", "PodMonitor", "PrometheusRule"}
    assert problems(custom) == []


def spoilt(custom, kind, spoil):
    found = copy.deepcopy(of_kind(custom, kind)[0])
    spoil(found["spec"])
    return problems([found])


@pytest.mark.parametrize("kind, spoil", [
    ("ScaledObject", lambda s: s["triggers"][0]["metadata"].update(threshold=2000)),
    ("ScaledObject", lambda s: s.pop("scaleTargetRef")),
    ("HTTPRoute", lambda s: s["rules"][0]["timeouts"].update(request="0 seconds")),
    ("PodMonitor", lambda s: s["podMetricsEndpoints"][0].update(interval="soon")),
    ("PrometheusRule", lambda s: s["groups"][0]["rules"][0].update({"for": "ten minutes"})),
])
def test_the_models_find_mistakes(custom, kind, spoil):
    assert spoilt(custom, kind, spoil)


def test_keda_and_hpa_scale_alike():
    chart = load()
    hpa = render(chart, {"edge": {"autoscaling": {"enabled": True}}})
    keda = render(chart, {"edge": {"keda": {"enabled": True}}})
    advanced = named(keda, "ScaledObject", "-edge")["spec"]["advanced"]
    behavior = named(hpa, "HorizontalPodAutoscaler", "-edge")["spec"]["behavior"]
    assert advanced["horizontalPodAutoscalerConfig"]["behavior"] == behavior
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] >= 300
    for objects in (hpa, keda):
        # A chart that says how many would undo what the autoscaler did at each upgrade.
        assert "replicas" not in named(objects, "Deployment", "-edge")["spec"]
        assert of_kind(objects, "PodDisruptionBudget")
    assert not of_kind(keda, "HorizontalPodAutoscaler")
