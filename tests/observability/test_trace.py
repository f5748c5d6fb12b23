"""One trace from ffmpeg's output over NATS to the viewer's socket, at a real OTLP receiver."""

import asyncio
import json
import re

import nats
import pytest
from otlp import Receiver
from system import System, eventually

OTEL = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_BSP_SCHEDULE_DELAY": "200"}


@pytest.fixture
def receiver():
    one = Receiver()
    yield one
    one.close()


def headers_of(url, count):
    """The traceparent of the next media messages."""

    async def read():
        client = await nats.connect(url)
        subscription = await client.subscribe("fanlight.*.*.ts")
        found = [(await subscription.next_msg(timeout=10)).headers for _ in range(count)]
        await client.close()
        return [headers.get("traceparent") for headers in found]

    return asyncio.run(read())


def test_a_chunk_carries_its_trace_into_nats(receiver, tmp_path):
    otel = OTEL | {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
    with System(tmp_path, cameras=("front",), edges=0, env=otel) as system:
        header = headers_of(system.nats_url, 5)[-1]
        trace, chunk = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-01", header).groups()

        def by_id():
            return {span.id: span for span in list(receiver.spans) if span.trace == trace}

        spans = eventually("the chunk's span", lambda: chunk in by_id() and by_id())
        picture = spans[spans[chunk].parent]
    assert (spans[chunk].name, picture.name) == ("chunk", "picture")
    assert picture.parent == "" and picture.service == "fanlight-ingest"
    # A span of a whole run of ffmpeg is known when it ends.
    assert "ffmpeg" in {span.name for span in receiver.spans}


def ancestors(span, by_id):
    found = []
    while span.parent and span.parent in by_id:
        span = by_id[span.parent]
        found.append(span)
    return found


def test_a_chunk_is_one_trace_over_nats(receiver, tmp_path):
    otel = OTEL | {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}

    def whole():
        """Spans of the edge whose line of parents ends in a root of the ingest."""
        by_id = {span.id: span for span in list(receiver.spans)}
        for span in list(receiver.spans):
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
        assert headers_of(system.nats_url, 3) == [None] * 3
        viewer = system.view(0, "front")
        eventually("pictures", lambda: viewer.messages > 5)
        viewer.leave()
        lines = [json.loads(line) for line in (tmp_path / "edge-0.log").read_text().splitlines()]
    assert lines and not any("trace_id" in line for line in lines)
    assert receiver.spans == []
