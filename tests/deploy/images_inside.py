"""The images' programs as a container runtime starts them; test_images.py starts this in own namespaces.

With FANLIGHT_IMAGES the built images are the root; else this machine's programs, as the Dockerfile says.
"""

import os
import pathlib
import re
import signal
import time

import pytest
from _dockerfile import BUILT, Image
from _node import BINARIES, PROGRAMS, Node, eventually, get

ARGUMENTS = {"fanlight-ingest": ["--camera", "gate", "--input", "test"],
             "fanlight-edge": ["--allow-anonymous"],
             "fanlight": ["--listen", "0.0.0.0:8103", "--admin-listen", "0.0.0.0:9103", "--allow-anonymous",
                          "--input", "test"]}
ADMIN = {"fanlight-ingest": 9104, "fanlight-edge": 9103, "fanlight": 9103}
WRAPPER = '#!/bin/sh\n# Leaves a process behind that ends after it.\nsleep 0.2 &\nexec ffmpeg "$@"\n'
NAMES = list(ADMIN)


@pytest.fixture(scope="module")
def node():
    node = Node()
    nats = node.container("nats")
    nats.start(["/usr/local/bin/nats-server"], {}, PROGRAMS["nats"])
    node.name("nats", nats.address)
    yield node
    node.close()


def start(node, name, end="", init=True, env=None, files=None):
    image = Image(name)
    files = {**({} if BUILT else {f"/usr/local/bin/{name}": BINARIES / name}), **(files or {})}
    argv = image.entrypoint if init else image.entrypoint[-1:]
    container = node.container(name + end)
    nats = {} if name == "fanlight" else {"FANLIGHT_NATS_URL": "nats://nats:4222"}
    user, _group = image.user.split(":")
    container.start([*argv, *ARGUMENTS[name]], {**image.env, **nats, **(env or {})}, files,
                    image=image.root, uid=int(user))
    return container


def ready(container, name):
    eventually(f"{name} ready", lambda: get(f"http://{container.address}:{ADMIN[name]}/readyz")[0] == 200)


@pytest.mark.parametrize("name", NAMES)
def test_runs_read_only_as_a_plain_user_and_stops_cleanly(node, name):
    started = time.monotonic()
    container = start(node, name)
    ready(container, name)
    took = time.monotonic() - started
    found = container.status()
    assert found["Uid"].split() == ["10001"] * 4 and found["NSpid"].split()[-1] == "1"
    assert int(found["CapBnd"], 16) == 0
    program = Image(name).entrypoint[-1]
    done = container.exec([program, "healthcheck"])
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = get(f"http://{container.address}:{ADMIN[name]}/metrics", 5)[1]
    revision = re.search(r'build_info\{.*revision="(.*?)"', metrics)[1]
    assert revision == (os.environ["FANLIGHT_REVISION"] if BUILT else revision) != ""
    status, seconds = container.stop(15)
    assert status == 0, container.text()[-2000:]
    print(f"\n{name}: ready {took:.1f} s after its start, stopped by SIGTERM in {seconds:.1f} s")


def zombies(container):
    parent, count = container.pid, 0
    for status in pathlib.Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        count += f"\nPPid:\t{parent}\n" in text and "\nState:\tZ" in text
    return count


@pytest.mark.parametrize("init", [True, False])
@pytest.mark.parametrize("name", ["fanlight-ingest", "fanlight"])
def test_what_ffmpeg_leaves_behind_is_reaped(node, name, init, tmp_path):
    """Also the proof that it takes the image's init: without it the dead stay."""
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(WRAPPER)
    wrapper.chmod(0o755)
    container = start(node, name, f"-{init}", init, {"FANLIGHT_FFMPEG": "/wrapper"}, {"/wrapper": wrapper})
    ready(container, name)
    # The program asks ffmpeg for its version and filters before the camera's own: several orphans.
    time.sleep(1.5)
    assert (zombies(container) == 0) == init
    status, _seconds = container.stop(15)
    assert status == 0, container.text()[-2000:]


@pytest.mark.parametrize("name", NAMES)
def test_a_crash_is_told_to_the_runtime(node, name):
    """What ends the program ends the container, with a status that is not 0."""
    container = start(node, name, "-crash")
    ready(container, name)
    program = container.pid if len(Image(name).entrypoint) == 1 else int(
        pathlib.Path(f"/proc/{container.pid}/task/{container.pid}/children").read_text().split()[0])
    os.kill(program, signal.SIGKILL)
    assert container.process.wait(timeout=10) != 0


def test_built_images_hold_what_they_should():
    if not BUILT:
        return
    edge = pathlib.Path(Image("fanlight-edge").root)
    size = sum(f.lstat().st_size for f in edge.rglob("*") if f.is_file() and not f.is_symlink())
    assert size <= 40_000_000, size
    assert not (edge / "usr/bin").exists() and not (edge / "bin").exists()
    for name in NAMES:
        labels = Image(name).labels
        assert labels["org.opencontainers.image.revision"] == os.environ["FANLIGHT_REVISION"]
        assert re.fullmatch(r"\d+\.\d+\.\d+", labels["org.opencontainers.image.version"])
    assert (pathlib.Path(Image("fanlight-ingest").root) / "var/lib/dpkg/status.d/ffmpeg").exists()
