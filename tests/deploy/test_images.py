"""The Dockerfile as it is written, and its programs as a runtime starts them. scripts/images.sh builds
the images themselves and runs this file on them."""

import pathlib
import re
import subprocess

import pytest
from _dockerfile import ROOT, TARGETS, Image, stages
from _sandbox import as_root, run_inside

LABELS = ["title", "description", "source", "licenses", "version", "revision"]
PORTS = {"fanlight-edge": {"8103", "9103"}, "fanlight-ingest": {"9104"}, "fanlight": {"8103"}}


@pytest.mark.parametrize("name", TARGETS)
def test_target(name):
    image = Image(name)
    assert image.user == "10001:10001"
    assert image.entrypoint[-1] == f"/usr/local/bin/{name}"
    assert image.ports == PORTS[name]
    assert {f"org.opencontainers.image.{label}" for label in LABELS} <= set(image.labels)


def test_version_is_the_workspace_s():
    (version,) = re.findall(r"^ARG VERSION=(.*)$", (ROOT / "deploy/Dockerfile").read_text(), re.M)
    assert f'\nversion = "{version}"\n' in (ROOT / "Cargo.toml").read_text()


def test_bases_can_be_swapped():
    known = stages()
    for name, (base, _) in known.items():
        assert base in known or base == "scratch" or re.fullmatch(r"\$\{[A-Z]+_BASE\}", base), name


def test_programs_run_as_containers():
    run_inside("images_inside.py", 150)


def test_collected_files_are_enough(tmp_path):
    """A root of nothing but what collect.sh copies runs the programs."""
    root = tmp_path / "root"
    (root / "usr/lib").mkdir(parents=True)
    (root / "usr/lib64").mkdir()
    (root / "lib").symlink_to("usr/lib")
    (root / "lib64").symlink_to("usr/lib64")
    edge = ROOT / "target/debug/fanlight-edge"
    subprocess.run([ROOT / "deploy/collect.sh", root, "/usr/bin/tini", edge], check=True)
    for program in ["/usr/bin/tini", edge.resolve()]:
        command = [*as_root(), "chroot", root, program, "--version"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "Package: tini" in (root / "var/lib/dpkg/status.d/tini").read_text()
    assert (root / "usr/share/doc/tini/copyright").exists()
