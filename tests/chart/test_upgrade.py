"""Fields that Kubernetes refuses to change: a release could not be upgraded."""

import json
import shutil

import pytest
import yaml
from helmchart import CHART, GATE, load, of_kind, pod_specs, render, rendered

# What releases in use have. A difference here needs a way for them to come along, in docs/deploy.md.
IMMUTABLE = {
    "rel-fanlight-edge": {
        "app.kubernetes.io/name": "fanlight", "app.kubernetes.io/instance": "rel",
        "app.kubernetes.io/component": "edge"},
    "rel-fanlight-ingest-gate": {
        "app.kubernetes.io/name": "fanlight", "app.kubernetes.io/instance": "rel",
        "app.kubernetes.io/component": "ingest", "fanlight.camera": "gate"},
    "rel-fanlight-nats": {
        "app.kubernetes.io/name": "fanlight", "app.kubernetes.io/instance": "rel",
        "app.kubernetes.io/component": "nats"},
}


def immutable(objects):
    """Name to what cannot change: a selector, and nearly all of a StatefulSet."""
    fixed = {}
    for o in objects:
        if o["kind"] in ("Deployment", "StatefulSet"):
            stays = {"selector": o["spec"]["selector"]}
            if o["kind"] == "StatefulSet":
                free = ("replicas", "template", "updateStrategy", "minReadySeconds", "ordinals",
                        "persistentVolumeClaimRetentionPolicy")
                stays = {k: v for k, v in o["spec"].items() if k not in free}
        elif o["kind"] == "Service":
            stays = {"headless": o["spec"].get("clusterIP") == "None"}
        else:
            continue
        fixed[o["kind"], o["metadata"]["name"]] = stays
    return fixed


@pytest.fixture(scope="module")
def newer(tmp_path_factory):
    """The chart as a later version of itself."""
    folder = tmp_path_factory.mktemp("newer") / "fanlight"
    shutil.copytree(CHART, folder)
    about = yaml.safe_load((folder / "Chart.yaml").read_text())
    about |= {"version": "9.8.7", "appVersion": "9.8.7"}
    (folder / "Chart.yaml").write_text(yaml.safe_dump(about))
    return load(folder)


def test_selectors_are_those_of_releases_in_use():
    found = {name: fixed["selector"]["matchLabels"] for (kind, name), fixed in
             immutable(render(load(), {"cameras": GATE})).items() if kind != "Service"}
    assert found == IMMUTABLE


def test_a_later_version_changes_nothing_immutable(newer):
    before, after = (immutable(render(c, {"cameras": GATE})) for c in (load(), newer))
    assert before == after
    assert "9.8.7" in json.dumps(render(newer, {"cameras": GATE}))
    assert "9.8.7" not in json.dumps(list(after.values()))


def test_no_value_changes_anything_immutable():
    """Over all combinations of one name, so that any may follow any."""
    seen = {}
    for values, objects in rendered():
        if "fullnameOverride" in values:
            continue
        for key, fixed in immutable(objects).items():
            assert seen.setdefault(key, fixed) == fixed, f"{key} differs for {values}"
    assert len(seen) > 50


def test_selectors_find_their_own_pods_only():
    for _, objects in rendered()[::7]:
        pods = [(o["metadata"]["name"], o["spec"]["template"]["metadata"]["labels"])
                for o in objects if o["kind"] in ("Deployment", "StatefulSet")]
        for o in of_kind(objects, "Deployment") + of_kind(objects, "StatefulSet"):
            wanted = o["spec"]["selector"]["matchLabels"].items()
            found = [name for name, labels in pods if wanted <= labels.items()]
            assert found == [o["metadata"]["name"]]


def test_service_names_and_ports_lead_to_containers():
    for _, objects in rendered()[::7]:
        pods = [(o["spec"]["template"]["metadata"]["labels"], spec)
                for (_, spec), o in zip(pod_specs(objects), [
                    o for o in objects if o["kind"] in ("Deployment", "StatefulSet", "Pod")])
                if o["kind"] != "Pod"]
        for service in of_kind(objects, "Service"):
            wanted = service["spec"]["selector"].items()
            behind = [spec for labels, spec in pods if wanted <= labels.items()]
            ports = {p["name"] for spec in behind for p in spec["containers"][0]["ports"]}
            assert {p["targetPort"] for p in service["spec"]["ports"]} <= ports
