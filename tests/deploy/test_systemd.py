"""The systemd unit: as systemd reads it, and its program as it starts it."""

import ctypes
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).parents[2]
UNIT = ROOT / "deploy/systemd/fanlight.service"
PROGRAM = ROOT / "target/debug/fanlight"
PR_SET_MDWE = 65


def analyze(*arguments):
    assert shutil.which("systemd-analyze"), "systemd-analyze is missing: run scripts/setup.sh test"
    done = subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_finds_no_fault(tmp_path):
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/fanlight", str(PROGRAM)))
    # Of other units on this machine it may complain too.
    assert [line for line in analyze("verify", unit).splitlines() if UNIT.name in line] == []


def test_exposure():
    """systemd's own measure, 0 to 10; what is left is the network and the host's programs."""
    text = analyze("security", "--offline=yes", "--threshold=15", UNIT)
    assert float(re.search(r"exposure level for fanlight.service: ([\d.]+)", text)[1]) <= 1.5


def setting(name):
    return re.search(rf"^{name}=(.*)$", UNIT.read_text(), re.M)[1]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def deny_write_execute():
    """MemoryDenyWriteExecute, by the kernel's own switch where it has one (6.3)."""
    assert setting("MemoryDenyWriteExecute") == "yes"
    ctypes.CDLL(None).prctl(PR_SET_MDWE, 1, 0, 0, 0)


@pytest.fixture
def started(tmp_path):
    """Starts the unit's command with these cameras; returns the process and its admin port."""
    children = []

    def start(config):
        (tmp_path / "fanlight.yaml").write_text(config)
        command = setting("ExecStart").replace("${CREDENTIALS_DIRECTORY}", str(tmp_path))
        _program, *arguments = command.split()
        admin = free_port()
        env = {"PATH": os.environ["PATH"], "FANLIGHT_LISTEN": f"127.0.0.1:{free_port()}",
               "FANLIGHT_ADMIN_LISTEN": f"127.0.0.1:{admin}"}
        child = subprocess.Popen([str(PROGRAM), *arguments], env=env, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                 preexec_fn=deny_write_execute)
        children.append(child)
        return child, admin
    yield start
    for child in children:
        child.kill()
        child.wait()


def metric(port, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
        return sum(map(float, re.findall(rf"^{name}\S* (\S+)$", answer.read().decode(), re.M)))


def test_its_command_shows_the_cameras_of_the_file(started):
    child, admin = started("cameras: {gate: {url: test}, yard: {url: test, codec: mpeg1}}\n")
    deadline = time.monotonic() + 40
    while True:
        try:
            if metric(admin, "fanlight_ingest_camera_up") == 2:
                break
        except OSError:
            pass
        assert child.poll() is None and time.monotonic() < deadline, "both cameras up: not within 40 s"
        time.sleep(0.2)
    child.send_signal(signal.SIGTERM)
    _, text = child.communicate(timeout=int(setting("TimeoutStopSec")))
    assert child.returncode == 0, text[-2000:]


def test_bad_configuration_is_not_tried_again(started):
    child, _ = started("cameras: {Bad_Name: {url: ftp://x}}\n")
    _, text = child.communicate(timeout=20)
    assert child.returncode == int(setting("RestartPreventExitStatus")), text
    assert setting("Restart") == "on-failure"
