"""Dashboards and alerts as lists of expressions, and what is in an expression."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import promql_parser
import yaml

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = ROOT / "dashboards"
BOARDS = sorted(DASHBOARDS.glob("*.json"))
ALERTS = DASHBOARDS / "alerts.yaml"


@dataclass(frozen=True)
class Expression:
    """One expression and where it stands, such as 'overview: Cameras up'."""

    where: str
    text: str


def boards():
    return {path.stem: json.loads(path.read_text()) for path in BOARDS}


def panels(board):
    """Panels that show something, also those in collapsed rows."""
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def panel_expressions():
    return [
        Expression(f"{name}: {panel['title']} {target['refId']}", target["expr"])
        for name, board in boards().items()
        for panel in panels(board)
        for target in panel["targets"]
    ]


def annotation_expressions():
    return [
        Expression(f"{name}: annotation {note['name']}", note["expr"])
        for name, board in boards().items()
        for note in board["annotations"]["list"]
        if "expr" in note
    ]


def alerts():
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def alert_expressions():
    return [Expression(f"alert {rule['alert']}", rule["expr"]) for rule in alerts()]


def substitute(text, interval="1m", camera=".*"):
    """What Grafana does before it asks Prometheus."""
    for name, value in (
        ("$__rate_interval", interval),
        ("$__interval", interval),
        ("$namespace", ".*"),
        ("$camera", camera),
        ("$pod", ".*"),
    ):
        text = text.replace(name, value)
    assert "$" not in text, f"unknown variable in {text}"
    return text


def parse(text):
    return promql_parser.parse(substitute(text))


def children(node):
    kind = type(node).__name__
    if kind == "BinaryExpr":
        return [node.lhs, node.rhs]
    if kind == "Call":
        return list(node.args)
    if kind in ("AggregateExpr", "ParenExpr", "UnaryExpr", "SubqueryExpr"):
        return [node.expr]
    if kind == "MatrixSelector":
        return [node.vector_selector]
    return []


def walk(node):
    yield node
    for child in children(node):
        yield from walk(child)


def selectors(text):
    return [n for n in walk(parse(text)) if type(n).__name__ == "VectorSelector"]


def metrics_used(text):
    """Names of metrics, with a matcher on __name__ spelled out."""
    names = set()
    for selector in selectors(text):
        if selector.name:
            names.add(selector.name)
            continue
        by_name = [m for m in selector.matchers.matchers if m.name == "__name__"]
        assert by_name, f"a selector without a name in {text}"
        prefix, choices, suffix = re.fullmatch(r"(.*)\((.*)\)(.*)", by_name[0].value).groups()
        names |= {prefix + choice + suffix for choice in choices.split("|")}
    return names


def family(metric):
    """The family a series belongs to: a histogram has three kinds of series."""
    return re.sub(r"_(bucket|sum|count)$", "", metric)


def always_there(text):
    """Parts of an alert's expression that hold data in a healthy system: a comparison with a
    constant selects the unhealthy, so its left side stands for it."""
    found = []

    def visit(node):
        if type(node).__name__ == "ParenExpr":
            return visit(node.expr)
        if type(node).__name__ == "BinaryExpr":
            if str(node.op) in ("and", "or"):
                visit(node.lhs)
                return visit(node.rhs)
            if str(node.op) == "unless":
                return visit(node.lhs)
            if str(node.op) in ("==", "!=", ">", "<", ">=", "<="):
                return visit(node.lhs)
        found.append(node.prettify())

    visit(parse(text))
    return found
