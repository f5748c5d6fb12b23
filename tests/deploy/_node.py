"""A machine of one's own in a network namespace: containers with addresses, names and services.

Only inside the namespaces that _sandbox.py makes.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).parents[2]
BINARIES = pathlib.Path(os.environ.get("FANLIGHT_BIN_DIR", ROOT / "target/debug"))
SERVICES = "10.96.0.{}"
CONTAINER = str(pathlib.Path(__file__).with_name("_container.py"))
USER = 10001
# What each image brings, where a built image is not given: path in it to path here.
PROGRAMS = {
    "fanlight-edge": {"/usr/local/bin/fanlight-edge": BINARIES / "fanlight-edge"},
    "fanlight-ingest": {"/usr/local/bin/fanlight-ingest": BINARIES / "fanlight-ingest"},
    "nats": {"/usr/local/bin/nats-server": pathlib.Path(sys.executable).parent / "nats-server"},
}


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def eventually(what, check, seconds=40.0):
    """The first true answer of check, which may also fail until then."""
    end = time.monotonic() + seconds
    while True:
        problem = None
        try:
            if answer := check():
                return answer
        except (OSError, KeyError, ValueError) as error:
            problem = error
        assert time.monotonic() < end, f"{what}: not within {seconds} s ({problem})"
        time.sleep(0.1)


def get(url, timeout=1.0, headers=None):
    """Status and body, whatever the status."""
    request = urllib.request.Request(url, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()


class Container:
    """One started program; `pid` is its number in the machine's namespace, 1 in its own."""

    def __init__(self, node, name, address, namespace):
        self.node, self.name, self.address, self.namespace = node, name, address, namespace
        self.log = node.folder / f"{name}.log"
        self.process = None

    def start(self, argv, env, files=None, scratch=(), image=None, uid=USER, groups=(USER,), read_only=True,
              drop_capabilities=True, no_new_privileges=True):
        root = self.node.folder / f"{self.name}.root"
        root.mkdir()
        spec = {
            "root": str(root), "image": image, "argv": argv, "scratch": list(scratch), "uid": uid, "gid": uid,
            "groups": list(groups), "read_only": read_only, "drop_capabilities": drop_capabilities,
            "no_new_privileges": no_new_privileges,
            "env": {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    "HOSTNAME": self.name, **env},
            "files": {"/etc/hosts": str(self.node.hosts), **{k: str(v) for k, v in (files or {}).items()}},
        }
        path = self.node.folder / f"{self.name}.json"
        path.write_text(json.dumps(spec))
        path.chmod(0o600)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, "unshare", "--mount", "--pid", "--fork",
                 "--kill-child", sys.executable, CONTAINER, str(path)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.node.containers.append(self)
        return self

    @property
    def pid(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        while self.process.poll() is None:
            if found := children.read_text().split():
                return int(found[0])
            time.sleep(0.01)
        raise AssertionError(f"{self.name} has ended with {self.process.returncode}:\n{self.text()[-2000:]}")

    def status(self):
        """Process 1's line of each name in /proc."""
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return dict(line.split(":\t", 1) for line in text.splitlines())

    def text(self):
        return self.log.read_text(errors="replace")

    def exec(self, command, uid=USER, seconds=30):
        """As `kubectl exec`: in the container's namespaces, root and user."""
        pid = self.pid
        env = dict(e.split("=", 1) for e in
                   pathlib.Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in e)
        return subprocess.run(
            ["nsenter", "-t", str(pid), "-m", "-p", "-n", "-r", "-w", f"-S{uid}", f"-G{uid}", "--", *command],
            env=env, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)

    def stop(self, grace):
        """SIGTERM to process 1, SIGKILL after the grace period; exit status and seconds."""
        started = time.monotonic()
        with contextlib.suppress(ProcessLookupError, AssertionError):
            os.kill(self.pid, signal.SIGTERM)
        try:
            status = self.process.wait(timeout=grace)
        except subprocess.TimeoutExpired:
            os.kill(self.pid, signal.SIGKILL)
            status = self.process.wait(timeout=10)
        return status, time.monotonic() - started


class Node:
    """A bridge, names in /etc/hosts, and service addresses as kube-proxy makes them with iptables."""

    def __init__(self, network="10.77.0"):
        self.network, self.gateway = network, f"{network}.1"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fanlight-node-"))
        self.hosts = self.folder / "hosts"
        self.names, self.services, self.containers, self.count = {"localhost": "127.0.0.1"}, {}, [], 1
        pathlib.Path("/run/netns").mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "pods", "type", "bridge")
        run("ip", "address", "add", f"{self.gateway}/24", "dev", "pods")
        run("ip", "link", "set", "pods", "up")
        run("ip", "route", "add", SERVICES.format("0/24"), "dev", "pods")
        pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        for chain in ("PREROUTING", "OUTPUT"):
            run("iptables", "-t", "nat", "-A", chain, "-d", SERVICES.format("0/24"), "-j", "RETURN")
        run("iptables", "-t", "nat", "-A", "POSTROUTING", "-m", "conntrack", "--ctstate", "DNAT",
            "-j", "MASQUERADE")
        self.write_hosts()

    def write_hosts(self):
        # In place: containers see this very file.
        self.hosts.write_text("".join(f"{address} {name}\n" for name, address in self.names.items()))

    def name(self, name, address):
        self.names[name] = address
        self.write_hosts()

    def container(self, name):
        """A new network namespace with an address on the bridge."""
        self.count += 1
        short = f"p{self.count}"
        address = f"{self.network}.{self.count}"
        run("ip", "netns", "add", short)
        run("ip", "link", "add", short, "type", "veth", "peer", "name", "eth0", "netns", short)
        run("ip", "link", "set", short, "master", "pods", "up")
        for command in (["link", "set", "lo", "up"], ["address", "add", f"{address}/24", "dev", "eth0"],
                        ["link", "set", "eth0", "up"], ["route", "add", "default", "via", self.gateway]):
            run("ip", "-n", short, *command)
        return Container(self, name, address, short)

    def service(self, name, port):
        """Address and port of a service; it has no endpoints yet."""
        address = SERVICES.format(len(self.services) + 1)
        self.services[name] = (address, port)
        self.name(name, address)
        return address, port

    def endpoints(self, name, targets):
        """Sends new connections to these (address, port); those that are open stay where they are."""
        address, port = self.services[name]
        lines = ["*nat", f":{address} - [0:0]"]
        for i, (to, to_port) in enumerate(targets):
            lines.append(f"-A {address} -p tcp -m statistic --mode random --probability "
                         f"{1 / (len(targets) - i):.5f} -j DNAT --to-destination {to}:{to_port}")
        new = subprocess.run(["iptables", "-t", "nat", "-S", address], capture_output=True).returncode != 0
        for chain in ("PREROUTING", "OUTPUT") if new else ():
            lines.append(f"-I {chain} -d {address} -p tcp --dport {port} -j {address}")
        subprocess.run(["iptables-restore", "--noflush"], input="\n".join([*lines, "COMMIT", ""]), text=True,
                       check=True)

    def close(self):
        for container in self.containers:
            if container.process.poll() is None:
                container.stop(0)
        shutil.rmtree(self.folder, ignore_errors=True)
