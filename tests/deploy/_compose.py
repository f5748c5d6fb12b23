"""Starts what a compose file says: each service in a namespace of its own, by its name."""

import os
import re
import time

import yaml
from _dockerfile import Image
from _node import BINARIES, PROGRAMS, ROOT, eventually

DEPLOY = ROOT / "deploy"
# Programs of images that are not ours: what the image's own entry point runs.
FOREIGN = {
    "nats": ["/usr/local/bin/nats-server"],
    "haproxy": ["/usr/sbin/haproxy", "-W", "-db"],
    "prom/prometheus": ["/usr/bin/prometheus"],
}
DEFAULT_COMMAND = {"haproxy": ["-f", "/usr/local/etc/haproxy/haproxy.cfg"]}
# Its image cannot be had here; the tests' own RTSP server speaks in its place.
STAND_IN = {"bluenviron/mediamtx": ["/usr/bin/python3", "/camera.py", "--address", "0.0.0.0",
                                    "--port", "8554", "--path", "/yard", "--auth", "none"]}
LEFT_OUT = {"grafana/grafana"}


def interpolate(text):
    """${NAME:-default} and $$, as compose does."""
    return re.sub(r"\$(?:(\$)|\{(\w+)(?::-([^}]*))?\})",
                  lambda m: "$" if m[1] else os.environ.get(m[2]) or m[3] or "", text)


def load():
    return yaml.safe_load(interpolate((DEPLOY / "compose.yaml").read_text()))


def seconds(text):
    return float(re.fullmatch(r"(\d+)s", text)[1])


class Compose:
    def __init__(self, node, profiles=()):
        self.node, self.file, self.containers, self.files = node, load(), {}, {}
        self.services = {name: s for name, s in self.file["services"].items()
                         if not s.get("profiles") or set(s["profiles"]) & set(profiles)}
        self.services = {n: s for n, s in self.services.items() if image(s) not in LEFT_OUT}
        # Names resolve before their service has started, as long as nobody answers there.
        for name in self.services:
            self.containers[name] = node.container(name)
            node.name(name, self.containers[name].address)

    def up(self):
        """In the order of depends_on; returns the seconds each took until it was healthy."""
        took, waiting = {}, dict(self.services)
        while waiting:
            name = next(n for n, s in waiting.items() if not set(needs(s)) & set(waiting))
            service = waiting.pop(name)
            for other, condition in needs(service).items():
                if condition == "service_healthy":
                    started = time.monotonic()
                    eventually(f"{other} healthy", lambda o=other: self.healthy(o), 60)
                    took.setdefault(other, time.monotonic() - started)
            self.start(name, service)
        for name, service in self.services.items():
            if "healthcheck" in service:
                eventually(f"{name} healthy", lambda n=name: self.healthy(n), 60)
        return took

    def healthy(self, name):
        word, *command = self.services[name]["healthcheck"]["test"]
        assert word == "CMD"
        return self.containers[name].exec(command).returncode == 0

    def start(self, name, service):
        kind = image(service)
        files, scratch = dict(PROGRAMS.get(kind, {})), []
        env = {k: str(v) for k, v in service.get("environment", {}).items()}
        if (BINARIES / kind).exists():
            own = Image(kind)
            entry, user, env = own.entrypoint, own.user, {**own.env, **env}
        elif kind in STAND_IN:
            entry, user = STAND_IN[kind], service["user"]
            files["/camera.py"] = ROOT / "tests/tools/rtsp_camera.py"
            scratch.append("/tmp")
        else:
            entry, user = FOREIGN[kind], service["user"]
        command = service.get("command", DEFAULT_COMMAND.get(kind, []))
        for volume in service.get("volumes", []):
            source, target, *_ = volume.split(":")
            if source in self.file["volumes"]:
                scratch.append(target)
            else:
                files[target] = (DEPLOY / source).resolve(strict=True)
        for secret in service.get("secrets", []):
            source = DEPLOY / self.file["secrets"][secret]["file"]
            files[f"/run/secrets/{secret}"] = source.resolve(strict=True)
        self.files[name] = files
        uid = int(service.get("user", user).split(":")[0])
        self.containers[name].start(
            [*entry, *command], env, files, scratch, uid=uid, groups=[uid],
            read_only=service.get("read_only", False), drop_capabilities=service.get("cap_drop") == ["ALL"],
            no_new_privileges="no-new-privileges:true" in service.get("security_opt", []))

    def stop(self):
        """`compose stop`: what depends on others first. Exit status and seconds by name."""
        ends, left = {}, dict(self.services)
        while left:
            needed = {other for service in left.values() for other in needs(service)}
            name = next(n for n in left if n not in needed)
            ends[name] = self.containers[name].stop(seconds(left.pop(name).get("stop_grace_period", "10s")))
        return ends


def image(service):
    return service["image"].split(":")[0]


def needs(service):
    depends = service.get("depends_on", {})
    return {n: d["condition"] for n, d in depends.items()} if isinstance(depends, dict) else \
        dict.fromkeys(depends, "service_started")
