"""The licences of every crate we link are on deny.toml's list, and nothing comes
from outside the registry: what cargo-deny checks, without having to have it."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DENY = tomllib.loads((ROOT / "deny.toml").read_text())
ALLOWED = set(DENY["licenses"]["allow"])


@pytest.fixture(scope="module")
def packages():
    out = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked"],
        cwd=ROOT, capture_output=True, check=True,
    ).stdout
    return json.loads(out)["packages"]


def allowed(expression):
    """Evaluates an SPDX expression: OR needs one side, AND both."""
    text = expression.replace(" / ", " OR ").replace("/", " OR ")
    tokens = re.findall(r"\(|\)|[^\s()]+", text)
    words = []
    for token in tokens:
        if words and words[-1].endswith(" WITH"):
            words[-1] += f" {token}"
        elif token == "WITH":
            words[-1] += " WITH"
        else:
            words.append(token)
    python = " ".join(
        {"AND": "and", "OR": "or", "(": "(", ")": ")"}.get(word, str(word in ALLOWED)) for word in words
    )
    return eval(python)  # only True, False, and, or, parentheses


def test_expressions():
    assert allowed("MIT OR LGPL-2.1-or-later")
    assert allowed("Apache-2.0 WITH LLVM-exception OR GPL-3.0")
    assert allowed("(MIT OR GPL-2.0) AND Unicode-3.0")
    assert not allowed("MIT AND GPL-3.0")
    assert not allowed("GPL-3.0")


def test_licences(packages):
    wrong = [f"{p['name']} {p['version']}: {p['license']}" for p in packages if not allowed(p["license"] or "none")]
    assert not wrong, wrong


def test_sources(packages):
    foreign = [p["name"] for p in packages if p["source"] and not p["source"].startswith("registry+")]
    assert not foreign, foreign


def test_banned(packages):
    banned = {entry["crate"] for entry in DENY["bans"]["deny"]}
    assert not banned & {p["name"] for p in packages}
