"""Deployment files, judged by the programs that read them."""

import pathlib
import re
import shutil
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
VENV = ROOT / ".venv/bin"


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def test_compose_follows_its_schema():
    run(VENV / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


def test_workflows_follow_their_schema():
    for path in (ROOT / ".github/workflows").glob("*.yaml"):
        run(VENV / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", path)


def test_dockerfile_is_clean():
    run(VENV / "hadolint", DEPLOY / "Dockerfile")


def test_dockerfile_runs_as_a_numeric_user_in_every_target():
    text = (DEPLOY / "Dockerfile").read_text()
    for target, base in [("ingest", "ffmpeg"), ("standalone", "ffmpeg"), ("edge", "edge")]:
        stage = re.search(rf"FROM \S+ AS {base}\n(.*?)(?=\nFROM|\Z)", text, re.S).group(1)
        assert "USER 10001:10001" in stage, target


def local(text):
    """Names of the compose network do not resolve here."""
    return re.sub(r"edge-([12]):8103", r"127.0.0.1:1810\1", text)


def test_haproxy_reads_its_configuration(tmp_path):
    config = tmp_path / "haproxy.cfg"
    config.write_text(local((DEPLOY / "haproxy/haproxy.cfg").read_text()))
    run(shutil.which("haproxy") or "/usr/sbin/haproxy", "-c", "-f", config)


def test_nginx_reads_its_configuration(tmp_path):
    config = tmp_path / "nginx.conf"
    text = local((DEPLOY / "nginx/nginx.conf").read_text())
    config.write_text(f"pid {tmp_path}/pid;\nerror_log {tmp_path}/log;\n" + text.replace("8103;", "18104;"))
    run(shutil.which("nginx") or "/usr/sbin/nginx", "-t", "-c", config, "-p", tmp_path)


def test_prometheus_reads_its_configuration(tmp_path):
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    config["rule_files"] = [str(ROOT / "dashboards/alerts.yaml")]
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    run(shutil.which("promtool"), "check", "config", path)


def test_nats_reads_its_configuration():
    # The files for networks that others are on run in tests/e2e, with their secrets.
    run(VENV / "nats-server", "-t", "-c", DEPLOY / "nats/nats.conf")


def help_of(program):
    binary = ROOT / "target/debug" / program
    assert binary.exists(), f"build {program} first: cargo build --workspace"
    return run(binary, "--help")


@pytest.mark.parametrize("service, program", [
    ("edge-1", "fanlight-edge"), ("edge-2", "fanlight-edge"),
    ("camera-test", "fanlight-ingest"), ("camera-yard", "fanlight-ingest"),
])
def test_compose_uses_variables_that_exist(service, program):
    known = set(re.findall(r"\[env: (FANLIGHT_[A-Z_]+)", help_of(program)))
    environment = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"][service]["environment"]
    assert set(environment) <= known, set(environment) - known


def test_the_unit_uses_flags_that_exist():
    text = (DEPLOY / "systemd/fanlight.service").read_text()
    used = set(re.findall(r"--[a-z-]+", re.search(r"^ExecStart=(.*)$", text, re.M).group(1)))
    assert used <= set(re.findall(r"--[a-z-]+", help_of("fanlight")))
