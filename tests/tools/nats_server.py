"""A real nats-server for tests, on a free port.

    with nats_server.running() as nats:   # nats.url, nats.port, nats.monitor_url
        ...

As a program it prints one line of JSON when it is ready and stays until SIGTERM.
Arguments go to nats-server as they are.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def binary():
    own = ROOT / ".venv" / "bin" / "nats-server"
    found = str(own) if own.exists() else shutil.which("nats-server")
    if not found:
        raise RuntimeError("nats-server is missing: run scripts/setup.sh test")
    return found


def _die_with_parent():
    ctypes.CDLL("libc.so.6").prctl(1, signal.SIGKILL)


@contextlib.contextmanager
def running(*arguments):
    """Starts nats-server with these arguments; ends it when the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        process = subprocess.Popen(
            [binary(), "-a", "127.0.0.1", "-p", "-1", "-m", "-1", "--ports_file_dir", folder, "-l", log, *arguments],
            stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,
        )
        try:
            yield _ready(process, Path(folder), log)
        finally:
            process.kill()
            process.wait()


def _ready(process, folder, log):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"nats-server ended: {log.read_text()}")
        for ports in folder.glob("*.ports"):
            try:
                listed = json.loads(ports.read_text())
            except ValueError:  # half written
                continue
            url, monitor = listed["nats"][0], listed["monitoring"][0]
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{monitor}/healthz", timeout=1).close()
                port = int(url.rsplit(":", 1)[1])
                socket.create_connection(("127.0.0.1", port), 1).close()
                return types.SimpleNamespace(url=url, port=port, monitor_url=monitor, pid=process.pid)
        time.sleep(0.02)
    raise RuntimeError("nats-server was not ready within 10 s")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with running(*sys.argv[1:]) as nats:
        print(json.dumps(vars(nats)), flush=True)
        parent = os.getppid()
        while os.getppid() == parent:
            time.sleep(0.5)
