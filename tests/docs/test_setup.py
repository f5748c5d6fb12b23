"""scripts/setup.sh on machines that lack something: it says what, and changes nothing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = (
    "bash env dirname mkdir cat find sort xargs sha256sum cut printf grep id tail test node npm cc cargo".split()
)


@pytest.fixture
def path(tmp_path):
    """A PATH with the usual tools, without ffmpeg, apt-get and sudo."""
    for name in TOOLS:
        found = shutil.which(name)
        if found:
            (tmp_path / name).symlink_to(found)
    return tmp_path


def setup(path, *arguments):
    return subprocess.run(
        [path / "bash", ROOT / "scripts/setup.sh", *arguments],
        env={"PATH": str(path), "HOME": os.environ.get("HOME", "/")},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
    )


def stub(path, name, text):
    (path / name).unlink(missing_ok=True)
    (path / name).write_text(f"#!{path / 'bash'}\n{text}\n")
    (path / name).chmod(0o755)


def test_without_apt(path):
    done = setup(path, "run")
    assert done.returncode == 1
    assert "missing: ffmpeg" in done.stderr and "no apt-get" in done.stderr


def test_neither_root_nor_sudo(path):
    stub(path, "apt-get", "echo called >&2; exit 1")
    stub(path, "id", "echo 1000")
    done = setup(path, "run")
    assert done.returncode == 1
    assert "Run as root: apt-get install ffmpeg" in done.stderr
    assert "called" not in done.stderr


def test_without_rust(path):
    (path / "cargo").unlink(missing_ok=True)
    done = setup(path, "run")
    assert done.returncode == 1
    assert "cargo is missing" in done.stderr


def test_unknown_word(path):
    done = setup(path, "dance")
    assert done.returncode == 1
    assert "usage" in done.stderr
