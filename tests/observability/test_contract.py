"""What the programs export against what dashboards, alerts and docs say, in a real Prometheus.

A misspelt metric answers with success and nothing, so an empty answer fails here."""

import math
import os
import re
import signal
import subprocess
import time

import pytest
from promql import (
    ROOT,
    alert_expressions,
    always_there,
    annotation_expressions,
    family,
    metrics_used,
    panel_expressions,
    substitute,
)
from system import CAMERAS, System, eventually, families, samples

WINDOW = "1m"

# Expressions that may answer nothing, and why.
MAY_BE_EMPTY = {
    "overview: Alerts firing A": "nothing fires in a healthy system",
}


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """A minute in the life of a small installation, with viewers, a restart of each kind and
    reports of players."""
    with System(tmp_path_factory.mktemp("system")) as running:
        for camera in CAMERAS:
            pod = f"{camera}-0"
            eventually(f"{camera} up", lambda p=pod: running.value(p, "fanlight_ingest_camera_up"))
        running.prom = running.prometheus()
        for camera in CAMERAS:
            running.watch(0, camera)
            running.watch(1, camera)
        player = running.view(0, "front", protocol="fanlight.v1")
        assert player.status == 101
        eventually("pictures", lambda: player.messages > 5)
        running.restart_ingest("gate")
        os.kill(running.ffmpeg_of("yard"), signal.SIGKILL)
        eventually("yard is back", lambda: running.value("yard-0", "fanlight_ingest_camera_up"))
        for _ in range(3):
            player.report(latency=150.0, stalls=1, decoded=10, dropped=0)
            time.sleep(1.2)
        # one more scrape of everything
        time.sleep(2.5)
        yield running


@pytest.fixture(scope="module")
def exported(system):
    """Families of all processes together."""
    found = {}
    for pod in system.targets:
        for name, (kind, labels) in families(system.metrics(pod)).items():
            known = found.setdefault(name, (kind, set()))
            assert known[0] == kind
            known[1].update(labels)
    return found


def documented():
    """Family to (type, labels) as docs/metrics.md has them."""
    text = (ROOT / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(fanlight_\w+)` \| (\w+) \| ([^|]+) \|", text, re.M)
    return {name: (kind, set(re.findall(r"\w+", labels))) for name, kind, labels in rows}


def numbers(result):
    return [float(one["value"][1]) for one in result]


@pytest.mark.parametrize("one", panel_expressions() + annotation_expressions(),
                         ids=lambda e: e.where)
def test_every_panel_and_annotation_has_data(system, one):
    found = numbers(system.prom.query(substitute(one.text, WINDOW)))
    if one.where in MAY_BE_EMPTY:
        return
    assert found, one.text
    assert not all(math.isnan(n) for n in found), one.text


@pytest.mark.parametrize("one", alert_expressions(), ids=lambda e: e.where)
def test_every_alert_reads_data_that_is_there(system, one):
    for part in always_there(one.text):
        assert system.prom.query(part), part
    for metric in metrics_used(one.text):
        assert system.prom.query(metric), metric


def test_nothing_fires_that_should_not(system):
    firing = {a["metric"]["alertname"] for a in system.prom.query('ALERTS{alertstate="firing"}')}
    assert firing == set()


def test_every_exported_family_is_documented_with_type_and_labels(exported):
    ours = {name: what for name, what in exported.items() if name.startswith("fanlight_")}
    assert ours == documented()


# Autoscaling, dashboards and alerts of others read these: renaming one breaks them silently.
CONTRACT = {
    "ingest": """camera_up camera_info received_bytes_total ts_packets_total frames_total
        published_chunks_total published_bytes_total publish_errors_total dropped_chunks_total
        ffmpeg_restarts_total last_chunk_timestamp_seconds backoff_seconds ts_errors_total
        ffmpeg_start_duration_seconds build_info nats_connected nats_reconnects_total""",
    "edge": """viewers received_chunks_total received_bytes_total sent_chunks_total sent_bytes_total
        sent_ts_packets_total skipped_chunks_total sequence_gaps_total viewer_limit
        connections_total disconnects_total delivery_latency_seconds join_seconds
        viewer_latency_seconds viewer_stalls_total subscriptions draining clock_offset_seconds
        build_info nats_connected nats_reconnects_total""",
}


@pytest.mark.parametrize("service", CONTRACT)
def test_the_names_that_others_rely_on_are_there(exported, service):
    promised = {f"fanlight_{service}_{name}" for name in CONTRACT[service].split()}
    assert promised <= set(exported), promised - set(exported)


def test_process_metrics_are_the_documented_ones(exported):
    text = (ROOT / "docs" / "metrics.md").read_text()
    theirs = {name for name in exported if not name.startswith("fanlight_")}
    assert theirs == set(re.findall(r"`(process_\w+)`", text))


def test_every_metric_used_exists(exported):
    used = set()
    for one in panel_expressions() + annotation_expressions() + alert_expressions():
        used |= {family(name) for name in metrics_used(one.text)}
    assert used - set(exported) == {"ALERTS"}


def test_promtool_has_nothing_to_say(system):
    for pod in system.targets:
        done = subprocess.run(["promtool", "check", "metrics"], input=system.metrics(pod),
                              capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, f"{pod}: {done.stdout}{done.stderr}"


def test_no_label_can_grow_with_viewers_or_tell_on_them(exported):
    allowed = {"camera", "rendition", "codec", "width", "height", "kind", "reason", "result",
               "version", "revision"}
    for name, (kind, labels) in exported.items():
        assert labels <= allowed, name
        if kind == "histogram":
            assert not labels, f"{name}: a histogram with labels costs too many series"


def test_every_cause_of_a_restart_has_its_remedy(system):
    found = [l["reason"] for n, l, _ in samples(system.metrics("front-0"))
             if n == "fanlight_ingest_ffmpeg_restarts_total"]
    assert len(found) > 5, "a closed set starts at 0"
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    section = runbook.split("## CameraDown")[1].split("\n## ")[0]
    assert [r for r in found if f"`{r}`" not in section] == []


def test_the_alert_on_refusals_reads_a_result_that_exists(system):
    results = {l["result"] for n, l, _ in samples(system.metrics("edge-0"))
               if n == "fanlight_edge_connections_total"}
    text = "".join(e.text for e in alert_expressions())
    named = "|".join(re.findall(r'result=~?"([\w|]+)"', text)).split("|")
    assert named and set(named) <= results
