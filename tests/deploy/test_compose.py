"""The compose file: what holds for it as text, and its services run for real.

Left out: Grafana, which cannot be installed here. The RTSP server's image is stood in for by the
tests' own RTSP camera.
"""

import json

import yaml
from _compose import DEPLOY, LEFT_OUT, STAND_IN, image, load
from _sandbox import run_inside


def test_services_run_as_processes():
    run_inside("compose_inside.py", 170)


def test_ports_are_published_on_loopback_only():
    for name, service in load()["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name


def test_every_service_is_hardened():
    for name, service in load()["services"].items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["user"].split(":")[0] != "0" if "build" not in service else True, name


def test_no_secret_is_in_the_file():
    text = (DEPLOY / "compose.yaml").read_text()
    assert "PASSWORD:" not in text and "@" not in text
    for name, secret in load()["secrets"].items():
        assert (DEPLOY / secret["file"]).exists(), f"{name}: compose would not start without it"


def test_only_foreign_images_are_not_run():
    foreign = {image(s) for s in load()["services"].values() if "build" not in s}
    assert set(STAND_IN) | LEFT_OUT <= foreign


def test_grafana_finds_what_compose_mounts():
    """Its provisioning names folders and addresses of the compose file."""
    services = load()["services"]
    mounted = [v.split(":")[1] for v in services["grafana"]["volumes"]]
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/fanlight.yaml").read_text())
    assert {p["options"]["path"] for p in provider["providers"]} <= set(mounted)
    (source,) = yaml.safe_load(
        (DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert source["url"].split("/")[2].split(":")[0] in services
    dashboards = list((DEPLOY / "../dashboards").glob("*.json"))
    assert dashboards and all(json.loads(d.read_text())["uid"] for d in dashboards)
