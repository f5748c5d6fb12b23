"""The dashboards against Grafana's own types, since no Grafana can be installed for tests."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from promql import boards, panels

HERE = Path(__file__).parent / "schema"


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    """Compiles literals against types.ts; returns tsc's findings."""
    folder = tmp_path_factory.mktemp("schema")
    for file in ("package.json", "package-lock.json", "types.ts"):
        shutil.copy(HERE / file, folder)
    assert shutil.which("npm"), "npm is missing: apt install npm"
    subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=folder, check=True, timeout=150, stdin=subprocess.DEVNULL,
    )

    def run(board):
        lines = ['import type { Board, CustomOf, OptionsOf } from "./types";']
        lines.append(f"export const board: Board = {json.dumps(board, indent=1)};")
        for panel in panels(board):
            kind, number = panel["type"], panel["id"]
            options = json.dumps(panel["options"])
            lines.append(f'export const o{number}: OptionsOf["{kind}"] = {options};')
            if custom := panel["fieldConfig"]["defaults"].get("custom"):
                lines.append(f'export const c{number}: CustomOf["{kind}"] = {json.dumps(custom)};')
        (folder / "board.ts").write_text("\n".join(lines) + "\n")
        done = subprocess.run(
            ["node_modules/.bin/tsc", "--noEmit", "--strict", "--skipLibCheck", "--module", "esnext",
             "--moduleResolution", "bundler", "--target", "es2022", "board.ts"],
            cwd=folder, capture_output=True, text=True, timeout=120,
        )
        return done.stdout

    return run


@pytest.mark.parametrize("name", ["overview", "camera", "edge"])
def test_grafanas_types_accept_it(check, name):
    assert check(boards()[name]) == ""


@pytest.mark.parametrize(
    "spoil",
    [
        lambda board: board.update(graphTooltip="1"),
        lambda board: board.update(refreshEvery="30s"),
        lambda board: board["panels"][1]["options"].update(colorMode="loud"),
        lambda board: board["panels"][1]["gridPos"].update(width=3),
    ],
    ids=["wrong type", "unknown key", "wrong enum value", "unknown key inside"],
)
def test_the_check_finds_mistakes(check, spoil):
    board = boards()["overview"]
    spoil(board)
    assert "error TS" in check(board)
