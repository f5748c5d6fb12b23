"""The balancers of deploy/ in front of real edges on loopback, each at an address of its own."""

import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading

import yaml
from _node import ROOT, eventually, get

sys.path.append(str(ROOT / "tests/observability"))
from system import System, binary, free_port, samples  # noqa: E402

DEPLOY = ROOT / "deploy"
ENVOY = str(pathlib.Path(sys.executable).parent / "envoy")
HOME = "127.0.0.1"


class Names(threading.Thread):
    """A name server that knows `edge-N`, as Docker's own does."""

    def __init__(self):
        super().__init__(daemon=True)
        self.addresses = {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HOME, 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self):
        while True:
            query, sender = self.socket.recvfrom(4096)
            end = query.index(b"\0", 12)
            address = self.addresses.get(query[13:end].decode().lower())
            (kind,) = struct.unpack_from("!H", query, end + 1)
            found = [address] if address and kind == 1 else []
            flags = 0x8180 if address else 0x8183
            answer = query[:2] + struct.pack("!5H", flags, 1, len(found), 0, 0) + query[12:end + 5]
            for one in found:
                answer += struct.pack("!3HIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(one)
            self.socket.sendto(answer, sender)


class Site:
    """NATS, a camera that is live (gate) and one that is not (yard), three edges, the balancers."""

    def __init__(self, folder):
        self.folder, self.edges = folder, {}
        self.system = System(folder, cameras=("gate",), edges=0)
        try:
            self.names, self.port, self.admin = Names(), free_port(), free_port()
            for number in (1, 2, 3):
                self.edge(f"edge-{number}", f"127.77.0.{number}")
            self.edge("behind", "127.77.0.9", "--proxy-protocol")
            for name in self.edges:
                self.ready(name)
            self.haproxy = self.start_haproxy("haproxy", "8103", ("edge-1", "edge-2", "edge-3"))
            self.tcp = self.start_haproxy("tcp", "8443", ("behind",))
            self.nginx = self.start_nginx()
            self.envoy = self.start_envoy()
            for balancer in (self.haproxy, self.tcp, self.nginx, self.envoy):
                eventually("the balancer", lambda b=balancer: get(f"http://{HOME}:{b}/api/cameras")[0] == 200)
        except BaseException:
            self.stop()
            raise

    def edge(self, name, address, *flags):
        log = f"{name}-{address}"
        process = self.system.spawn(log, [
            binary("fanlight-edge"), "--listen", f"{address}:{self.port}",
            "--admin-listen", f"{address}:{self.admin}", "--nats-url", self.system.nats_url,
            "--cameras", "gate,yard", "--trusted-proxies", HOME, "--allow-host", "*",
            "--drain-delay", "2", "--drain-seconds", "2", "--log-format", "json", *flags])
        self.edges[name] = (address, process, self.folder / f"{log}.log")
        self.names.addresses[name] = address

    def ready(self, name):
        url = f"http://{self.edges[name][0]}:{self.admin}/readyz"
        eventually(f"{name} ready", lambda: get(url)[0] == 200)

    def drain(self, name):
        _, process, _ = self.edges[name]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0

    def log(self, name):
        return self.edges[name][2].read_text()

    def viewers(self, name):
        text = get(f"http://{self.edges[name][0]}:{self.admin}/metrics")[1]
        return sum(value for n, _, value in samples(text) if n == "fanlight_edge_viewers")

    def start_haproxy(self, file, listen, edges):
        """The shipped file: its ports, its name server, and as many edges as there are."""
        port, text = free_port(), (DEPLOY / f"haproxy/{file}.cfg").read_text()
        text = re.sub(r"^ +server edge-2 .*\n", "", text, flags=re.M)
        servers = "".join(f"    server {e} {self.where(e, file)}:{self.port}\n" for e in edges)
        text = put(text, f"    server edge-1 edge-1:{listen}\n", servers)
        text = put(text, f"bind :{listen}", f"bind {HOME}:{port}")
        text = put(text, "check port 9103", f"check port {self.admin}")
        if file == "haproxy":
            text = put(text, "127.0.0.11:53", f"{HOME}:{self.names.port}")
        config = self.folder / f"{file}.cfg"
        config.write_text(text)
        self.system.spawn(file, [tool("haproxy"), "-db", "-f", str(config)])
        return port

    def where(self, edge, file):
        """haproxy.cfg asks the name server; tcp.cfg has none."""
        return edge if file == "haproxy" else self.edges[edge][0]

    def start_nginx(self):
        port, text = free_port(), (DEPLOY / "nginx/nginx.conf").read_text()
        servers = "".join(f"server {self.edges[f'edge-{n}'][0]}:{self.port} max_fails=0;" for n in (1, 2, 3))
        text = put(text, "server edge-1:8103 max_fails=0;", servers)
        text = put(text, "server edge-2:8103 max_fails=0;", "")
        text = put(text, "listen 8103;", f"listen {HOME}:{port};")
        folder = self.folder / "nginx"
        folder.mkdir()
        text = f"daemon off;\npid {folder}/pid;\nerror_log stderr;\n" + put(
            text, "http {", "http { access_log off;" + "".join(
                f" {kind}_temp_path {folder}/{kind};"
                for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")))
        config = folder / "nginx.conf"
        config.write_text(text)
        self.system.spawn("nginx", [tool("nginx"), "-p", str(folder), "-c", str(config)])
        return port

    def start_envoy(self):
        """The shipped file: its ports, and the edges there are."""
        port, admin = free_port(), free_port()
        config = yaml.safe_load((DEPLOY / "envoy/envoy.yaml").read_text())
        config["admin"]["address"]["socket_address"]["port_value"] = admin
        (listener,), (cluster,) = (config["static_resources"][key] for key in ("listeners", "clusters"))
        listener["address"]["socket_address"] = {"address": HOME, "port_value": port}
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"] = [
            {"endpoint": {
                "address": {"socket_address": {"address": self.edges[f"edge-{n}"][0], "port_value": self.port}},
                "health_check_config": {"port_value": self.admin}}}
            for n in (1, 2, 3)]
        file = self.folder / "envoy.yaml"
        file.write_text(yaml.safe_dump(config))
        self.system.spawn("envoy", [ENVOY, "-c", str(file), "--concurrency", "1", "--use-dynamic-base-id",
                                    "--log-level", "warning"])
        eventually("Envoy finds three edges healthy", lambda: get(
            f"http://{HOME}:{admin}/clusters")[1].count("health_flags::healthy") == 3)
        return port

    def stop(self):
        self.system.stop()


def put(text, old, new):
    assert text.count(old) == 1, f"the shipped file has no single {old!r}"
    return text.replace(old, new)


def tool(name):
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    assert found, f"{name} is missing"
    return found


def check(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
