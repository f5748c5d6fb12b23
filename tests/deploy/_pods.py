"""Rendered objects run as a kubelet and the controllers would: pods, probes, endpoints, rollouts."""

import base64
import os
import re
import threading
import time

from _dockerfile import Image
from _node import PROGRAMS, USER, eventually, get


class Cluster:
    def __init__(self, node, objects):
        self.node, self.objects, self.pods, self.lock = node, objects, [], threading.RLock()
        self.services = {o["metadata"]["name"]: o["spec"] for o in objects if o["kind"] == "Service"}
        for name, spec in self.services.items():
            if spec.get("clusterIP") != "None":
                node.service(name, spec["ports"][0]["port"])

    def one(self, kind, name):
        found = [o for o in self.objects if o["kind"] == kind and o["metadata"]["name"] == name]
        assert len(found) == 1, f"{kind} {name}: {len(found)}"
        return found[0]

    def start(self, controller):
        """The pods of a Deployment or StatefulSet; they need not be ready yet."""
        return [self.pod(controller) for _ in range(controller["spec"].get("replicas", 1))]

    def pod(self, controller, hook=False):
        name = controller["metadata"]["name"]
        template = controller if hook else controller["spec"]["template"]
        number = sum(1 for p in self.pods if p.owner == name)
        pod = Pod(self, name, name if hook else f"{name}-{number}", template)
        with self.lock:
            self.pods.append(pod)
        pod.run()
        return pod

    def sync(self):
        """Endpoints: the addresses of ready pods that are not about to end."""
        with self.lock:
            for name, spec in self.services.items():
                pods = [p for p in self.pods if spec["selector"].items() <= p.labels.items()]
                if spec.get("clusterIP") == "None":
                    for pod in pods:
                        self.node.name(f"{pod.name}.{name}", pod.address)
                    continue
                port = spec["ports"][0]["targetPort"]
                self.node.endpoints(name, [(p.address, p.port(port)) for p in pods
                                           if p.ready and not p.deleted])

    def rollout_restart(self, name):
        """maxSurge 1, maxUnavailable 0: a new pod is ready before an old one is told to go."""
        deployment = self.one("Deployment", name)
        assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        old = [p for p in self.pods if p.owner == name and not p.deleted]
        ends = []
        for pod in old:
            new = self.pod(deployment)
            eventually(f"{new.name} ready", lambda n=new: n.ready, 60)
            end = threading.Thread(target=pod.delete)
            end.start()
            ends.append(end)
        for end in ends:
            end.join()
        return old

    def close(self):
        for pod in self.pods:
            pod.deleted = True


