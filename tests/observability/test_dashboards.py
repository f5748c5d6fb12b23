"""Lint rules of the dashboards, after grafana/dashboard-linter's and with some of our own."""

import importlib.util
import itertools
import re

import pytest
from promql import (
    DASHBOARDS,
    ROOT,
    alerts,
    annotation_expressions,
    boards,
    metrics_used,
    panel_expressions,
    panels,
    parse,
)

# Of Grafana's list of units (packages/grafana-data, valueFormats/categories).
UNITS = {"s", "bytes", "Bps", "short", "percentunit"}
KINDS = {"timeseries", "stat", "heatmap", "table", "state-timeline"}
BOARDS = boards()
EACH = pytest.mark.parametrize("name", sorted(BOARDS))
EXPRESSIONS = panel_expressions() + annotation_expressions()
EACH_EXPRESSION = pytest.mark.parametrize("one", EXPRESSIONS, ids=lambda e: e.where)


def test_there_are_the_three():
    assert set(BOARDS) == {"overview", "camera", "edge"}


def test_the_files_are_what_the_script_writes():
    spec = importlib.util.spec_from_file_location("build", DASHBOARDS / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    for file, board in build.BOARDS.items():
        assert (DASHBOARDS / file).read_text() == build.text(board), "run dashboards/build.py"


@EACH
def test_head(name):
    board = BOARDS[name]
    assert board["uid"] == f"fanlight-{name}"
    assert board["title"].startswith("Fanlight / ") and board["description"]
    assert board["schemaVersion"] >= 39
    assert board["editable"] is False
    assert board["graphTooltip"] == 1, "shared crosshair"
    assert board["refresh"] == "30s" and board["time"] == {"from": "now-1h", "to": "now"}
    assert "id" not in board, "an id belongs to one Grafana only"


@EACH
def test_variables(name):
    found = {v["name"]: v for v in BOARDS[name]["templating"]["list"]}
    assert list(found) == ["datasource", "namespace", "camera", "pod"]
    assert found["datasource"]["label"] == "Data source"
    for variable in (found["namespace"], found["camera"], found["pod"]):
        assert variable["label"] and variable["refresh"] == 2, "follows the time range"
        assert variable["datasource"]["uid"] == "${datasource}"
    for variable in (found["camera"], found["pod"]):
        assert "$namespace" in variable["query"]["query"], "chained"
    several = [v["name"] for v in found.values() if v.get("multi")]
    assert several == (["namespace", "pod"] if name == "camera" else ["namespace", "camera", "pod"])
    for variable in several:
        assert found[variable]["allValue"] == ".*", "fits series without the label too"


@EACH
def test_links_lead_to_the_others_and_keep_what_was_chosen(name):
    (link,) = BOARDS[name]["links"]
    assert link["type"] == "dashboards" and link["tags"] == ["fanlight"]
    assert link["includeVars"] and link["keepTime"]
    assert BOARDS[name]["tags"] == ["fanlight"]


@EACH
def test_annotations(name):
    names = [n["name"] for n in BOARDS[name]["annotations"]["list"]]
    assert names[1:] == ["Pod restarts", "ffmpeg restarts", "Deploys"]


@EACH
def test_panels_say_what_they_mean(name):
    titles = set()
    for panel in panels(BOARDS[name]):
        title = panel["title"]
        assert panel["type"] in KINDS, title
        assert title and len(panel["description"]) > 30, title
        assert panel["description"].endswith("."), title
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, title
        assert panel["datasource"]["uid"] == "${datasource}", title
        assert panel["targets"], title
        titles.add((title, panel["type"]))
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}", title
    assert len(titles) == len(list(panels(BOARDS[name]))), "two panels of one name"


@EACH
def test_ids_are_unique_and_panels_do_not_overlap(name):
    shown = BOARDS[name]["panels"]
    ids = [p["id"] for row in shown for p in [row, *row.get("panels", [])]]
    assert len(ids) == len(set(ids))
    boxes = [(p["title"], p["gridPos"]) for p in shown]
    for title, box in boxes:
        assert 0 <= box["x"] and box["x"] + box["w"] <= 24, title
    for (a, p), (b, q) in itertools.combinations(boxes, 2):
        apart = (
            p["x"] + p["w"] <= q["x"]
            or q["x"] + q["w"] <= p["x"]
            or p["y"] + p["h"] <= q["y"]
            or q["y"] + q["h"] <= p["y"]
        )
        assert apart, f"{a} overlaps {b}"


@EACH_EXPRESSION
def test_expressions_parse_and_are_scoped(one):
    parse(one.text)
    if "annotation" not in one.where:
        for selector in re.findall(r"(fanlight_\w+)(\{[^}]*\})?", one.text):
            assert 'namespace=~"$namespace"' in selector[1], f"{selector[0]} is not scoped"


@EACH_EXPRESSION
def test_rates_use_grafanas_interval(one):
    for range_ in re.findall(r"\[([^\]]+)\]", one.text):
        # A table over a fixed hour says so in its title.
        assert range_ in ("$__rate_interval", "$__interval") or (
            range_ == "1h" and "last hour" in one.where
        ), one.text


@EACH_EXPRESSION
def test_counters_are_never_shown_bare(one):
    for metric in re.findall(r"fanlight_\w+_total", one.text):
        assert re.search(rf"(rate|increase)\({metric}\b", one.text), f"{metric} needs a rate"


@EACH
def test_legends_name_what_tells_series_apart(name):
    for panel in panels(BOARDS[name]):
        if panel["type"] != "timeseries":
            continue
        for target in panel["targets"]:
            by = re.match(r"(?:histogram_quantile\([\d.]+, )?\w+ by \(([^)]*)\)", target["expr"])
            wanted = {x.strip() for x in by[1].split(",")} - {"le"} if by else set()
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            fixed = target["legendFormat"] and len(panel["targets"]) > 1
            assert wanted <= shown or fixed, panel["title"]


@EACH
def test_thresholds_begin_without_a_value_and_rise(name):
    for panel in panels(BOARDS[name]):
        steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
        values = [s["value"] for s in steps]
        if values:
            assert values[0] is None and values[1:] == sorted(values[1:]), panel["title"]


def test_links_of_panels_lead_to_a_dashboard_that_exists():
    text = "".join((DASHBOARDS / f"{n}.json").read_text() for n in BOARDS)
    targets = set(re.findall(r"/d/([a-z-]+)", text))
    targets |= {re.match(r"/d/([a-z-]+)", a["annotations"]["dashboard"])[1] for a in alerts()}
    assert targets <= {b["uid"] for b in BOARDS.values()}


def test_the_overview_lists_every_alert():
    (expr,) = [e.text for e in EXPRESSIONS if "ALERTS{" in e.text]
    listed = re.search(r'alertname=~"([^"]+)"', expr)[1].split("|")
    assert sorted(listed) == sorted(a["alert"] for a in alerts())


def test_every_metric_of_the_design_has_a_panel():
    documented = set(re.findall(r"^\| `(fanlight_\w+)`", (ROOT / "docs/metrics.md").read_text(), re.M))
    assert documented
    used = set().union(*(metrics_used(e.text) for e in EXPRESSIONS))
    used = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}
    assert documented <= used, f"documented and shown nowhere: {sorted(documented - used)}"
