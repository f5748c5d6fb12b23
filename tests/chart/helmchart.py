"""Renders the chart with Helm's own engine, and the combinations of values it is judged by."""

import functools
import itertools
import json
import pathlib

import helm_python as helm
import yaml
from helm_python import _native
from kubernetes_validate import utils

ROOT = pathlib.Path(__file__).parents[2]
CHART = ROOT / "charts/fanlight"
VERSIONS = ["1.33", "1.35", "1.37"]
CRDS = ["monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1", "keda.sh/v1alpha1"]
GATE = {"gate": {"url": "rtsp://u:canary-pw@192.0.2.1/1"}}
LONG = "a" * 60

# The package reads its schemas anew for each object: 5 times the time of the check.
utils.schema_contents = functools.cache(utils.schema_contents)
utils.all_versions = functools.cache(utils.all_versions)


def load(path=CHART):
    return helm.Chart.load(str(path))


def render_files(chart, values, api_versions=CRDS, **options):
    """Path to text of each file, NOTES.txt included."""
    options = {"name": "rel", "namespace": "ns", "kube_version": "v1.33.0",
               "api_versions": api_versions, **options}
    return json.loads(_native.call_string(
        "helm_render", chart._raw(), json.dumps(values), json.dumps(options)))


def render(chart, values, api_versions=CRDS, **options):
    objects = []
    for path, text in render_files(chart, values, api_versions, **options).items():
        if not path.endswith("NOTES.txt"):
            objects += [o for o in yaml.load_all(text, yaml.CSafeLoader) if o]
    return objects


def notes(chart, values):
    files = render_files(chart, values)
    return next(text for path, text in files.items() if path.endswith("NOTES.txt"))


def of_kind(objects, kind):
    return [o for o in objects if o["kind"] == kind]


def named(objects, kind, end):
    """The only object of a kind whose name ends so."""
    found = [o for o in of_kind(objects, kind) if o["metadata"]["name"].endswith(end)]
    assert len(found) == 1, f"{kind} *{end}: {len(found)}"
    return found[0]


def pod_specs(objects):
    for o in objects:
        if o["kind"] in ("Deployment", "StatefulSet"):
            yield o["metadata"]["name"], o["spec"]["template"]["spec"]
        elif o["kind"] == "Pod":
            yield o["metadata"]["name"], o["spec"]


def env_of(objects, end):
    """Environment of a Deployment's container, name to value."""
    container = named(objects, "Deployment", end)["spec"]["template"]["spec"]["containers"][0]
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in container["env"]}


# Each pod setting that can be given to all three.
POD = {"podAnnotations": {"a": "b"}, "podLabels": {"c": "d"}, "nodeSelector": {"e": "f"},
       "tolerations": [{"operator": "Exists"}], "affinity": {"nodeAffinity": {}},
       "priorityClassName": "high", "resources": {"limits": {"memory": "1Gi"}},
       "topologySpreadConstraints": [{"maxSkew": 2, "topologyKey": "topology.kubernetes.io/zone",
                                      "whenUnsatisfiable": "DoNotSchedule"}]}
EXTRA = {"extraEnv": [{"name": "X", "value": "1"}], "extraArgs": ["--log-format=json"],
         "extraVolumes": [{"name": "v", "emptyDir": {}}],
         "extraVolumeMounts": [{"name": "v", "mountPath": "/v"}], "annotations": {"g": "h"}}
NOTHING = dict.fromkeys({**POD, **EXTRA})
NOTHING.pop("priorityClassName")


def matrix():
    cameras = [
        {}, None, GATE, {"gate": {"existingSecret": "s", "strategy": "Recreate", **POD, **EXTRA}},
        {f"c{i}": {"url": "test"} for i in range(50)},
        {LONG + "bbb": {"url": "test"}, LONG + "ccc": {"url": "test"}},
    ]
    edge = [
        {}, {"autoscaling": {"enabled": True, "targetViewers": 100}},
        {"keda": {"enabled": True, "authenticationRef": "prometheus"},
         "service": {"type": "LoadBalancer", "externalTrafficPolicy": "Local",
                     "loadBalancerClass": "example.com/lb", "annotations": {"a": "b"}}},
        {"auth": {"mode": "none"}, "allowAnonymous": True},
        {"auth": {"mode": "jwt", "jwksUrl": "https://id.example.com/keys"}},
        {"auth": {"mode": "jwt", "existingSecret": "keys"}, "replicaCount": 0},
        {"auth": {"mode": "proxy"}, "trustedProxies": ["10.0.0.0/8"]},
        {"trustedProxies": ["10.0.0.0/8"], "proxyProtocol": True},
        {"ingress": {"enabled": True, "host": "x.example.com", "annotations": None}},
        {"httpRoute": {"enabled": True, "parentRefs": [{"name": "g"}], "hostnames": ["x.example.com"]}},
        NOTHING, {**POD, **EXTRA},
    ]
    everything = {
        "podMonitor": {"enabled": True, "labels": {"a": "b"}, "relabelings": [
            {"targetLabel": "cluster", "replacement": "one"}]},
        "prometheusRule": {"enabled": True, "disabled": ["CameraDown"]}, "dashboards": {"enabled": True}}
    rest = [
        {}, {"nats": {"replicas": 3, "tls": {"existingSecret": "t", "clientSecret": "c"}, **POD},
             "ingest": {**POD, **EXTRA}, "commonLabels": {"team": "video"},
             "tracing": {"endpoint": "http://collector:4317"},
             "networkPolicy": {"enabled": True}},
        {"nats": {"enabled": False, "url": "nats://nats:4223", "existingSecret": "n",
                  "credsSecret": "creds", **dict.fromkeys(POD)} | {"priorityClassName": ""},
         "ingest": NOTHING, "commonLabels": None, "extraObjects": None, "imagePullSecrets": None,
         "networkPolicy": {"enabled": True, "viewersFrom": [{"namespaceSelector": {}}],
                           "metricsFrom": [{"podSelector": {}}], "extraEgress": [{"ports": [{"port": 1}]}]},
         "monitoring": everything},
        {"serviceAccount": {"create": False}, "fullnameOverride": "x" * 70,
         "imagePullSecrets": [{"name": "pull"}],
         "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "more"}}]},
    ]
    for c, e, r in itertools.product(cameras, edge, rest):
        yield {"cameras": c, "edge": e, **r}


@functools.cache
def rendered():
    """(values, objects) of each combination; shared, so do not change it."""
    chart = load()
    return [(values, render(chart, values)) for values in matrix()]
