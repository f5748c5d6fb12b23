"""Runs a file of tests in namespaces of its own: network, mounts and processes end with it."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
PASSED = ["PATH", "FANLIGHT_LONG", "FANLIGHT_BIN_DIR", "FANLIGHT_IMAGES", "FANLIGHT_REVISION"]


def as_root():
    return [] if os.geteuid() == 0 else ["sudo", "-n", f"--preserve-env={','.join(PASSED)}"]


def run_inside(name, seconds, *options):
    """Runs tests/deploy/NAME; its output is shown here. Everything it started is killed with it."""
    command = [*as_root(), "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child",
               "--mount-proc", sys.executable, "-m", "pytest", "-c", ROOT / "tests/pytest.ini",
               "-q", "-s", "--no-header", "--durations=5", pathlib.Path(__file__).parent / name, *options]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=seconds,
                          stdin=subprocess.DEVNULL)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-4000:]
    return done.stdout
