"""Alert rules: promtool's own checks and unit tests, and what an operator needs from each."""

import re
import shutil
import subprocess

import pytest
import yaml
from promql import ALERTS, DASHBOARDS, ROOT, alerts, parse

TEN = [
    "CameraDown", "CameraStalled", "IngestMissing", "IngestFlapping", "PublishFailing",
    "NatsDisconnected", "EdgeLatencyHigh", "ViewersStalling", "EdgeNearCapacity", "EdgeRejecting",
]
UNIT_TESTS = DASHBOARDS / "tests" / "alerts_test.yaml"
EACH = pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])


def promtool(*args):
    assert shutil.which("promtool"), "promtool is missing: apt install prometheus"
    return subprocess.run(["promtool", *map(str, args)], capture_output=True, text=True, timeout=60)


def test_the_ten_are_there():
    assert [rule["alert"] for rule in alerts()] == TEN


def test_promtool_finds_nothing():
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", ALERTS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_unit_tests_pass():
    done = promtool("test", "rules", UNIT_TESTS)
    assert done.returncode == 0, done.stdout + done.stderr


@EACH
def test_each_fires_and_stays_quiet_one_step_below(rule):
    cases = [
        check["exp_alerts"]
        for test in yaml.safe_load(UNIT_TESTS.read_text())["tests"]
        for check in test["alert_rule_test"]
        if check["alertname"] == rule["alert"]
    ]
    assert any(cases), "no test in which it fires"
    assert sum(not fired for fired in cases) >= 1, "no test in which it does not fire"


@pytest.mark.parametrize("name,lower", [("CameraDown", "for: 30s"), ("EdgeNearCapacity", "> 0.6")])
def test_the_unit_tests_notice_a_lower_threshold(tmp_path, name, lower):
    """Else they would prove nothing."""
    text = ALERTS.read_text()
    head, tail = text.split(f"alert: {name}", 1)
    tail = tail.replace("for: 2m" if "for" in lower else "> 0.85", lower, 1)
    (tmp_path / "alerts.yaml").write_text(f"{head}alert: {name}{tail}")
    (tmp_path / "tests").mkdir()
    shutil.copy(UNIT_TESTS, tmp_path / "tests")
    done = promtool("test", "rules", tmp_path / "tests" / UNIT_TESTS.name)
    assert done.returncode != 0 and name in done.stdout + done.stderr


@EACH
def test_each_tells_the_operator_enough(rule):
    parse(rule["expr"])
    assert rule["labels"]["severity"] in ("critical", "warning")
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url", "dashboard"}
    assert len(notes["summary"]) < 80 and notes["description"].endswith(".")
    anchor = rule["alert"].lower()
    assert notes["runbook_url"].endswith(f"/docs/runbook.md#{anchor}")
    if "namespace" in rule["expr"]:
        assert re.search(r"by \(namespace", rule["expr"]), "two installations would be mixed"


@EACH
def test_each_has_its_section_in_the_runbook(rule):
    text = (ROOT / "docs" / "runbook.md").read_text()
    sections = re.split(r"^## ", text, flags=re.M)[1:]
    (section,) = [s for s in sections if s.splitlines()[0] == rule["alert"]]
    for word in ("**Means.**", "**Remedy"):
        assert word in section, f"{rule['alert']} lacks {word}"


def test_the_runbook_has_no_section_without_an_alert():
    text = (ROOT / "docs" / "runbook.md").read_text()
    assert re.findall(r"^## (\w+)", text, re.M) == TEN
