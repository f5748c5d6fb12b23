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


def test_gop_requests_and_drains_are_spans(receiver, tmp_path):
    """A viewer that joins makes the edge ask: the ingest's answer is a child of the question."""
    otel = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "FANLIGHT_DRAIN_DELAY": "0",
        "FANLIGHT_DRAIN_SECONDS": "1",
    }

    def answered():
        asked = {span.id: span for span in receiver.spans if span.name == "gop_request"}
        replies = [span for span in receiver.spans if span.name == "gop_reply"]
        return [(asked[span.parent], span) for span in replies if span.parent in asked]

    with System(tmp_path, cameras=("front",), edges=1, env=otel) as system:
        viewer = system.view(0, "front")
        eventually("pictures", lambda: viewer.messages > 5)
        question, answer = eventually("a question with its answer", answered)[0]
        assert (question.service, answer.service) == ("fanlight-edge", "fanlight-ingest")
        assert question.trace == answer.trace and not question.parent
        assert not [span for span in receiver.spans if span.name == "drain"]
    # stopped with a viewer: the drain's span leaves with the process
    drains = [span for span in receiver.spans if span.name == "drain"]
    assert [(span.service, span.parent) for span in drains] == [("fanlight-edge", "")]
