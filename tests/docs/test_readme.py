"""The two READMEs say the same, point at things that exist, and name the flags
that the programs really have."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGLISH = ROOT / "README.md"
CHINESE = ROOT / "README.zh-CN.md"
PROGRAMS = ["fanlight", "fanlight-ingest", "fanlight-edge"]
# clap's own, and what every command line program has
UNIVERSAL = {"--help", "--version"}

FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def prose(path):
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def headings(path):
    return [len(m) for m in re.findall(r"^(#+) ", prose(path), re.MULTILINE)]


def slugs(path):
    """The anchors GitHub makes of the headings."""
    found = set()
    for title in re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE):
        text = re.sub(r"[`*]", "", title).strip().lower()
        found.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return found


def rows(path):
    """flag -> (default, programs) from the configuration table."""
    table = {}
    for line in prose(path).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        match = re.match(r"^`(--[a-z0-9-]+)", cells[0])
        if match and len(cells) == 4:
            assert match.group(1) not in table, f"{match.group(1)} has two rows in {path.name}"
            table[match.group(1)] = (cells[1], cells[2])
    return table


def programs_of(cell):
    names = {"all": PROGRAMS, "ingest": ["fanlight", "fanlight-ingest"], "edge": ["fanlight", "fanlight-edge"]}
    chosen = set()
    for word in re.split(r"[,、]\s*", cell):
        chosen.update(names.get(word) or [word.strip("`")])
    return chosen


def help_flags(program):
    binary = ROOT / "target" / "debug" / program
    assert binary.exists(), f"{binary} is missing: cargo build --workspace --bins"
    text = subprocess.run([binary, "--help"], capture_output=True, text=True, timeout=20, check=True).stdout
    return set(re.findall(r"^\s+(?:-\w, )?(--[a-z][a-z0-9-]*)", text, re.MULTILINE)) - UNIVERSAL


def test_same_headings():
    assert headings(ENGLISH) == headings(CHINESE)


def test_same_commands():
    assert FENCE.findall(ENGLISH.read_text()) == FENCE.findall(CHINESE.read_text())


def test_same_table():
    assert rows(ENGLISH).keys() == rows(CHINESE).keys()
    for flag, row in rows(ENGLISH).items():
        assert rows(CHINESE)[flag] == row, flag


@pytest.mark.parametrize("program", PROGRAMS)
def test_table_has_the_programs_flags(program):
    documented = {flag for flag, (_, where) in rows(ENGLISH).items() if program in programs_of(where)}
    real = help_flags(program)
    assert documented == real, (
        f"not in {program} --help: {sorted(documented - real)}; not in README: {sorted(real - documented)}"
    )


def markdown_files():
    listed = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "README.md" in listed
    return listed


@pytest.mark.parametrize("name", markdown_files())
def test_links_resolve(name):
    path = ROOT / name
    for target in LINK.findall(prose(path)):
        if re.match(r"^[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        to = (path.parent / file).resolve() if file else path
        assert to.exists(), f"{name} links to {target}, which does not exist"
        if anchor and to.suffix == ".md":
            assert anchor in slugs(to), f"{name} links to {target}, which has no such heading"


def test_commands_name_real_flags():
    """Every --flag in a command of ours in the READMEs is one of that program's."""
    checked = 0
    for block in FENCE.findall(ENGLISH.read_text()):
        for line in block.splitlines():
            match = re.match(r"(?:make run ARGS=\"|(fanlight(?:-ingest|-edge)?) )(.*)", line)
            if not match or " watch " in line:
                continue
            real = help_flags(match.group(1) or "fanlight")
            for flag in re.findall(r"--[a-z][a-z0-9-]*", match.group(2)):
                assert flag in real, line
                checked += 1
    assert checked >= 5
