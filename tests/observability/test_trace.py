"""One trace from ffmpeg's output to the viewer's socket, over NATS, at a real OTLP receiver."""

import json

import pytest
from otlp import Receiver
from system import System, eventually


@pytest.fixture
def receiver():
    one = Receiver()
    yield one
    one.close()


def ancestors(span, by_id):
    found = []
    while span.parent and span.parent in by_id:
        span = by_id[span.parent]
        found.append(span)
    return found


def test_a_chunk_is_one_trace_over_nats(receiver, tmp_path):
    otel = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }

    def whole():
        """Spans of the edge whose line of parents ends in a root of the ingest."""
        by_id = {span.id: span for span in receiver.spans}
        for span in receiver.spans:
            line = ancestors(span, by_id)
            if span.service == "fanlight-edge" and line and not line[-1].parent:
                if line[-1].service == "fanlight-ingest":
                    return [span, *line]

    with System(tmp_path, cameras=("front",), edges=1, env=otel) as system:
        viewer = system.view(0, "front")
        eventually("pictures", lambda: viewer.messages > 10)
        chain = eventually("a whole trace", whole)
        viewer.leave()
    assert len({span.trace for span in chain}) == 1
    services = [span.service for span in chain]
    # Never back and forth: first the edge's spans, then the ingest's.
    assert services == sorted(services)
    names = [span.name for span in reversed(chain)]
    assert len(names) >= 3, names
    known = {span.name for span in receiver.spans}
    assert {"ffmpeg", "viewer"} <= known, known


def test_off_by_default(receiver, tmp_path):
    with System(tmp_path, cameras=("front",), edges=1) as system:
        viewer = system.view(0, "front")
        eventually("pictures", lambda: viewer.messages > 5)
        viewer.leave()
        lines = [json.loads(line) for line in (tmp_path / "edge-0.log").read_text().splitlines()]
    assert lines and not any("trace_id" in line for line in lines)
    assert receiver.spans == []
