"""What the images are to be: read from the Dockerfile, or from images that were built."""

import json
import os
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
BUILT = os.environ.get("FANLIGHT_IMAGES")
TARGETS = {"fanlight-edge": "edge", "fanlight-ingest": "ingest", "fanlight": "standalone"}


def stages():
    """Stage name to its base and its instructions, continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "deploy/Dockerfile").read_text())
    found = {}
    for part in re.split(r"^FROM ", text, flags=re.M)[1:]:
        base, name = re.match(r"(?:--platform=\S+ )?(\S+) AS (\S+)", part).groups()
        lines = [line for line in part.splitlines()[1:] if line and not line.startswith("#")]
        found[name] = (base, [line.split(" ", 1) for line in lines])
    return found


class Image:
    """User, environment, entry point, ports and labels of a target; `root` where it was built."""

    def __init__(self, name):
        self.name = name
        if BUILT:
            data = json.loads((pathlib.Path(BUILT) / f"{name}.json").read_text())["OCIv1"]["config"]
            self.root = (pathlib.Path(BUILT) / f"{name}.path").read_text().strip()
            self.user, self.entrypoint = data["User"], data["Entrypoint"]
            self.env = dict(e.split("=", 1) for e in data.get("Env", []))
            self.labels = data["Labels"]
            self.ports = {p.split("/")[0] for p in data.get("ExposedPorts", {})}
            return
        self.root, self.user, self.entrypoint = None, None, None
        self.env, self.labels, self.ports = {}, {}, set()
        known, stage = stages(), TARGETS[name]
        chain = []
        while stage in known:
            chain.insert(0, stage)
            stage = known[stage][0]
        for word, rest in (line for stage in chain for line in known[stage][1]):
            if word == "USER":
                self.user = rest
            elif word == "ENTRYPOINT":
                self.entrypoint = json.loads(rest)
            elif word == "EXPOSE":
                self.ports |= set(rest.split())
            elif word in ("ENV", "LABEL"):
                pairs = re.findall(r'([\w.]+)=("[^"]*"|\S+)', rest)
                (self.env if word == "ENV" else self.labels).update({k: v.strip('"') for k, v in pairs})