class Pod:
    def __init__(self, cluster, owner, name, template):
        self.cluster, self.owner, self.name = cluster, owner, name
        self.labels = template["metadata"].get("labels", {})
        self.spec = template["spec"]
        assert len(self.spec["containers"]) == 1 and not self.spec.get("initContainers")
        self.container = self.spec["containers"][0]
        self.process = cluster.node.container(name)
        self.address = self.process.address
        self.started = self.ready = self.deleted = False
        self.restarts, self.end = 0, None

    def port(self, port):
        named = {p["name"]: p["containerPort"] for p in self.container.get("ports", [])}
        return named.get(port, port)

    def secret(self, name):
        found = self.cluster.one("Secret", name)
        return {k: base64.b64decode(v) for k, v in found.get("data", {}).items()} | {
            k: v.encode() for k, v in found.get("stringData", {}).items()}

    def environment(self):
        env = {}
        for item in self.container.get("env", []):
            source = item.get("valueFrom", {})
            if "secretKeyRef" in source:
                value = self.secret(source["secretKeyRef"]["name"])[source["secretKeyRef"]["key"]].decode()
            elif "fieldRef" in source:
                value = {"metadata.name": self.name, "metadata.namespace": "ns",
                         "status.podIP": self.address}[source["fieldRef"]["fieldPath"]]
            else:
                value = item["value"]
            env[item["name"]] = self.expand(value, env)
        return env

    @staticmethod
    def expand(text, env):
        return re.sub(r"\$\(([A-Z_]+)\)", lambda m: env.get(m[1], m[0]), text)

    def mounts(self):
        """Files by path, and the empty folders."""
        files, scratch = dict(PROGRAMS[self.image()]), []
        volumes = {v["name"]: v for v in self.spec.get("volumes", [])}
        for mount in self.container.get("volumeMounts", []):
            volume = volumes[mount["name"]]
            if "emptyDir" in volume:
                scratch.append(mount["mountPath"])
                continue
            if "secret" in volume:
                content = self.secret(volume["secret"]["secretName"])
                items = volume["secret"].get("items")
            else:
                content = self.cluster.one("ConfigMap", volume["configMap"]["name"])["data"]
                content, items = {k: v.encode() for k, v in content.items()}, volume["configMap"].get("items")
            names = {i["key"]: i["path"] for i in items} if items else {k: k for k in content}
            for key, path in names.items():
                file = self.cluster.node.folder / f"{self.name}.{mount['name']}.{key}"
                file.write_bytes(content[key])
                # As with fsGroup: the group may read what is only root's otherwise.
                file.chmod(0o640)
                group = self.spec["securityContext"]["fsGroup"]
                assert group == USER
                os.chown(file, 0, group)
                files[f"{mount['mountPath']}/{path}"] = file
        return files, scratch

    def image(self):
        return self.container["image"].split("@")[0].split(":")[0].split("/")[-1]

    def run(self):
        own = self.image() != "nats"
        entry = Image(self.image()).entrypoint if own else ["/usr/local/bin/nats-server"]
        env = self.environment()
        argv = self.container.get("command", entry) + self.container.get("args", [])
        argv = [self.expand(a, env) for a in argv]
        pod, own = self.spec["securityContext"], self.container["securityContext"]
        assert pod["runAsNonRoot"] and pod["runAsUser"] == pod["runAsGroup"] == USER
        assert self.spec["automountServiceAccountToken"] is False
        files, scratch = self.mounts()
        self.process.start(
            argv, env, files, scratch, uid=pod["runAsUser"], groups=[pod["fsGroup"]],
            read_only=own["readOnlyRootFilesystem"], drop_capabilities=own["capabilities"]["drop"] == ["ALL"],
            no_new_privileges=not own["allowPrivilegeEscalation"])
        threading.Thread(target=self.probe, daemon=True).start()

    def probe(self):
        """Startup until it passes, then readiness and liveness, each with its own period."""
        names = ("startupProbe", "readinessProbe", "livenessProbe")
        due = {name: 0.0 for name in names if name in self.container}
        failures = dict.fromkeys(due, 0)
        while not self.deleted and self.process.process.poll() is None:
            time.sleep(0.1)
            for name in due:
                if (name == "startupProbe") == self.started or time.monotonic() < due[name]:
                    continue
                probe = self.container[name]
                due[name] = time.monotonic() + probe.get("periodSeconds", 10)
                passed = self.ask(probe)
                failures[name] = 0 if passed else failures[name] + 1
                failed = failures[name] >= probe.get("failureThreshold", 3)
                if name == "startupProbe":
                    self.started = passed
                elif name == "readinessProbe" and (passed or failed) and self.ready != passed:
                    self.ready = passed
                    self.cluster.sync()
                if failed and name != "readinessProbe":
                    # A kubelet would start the container again; here that is counted, and a fault.
                    self.restarts += 1
                    return

    def ask(self, probe):
        check = probe["httpGet"]
        try:
            url = f"http://{self.address}:{self.port(check['port'])}{check['path']}"
            return 200 <= get(url, probe.get("timeoutSeconds", 1))[0] < 400
        except OSError:
            return False

    def delete(self):
        """Out of the endpoints, preStop, SIGTERM; SIGKILL when the grace period is over."""
        grace = self.spec["terminationGracePeriodSeconds"]
        started = time.monotonic()
        self.deleted = True
        self.cluster.sync()
        hook = self.container.get("lifecycle", {}).get("preStop")
        if hook:
            done = self.process.exec(hook["exec"]["command"], seconds=grace)
            assert done.returncode == 0, f"preStop of {self.name}: {done.stdout}{done.stderr}"
        self.end = self.process.stop(grace - (time.monotonic() - started))
        return self.end

