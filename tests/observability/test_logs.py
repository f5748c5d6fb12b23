"""Every line about a camera carries it as a field, whoever writes it and at any level."""

import json
import os
import signal

import pytest
from system import System, eventually

ABOUT_A_CAMERA = {
    "ingest-front": {"starting", "ffmpeg started", "live", "ffmpeg ended", "no picture"},
    "edge-0": {"viewer connected", "viewer disconnected", "camera state", "subscribed"},
}


def lines(folder, pod):
    """The lines of one process as objects. Standard error is no terminal here, so all are JSON."""
    return [json.loads(line) for line in (folder / f"{pod}.log").read_text().splitlines()]


def kill_ffmpeg(system):
    os.kill(system.ffmpeg_of("front"), signal.SIGKILL)
    eventually("counted", lambda: system.value(
        "front-0", "fanlight_ingest_ffmpeg_restarts_total", reason="killed"))
    eventually("up again", lambda: system.value("front-0", "fanlight_ingest_camera_up"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The logs of a camera with a viewer and an ffmpeg that was killed."""
    where = tmp_path_factory.mktemp("logs")
    env = {"FANLIGHT_LOG_LEVEL": "debug", "FANLIGHT_FFMPEG_LOGLEVEL": "info"}
    with System(where, cameras=("front",), edges=1, env=env) as system:
        viewer = system.view(0, "front")
        eventually("pictures", lambda: viewer.messages > 5)
        kill_ffmpeg(system)
        viewer.leave()
    return where


@pytest.mark.parametrize("pod", ABOUT_A_CAMERA)
def test_lines_about_a_camera_carry_it(folder, pod):
    found = {}
    for line in lines(folder, pod):
        found.setdefault(line["message"], []).append(line)
    missing = ABOUT_A_CAMERA[pod] - found.keys()
    assert not missing, sorted(found)
    for message in ABOUT_A_CAMERA[pod]:
        for line in found[message]:
            assert line.get("camera") == "front", line


@pytest.mark.parametrize("pod", ABOUT_A_CAMERA)
def test_no_line_names_a_camera_in_another_way(folder, pod):
    named = 0
    for line in lines(folder, pod):
        assert "stream" not in line, line
        # `main` goes without saying
        assert "rendition" not in line, line
        if "front" in json.dumps(line):
            assert line.get("camera") == "front", line
            named += 1
    assert named > 3


def test_ffmpegs_own_lines_carry_the_camera(folder):
    own = [line for line in lines(folder, "ingest-front") if line["target"] == "ffmpeg"]
    assert len(own) > 5
    assert all(line.get("camera") == "front" and line.get("run") for line in own)


def test_a_higher_level_does_not_part_a_line_from_its_camera(tmp_path):
    env = {"FANLIGHT_LOG_LEVEL": "warn", "FANLIGHT_FFMPEG_LOGLEVEL": "warning",
           # ffmpeg warns of the deprecated option at each start
           "FANLIGHT_FFMPEG_ARGS": "-vsync cfr"}
    with System(tmp_path, cameras=("front",), edges=1, env=env) as system:
        eventually("up", lambda: system.value("front-0", "fanlight_ingest_camera_up"))
        kill_ffmpeg(system)
    found = lines(tmp_path, "ingest-front")
    assert {line["level"] for line in found} <= {"WARN", "ERROR"}, found
    assert any(line["target"] == "ffmpeg" for line in found), found
    # what the connection to the broker says is about the process
    about = [line for line in found if line["target"] != "fanlight_bus::nats"]
    assert all(line.get("camera") == "front" for line in about), about
