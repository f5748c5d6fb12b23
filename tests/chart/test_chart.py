"""The chart, rendered by Helm's own engine and judged by Kubernetes' schemas."""

import base64
import json
import re
import subprocess

import kubernetes_validate
import pytest
import yaml
from helm_python import chart as helm_chart
from helmchart import (CHART, GATE, LONG, ROOT, VERSIONS, env_of, load, named, of_kind, render,
                       rendered)

CUSTOM = ("monitoring.coreos.com", "gateway.networking.k8s.io", "keda.sh")


@pytest.fixture(scope="module")
def chart():
    return load()


def test_lint_is_clean():
    for values in [{}, {"cameras": GATE}]:
        messages = helm_chart.lint(str(CHART), values, strict=True, kube_version="v1.33.0")
        found = messages.get("messages", messages) if isinstance(messages, dict) else messages
        bad = [m for m in found if m.get("severity", 0) >= 2]
        assert not bad, bad


def test_every_combination_is_valid_kubernetes():
    combinations = rendered()
    assert len(combinations) >= 200
    seen = {}
    for values, objects in combinations:
        names = [(o["kind"], o["metadata"]["name"]) for o in objects]
        assert len(names) == len(set(names)), f"two objects of one name in {values}"
        for o in objects:
            assert len(o["metadata"]["name"]) <= 63, o["metadata"]["name"]
            # Equal objects need one check; the schema knows no custom resources.
            if o["apiVersion"].split("/")[0] not in CUSTOM:
                seen[json.dumps(o, sort_keys=True)] = o
    for o in seen.values():
        kubernetes_validate.validate(o, VERSIONS[0], strict=True)
    # The other versions differ in few fields: the combinations with one camera show them.
    for version in VERSIONS[1:]:
        for _, objects in combinations[88:132]:
            for o in objects:
                if json.dumps(o, sort_keys=True) in seen:
                    kubernetes_validate.validate(o, version, strict=True)


@pytest.mark.parametrize("values, word", [
    ({"camera": {}}, "camera"),
    ({"cameras": {"Gate": {"url": "test"}}}, "Gate"),
    ({"cameras": {"a" * 64: {"url": "test"}}}, "a" * 64),
    ({"cameras": {"gate": {}}}, "gate"),
    ({"cameras": {"gate": {"url": "test", "bitrat": "1M"}}}, "bitrat"),
    ({"cameras": {"gate": {"url": "test", "codec": "h266"}}}, "codec"),
    ({"edge": {"replicas": 3}}, "replicas"),
    ({"edge": {"replicaCount": "three"}}, "replicaCount"),
    ({"edge": {"auth": {"mode": "basic"}}}, "mode"),
    ({"nats": {"replicas": 2}}, "replicas"),
    ({"nats": {"url": "http://x"}}, "url"),
    ({"edge": {"keda": {"minReplicas": 0}}}, "minReplicas"),
    ({"cameras": {"gate": {"url": "test", "podLabels": {"a": 1}}}}, "podLabels"),
    ({"extraObjects": [1]}, "extraObjects"),
])
def test_wrong_values_are_refused_by_name(chart, values, word):
    with pytest.raises(Exception, match=re.escape(word)):
        chart.validate_schema(values)


@pytest.mark.parametrize("values, sentence", [
    ({"edge": {"auth": {"mode": "none"}}}, "edge.allowAnonymous"),
    ({"edge": {"auth": {"mode": "jwt"}}}, "edge.auth.existingSecret"),
    ({"nats": {"enabled": False}}, "nats.url"),
    ({"edge": {"ingress": {"enabled": True}}}, "edge.ingress.host"),
    ({"edge": {"httpRoute": {"enabled": True}}}, "edge.httpRoute.parentRefs"),
    ({"edge": {"autoscaling": {"enabled": True}, "keda": {"enabled": True}}}, "edge.keda.enabled"),
    ({"edge": {"autoscaling": {"enabled": True, "minReplicas": 20}}}, "edge.autoscaling.minReplicas"),
    ({"edge": {"keda": {"enabled": True, "targetViewers": 0, "targetCPUUtilizationPercentage": 0}}},
     "edge.keda.targetViewers"),
    ({"nats": {"credsSecret": "c"}}, "nats.credsSecret"),
    ({"nats": {"tls": {"clientSecret": "c"}}}, "nats.tls.clientSecret"),
    ({"monitoring": {"prometheusRule": {"enabled": True, "disabled": ["CameraUp"]}}}, "CameraUp"),
])
def test_contradictions_are_refused_in_a_sentence(chart, values, sentence):
    with pytest.raises(Exception, match=re.escape(sentence)):
        render(chart, values)


