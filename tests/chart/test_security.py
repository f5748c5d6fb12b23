"""The Pod Security Standards' restricted profile, and checkov's opinion."""

import json
import subprocess

import pytest
import yaml
from helmchart import GATE, ROOT, load, pod_specs, render, rendered

CHECKOV = ROOT / ".tools/checkov/bin/checkov"

# Volume types of the restricted profile.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
           "projected", "secret"}


def violations(spec):
    """What kubernetes.io/docs/concepts/security/pod-security-standards forbids: baseline first."""
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    pod = spec.get("securityContext", {})
    found += [key for key in ("sysctls", "windowsOptions", "seLinuxOptions") if pod.get(key)]
    for volume in spec.get("volumes", []):
        found += [f"volume {kind}" for kind in set(volume) - {"name"} - VOLUMES]
    for container in spec["containers"] + spec.get("initContainers", []):
        own = container.get("securityContext", {})
        both = {**pod, **own}
        if own.get("privileged"):
            found.append("privileged")
        if own.get("procMount", "Default") != "Default":
            found.append("procMount")
        if own.get("allowPrivilegeEscalation") is not False:
            found.append("allowPrivilegeEscalation")
        if both.get("runAsNonRoot") is not True or both.get("runAsUser") == 0:
            found.append("runAsNonRoot")
        if both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            found.append("seccompProfile")
        capabilities = own.get("capabilities", {})
        if "ALL" not in capabilities.get("drop", []):
            found.append("capabilities not dropped")
        found += [f"capability {c}" for c in capabilities.get("add", []) if c != "NET_BIND_SERVICE"]
        found += ["hostPort" for p in container.get("ports", []) if p.get("hostPort")]
    return found


def test_every_pod_passes_the_restricted_profile():
    pods = 0
    for values, objects in rendered():
        for name, spec in pod_specs(objects):
            assert not violations(spec), f"{name} with {values}"
            pods += 1
    assert pods > 1000


@pytest.mark.parametrize("spoil", [
    lambda s: s.update(hostNetwork=True),
    lambda s: s["securityContext"].pop("runAsNonRoot"),
    lambda s: s["securityContext"].pop("seccompProfile"),
    lambda s: s["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"),
    lambda s: s["containers"][0]["securityContext"]["capabilities"].update(add=["SYS_ADMIN"]),
    lambda s: s.setdefault("volumes", []).append({"name": "h", "hostPath": {"path": "/"}}),
    lambda s: s["containers"][0]["ports"][0].update(hostPort=80),
])
def test_the_profile_finds_mistakes(spoil):
    _, spec = next(pod_specs(render(load(), {"cameras": GATE})))
    assert not violations(spec)
    spoil(spec)
    assert violations(spec)


def test_more_than_the_profile_asks():
    """Read-only root, a numeric user outside the system's, no token, no service variables."""
    for _, objects in rendered()[::7]:
        for name, spec in pod_specs(objects):
            assert spec["securityContext"]["runAsUser"] >= 10000, name
            assert spec["automountServiceAccountToken"] is False, name
            for container in spec["containers"]:
                assert container["securityContext"]["readOnlyRootFilesystem"] is True, name


# What checkov asks for and the chart does not do.
SKIPPED = {
    "CKV_K8S_11": "a CPU limit throttles in bursts of 100 ms, which viewers see; requests divide the CPU",
}
SKIPPED_FOR_THE_TEST = {
    "CKV_K8S_8": "liveness: the pod of `helm test` runs once",
    "CKV_K8S_9": "readiness: the same",
    "CKV2_K8S_6": "no NetworkPolicy: nothing may open a connection to it, as it listens nowhere",
}


def test_checkov_finds_nothing_but_what_is_meant(tmp_path):
    assert CHECKOV.exists(), "run scripts/setup.sh test first"
    digest = {"digest": "sha256:" + "0" * 64}
    values = {"cameras": GATE, "networkPolicy": {"enabled": True}, "ingest": {"image": digest},
              "edge": {"image": digest}, "nats": {"image": digest, "replicas": 3}}
    objects = render(load(), values)
    for o in objects:
        # As Helm does at installation.
        o["metadata"]["namespace"] = "video"
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(yaml.safe_dump_all(objects))
    done = subprocess.run(
        [CHECKOV, "--skip-download", "--framework", "kubernetes", "--file", manifest,
         "--output", "json", "--quiet", "--compact"],
        capture_output=True, text=True, timeout=120, cwd=tmp_path)
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 250 and not report["summary"]["parsing_errors"]
    failed = {}
    for c in report["results"]["failed_checks"]:
        key = c["check_id"], "test-watch" in c["resource"]
        failed[key] = f"{c['check_id']} {c['resource']}: {c['check_name']}"
    unexpected = [text for (check, of_test), text in failed.items()
                  if check not in SKIPPED and not (of_test and check in SKIPPED_FOR_THE_TEST)]
    assert not unexpected, unexpected
    unused = (set(SKIPPED) | set(SKIPPED_FOR_THE_TEST)) - {check for check, _ in failed}
    assert not unused, f"no longer needed: {unused}"