def test_defaults_expose_nothing_anonymously(chart):
    env = {e["name"]: e.get("value") for e in edge_container(render(chart, {"cameras": GATE}))["env"]}
    assert env["FANLIGHT_AUTH"] == "password"
    assert "FANLIGHT_ALLOW_ANONYMOUS" not in env


def edge_container(objects):
    edge = [o for o in of_kind(objects, "Deployment") if o["metadata"]["name"].endswith("-edge")]
    return edge[0]["spec"]["template"]["spec"]["containers"][0]


def test_a_camera_url_stands_in_a_secret_only(chart):
    for o in render(chart, {"cameras": GATE}):
        text = json.dumps(o)
        assert ("canary-pw" in text) == (o["kind"] == "Secret" and "url" in o.get("stringData", {}))


def test_long_names_stay_apart(chart):
    cameras = {LONG + "bbb": {"url": "test"}, LONG + "ccc": {"url": "test"}}
    names = [o["metadata"]["name"] for o in of_kind(render(chart, {"cameras": cameras}), "Deployment")]
    assert len(names) == len(set(names)) == 3


def test_rolling_update_starts_the_new_ingest_first(chart):
    cameras = {"a": {"url": "test"}, "b": {"url": "test", "strategy": "Recreate"}}
    by_name = {o["metadata"]["name"]: o["spec"] for o in
               of_kind(render(chart, {"cameras": cameras}), "Deployment")}
    a, b = by_name["rel-fanlight-ingest-a"], by_name["rel-fanlight-ingest-b"]
    assert a["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert b["strategy"] == {"type": "Recreate"} and a["replicas"] == b["replicas"] == 1


def test_grace_is_longer_than_the_drain(chart):
    drain = {"delaySeconds": 7, "seconds": 120}
    objects = render(chart, {"edge": {"drain": drain}})
    edge = [o for o in of_kind(objects, "Deployment") if o["metadata"]["name"].endswith("-edge")][0]
    assert edge["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 127


def test_password_is_generated_for_password_mode_only(chart):
    def secrets(values):
        return [o for o in of_kind(render(chart, values), "Secret") if "admin-password" in o.get("data", {})]
    made = secrets({})[0]
    assert len(base64.b64decode(made["data"]["admin-password"])) == 24
    assert made["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert not secrets({"edge": {"auth": {"existingSecret": "mine"}}})
    assert not secrets({"edge": {"auth": {"mode": "proxy"}}})


def test_monitors_need_their_custom_resources(chart):
    on = {"monitoring": {"podMonitor": {"enabled": True}, "prometheusRule": {"enabled": True},
                         "dashboards": {"enabled": True}}}
    kinds = [o["kind"] for o in render(chart, on)]
    assert kinds.count("PodMonitor") == 2 and kinds.count("PrometheusRule") == 1
    assert kinds.count("ConfigMap") == 1 + len(list((ROOT / "dashboards").glob("*.json")))
    without = [o["kind"] for o in render(chart, on, api_versions=[])]
    assert not {"PodMonitor", "PrometheusRule"} & set(without)


def test_dashboards_and_alerts_are_the_repositorys():
    for source in [*(ROOT / "dashboards").glob("*.json"), ROOT / "dashboards/alerts.yaml"]:
        copy = CHART / "files" / source.name
        assert copy.read_bytes() == source.read_bytes(), f"copy {source.name} to charts/fanlight/files"


def test_ci_values_render(chart):
    for path in [*(CHART / "ci").glob("*.yaml"), CHART / "values-production.yaml"]:
        values = yaml.safe_load(path.read_text())
        chart.validate_schema(values)
        assert of_kind(render(chart, values), "Deployment"), path.name


# What programs read and the chart has no value for; `extraEnv` and `extraVolumes` reach all of it.
BOTH = {
    "FANLIGHT_LOG_FORMAT": "auto writes JSON where there is no terminal",
    "FANLIGHT_NATS_TOKEN_FILE": "values have password, credentials file and certificate",
    "FANLIGHT_NATS_NKEY_FILE": "the same",
}
WITHOUT_VALUE = {
    "fanlight-edge": BOTH | {
        "FANLIGHT_USERS_FILE": "a list of users needs a Secret of one's own",
        "FANLIGHT_SESSION_HOURS": "rarely changed",
        "FANLIGHT_MAX_VIEWERS_PER_USER": "rarely changed",
        "FANLIGHT_MAX_ATTEMPTS_PER_ADDRESS": "rarely changed",
        "FANLIGHT_JWT_LEEWAY": "rarely changed",
        "FANLIGHT_JWT_CAMERAS_CLAIM": "rarely changed",
        "FANLIGHT_PROXY_USER_HEADER": "the default is what proxies send",
        "FANLIGHT_PROXY_GROUPS_HEADER": "the same",
        "FANLIGHT_PROXY_GROUP_CAMERAS": "a list of one's own groups",
        "FANLIGHT_TLS_CERT": "an Ingress, a Gateway or a load balancer ends TLS",
        "FANLIGHT_TLS_KEY": "the same",
        "FANLIGHT_REDIRECT_LISTEN": "the same",
        "FANLIGHT_REDIRECT_PORT": "the same",
    },
    "fanlight-ingest": BOTH | {
        "FANLIGHT_INPUT": "a URL may hold a password, so it comes as a file from a Secret",
        "FANLIGHT_FFMPEG": "the image has one",
        "FANLIGHT_RENDITION": "one rendition a camera",
    },
}


def flags(program):
    """Environment variables a program reads, by its own --help."""
    binary = ROOT / "target/debug" / program
    assert binary.exists(), f"build {program} first: cargo build --workspace"
    text = subprocess.run([binary, "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"\[env: (FANLIGHT_[A-Z_]+)", text))


@pytest.mark.parametrize("program", ["fanlight-edge", "fanlight-ingest"])
def test_the_program_knows_every_variable(program):
    known = flags(program)
    assert known, "no variables in --help"
    used = set()
    combinations = [o for values, o in rendered() if list(values["cameras"] or {}) == ["gate"]]
    for path in (CHART / "ci").glob("*.yaml"):
        combinations.append(render(load(), yaml.safe_load(path.read_text())))
    for objects in combinations:
        for o in of_kind(objects, "Deployment"):
            if o["metadata"]["labels"]["app.kubernetes.io/component"] == program.removeprefix("fanlight-"):
                env = o["spec"]["template"]["spec"]["containers"][0]["env"]
                used |= {e["name"] for e in env if e["name"].startswith("FANLIGHT_")}
    assert used <= known, used - known
    forgotten = known - used - set(WITHOUT_VALUE[program])
    assert not forgotten, f"give them a value or a reason: {forgotten}"
    assert not set(WITHOUT_VALUE[program]) & used, "has a value by now"
    assert set(WITHOUT_VALUE[program]) <= known, "gone from --help"


@pytest.mark.parametrize("suffix", ["-edge", "-gate"])
def test_ports_are_those_of_the_listeners(chart, suffix):
    objects = render(chart, {"cameras": GATE})
    container = named(objects, "Deployment", suffix)["spec"]["template"]["spec"]["containers"][0]
    env = env_of(objects, suffix)
    listeners = {v.rsplit(":", 1)[1] for k, v in env.items() if k.endswith("LISTEN")}
    assert listeners == {str(p["containerPort"]) for p in container["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == "admin"
        path = "/readyz" if probe == "readinessProbe" else "/livez"
        assert container[probe]["httpGet"]["path"] == path


def test_settings_of_one_camera_are_merged_onto_those_of_all(chart):
    values = {
        "ingest": {"podAnnotations": {"a": "1"}, "extraArgs": ["--x"], "defaults": {"fps": 10}},
        "cameras": {"one": {"url": "test"},
                    "two": {"url": "test", "podAnnotations": {"b": "2"}, "extraArgs": ["--y"], "fps": 25,
                            "resources": {"limits": {"memory": "1Gi"}}}}}
    objects = render(chart, values)
    for camera, fps, args, annotations, memory in (
            ("one", "10", ["--x"], {"a"}, "256Mi"), ("two", "25", ["--y"], {"a", "b"}, "1Gi")):
        template = named(objects, "Deployment", f"-{camera}")["spec"]["template"]
        container = template["spec"]["containers"][0]
        assert container["args"] == args
        assert env_of(objects, f"-{camera}")["FANLIGHT_FPS"] == fps
        assert annotations == set(template["metadata"]["annotations"]) - {"checksum/camera"}
        assert container["resources"]["limits"]["memory"] == memory
        assert container["resources"]["requests"]["cpu"] == "100m"


def test_without_login_the_edge_knows_its_own_names(chart):
    """It answers only to names it knows, and `helm test` and the Ingress call it by these."""
    values = {"cameras": GATE, "edge": {
        "auth": {"mode": "none"}, "allowAnonymous": True, "allowHosts": ["mine.example.com"],
        "ingress": {"enabled": True, "host": "x.example.com"}}}
    objects = render(chart, values)
    hosts = env_of(objects, "-edge")["FANLIGHT_ALLOW_HOST"].split(",")
    assert {"mine.example.com", "x.example.com", "rel-fanlight-edge.ns.svc"} <= set(hosts)
    url = named(objects, "Pod", "-test-watch")["spec"]["containers"][0]["args"][1]
    assert re.match(r"ws://([^:/]+)", url).group(1) in hosts


def test_extra_objects_and_labels(chart):
    values = {"commonLabels": {"team": "video"}, "extraObjects": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}, "data": {"t": "{{ x }}"}},
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}-text'}"]}
    objects = render(chart, values)
    assert named(objects, "ConfigMap", "map")["data"] == {"t": "{{ x }}"}
    assert named(objects, "ConfigMap", "rel-text")
    ours = [o for o in objects if o["metadata"]["name"].startswith("rel-fanlight")]
    assert ours and all(o["metadata"]["labels"]["team"] == "video" for o in ours)


def test_policies_open_the_ports_in_use(chart):
    values = {"cameras": GATE, "networkPolicy": {"enabled": True},
              "nats": {"enabled": False, "url": "nats://a:4333,tls://b"},
              "tracing": {"endpoint": "http://collector:4999"}}
    policy = named(render(chart, values), "NetworkPolicy", "-edge")
    ports = {p["port"] for rule in policy["spec"]["egress"] for p in rule["ports"]}
    assert ports == {53, 4333, 4222, 4999}


def test_readme_lists_every_value():
    listed = dict(re.findall(r"^\| `([\w.]+)` \| `(.*?)` \|", (CHART / "README.md").read_text(), re.M))
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for key, default in listed.items():
        node = values
        for part in key.split("."):
            node = node[part]
        assert json.loads(default) == node, key
    assert len(listed) == len(re.findall(r"^\s*# -- ", (CHART / "values.yaml").read_text(), re.M))


def test_the_schema_describes_every_value():
    schema = json.loads((CHART / "values.schema.json").read_text())

    def check(values, node, path):
        for key, value in values.items():
            inner = node["properties"][key]
            if "description" in inner:
                continue
            assert inner["additionalProperties"] is False, f"{path}{key} is open"
            check(value, inner, f"{path}{key}.")
    check(yaml.safe_load((CHART / "values.yaml").read_text()), schema, "")
