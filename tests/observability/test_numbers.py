"""The numbers are true: what /metrics says is what viewers and a NATS subscriber counted."""

import asyncio
import threading
import time

import nats
import pytest
from system import PACKET, System, eventually, paused


class Subscriber(threading.Thread):
    """Counts media messages of all cameras from outside."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.messages, self.bytes = url, 0, 0
        self.ready, self.end = threading.Event(), threading.Event()
        self.start()
        assert self.ready.wait(10)

    def run(self):
        asyncio.run(self.count())

    async def count(self):
        client = await nats.connect(self.url)

        async def on_message(message):
            self.messages += 1
            self.bytes += len(message.data)

        await client.subscribe("fanlight.*.*.ts", cb=on_message)
        await client.flush()
        self.ready.set()
        while not self.end.is_set():
            await asyncio.sleep(0.05)
        await client.close()


@pytest.fixture
def system(tmp_path):
    """One camera whose ingest starts after the subscriber listens."""
    with System(tmp_path, cameras=(), edges=0) as running:
        running.counted = Subscriber(running.nats_url)
        running.ingests["front"] = running.ingest("front")
        running.edge("edge-0", ("front",))
        running.edge("edge-1", ("front",))
        eventually("up", lambda: running.value("front-0", "fanlight_ingest_camera_up"))
        for pod in ("edge-0", "edge-1"):
            eventually(pod, lambda p=pod: running.value(p, "fanlight_edge_viewer_limit"))
        yield running
        running.counted.end.set()


def edge_sum(system, name, **labels):
    return sum(system.value(pod, name, **labels) for pod in ("edge-0", "edge-1"))


def test_counts_equal_what_was_seen(system):
    viewers = []
    for round_ in range(3):
        joined = [system.view(edge, "front") for edge in (0, 1) for _ in range(2)]
        for viewer in joined:
            eventually("pictures", lambda v=viewer: v.messages > 10)
        assert edge_sum(system, "fanlight_edge_viewers", camera="front") == 4
        time.sleep(0.3 * round_)
        for viewer in joined:
            viewer.leave()
        viewers += joined
    eventually("all gone", lambda: edge_sum(system, "fanlight_edge_viewers") == 0)

    def sent(name):
        return edge_sum(system, f"fanlight_edge_{name}", camera="front")

    assert sent("sent_chunks_total") == sum(v.messages for v in viewers)
    assert sent("sent_bytes_total") == sum(v.bytes for v in viewers)
    assert sent("sent_ts_packets_total") * PACKET == sum(v.bytes for v in viewers)
    assert sent("sequence_gaps_total") == 0
    assert edge_sum(system, "fanlight_edge_connections_total", result="accepted") == 12
    assert edge_sum(system, "fanlight_edge_disconnects_total") == 12
    assert edge_sum(system, "fanlight_edge_disconnects_total", reason="client") == 12

    def ingest(name):
        return system.value("front-0", f"fanlight_ingest_{name}")

    # With ffmpeg halted nothing is on its way. Less than the stall time, so it is not replaced.
    with paused(system.ffmpeg_of("front")):
        time.sleep(1)
        counted = system.counted
        assert ingest("published_chunks_total") == counted.messages
        assert ingest("published_bytes_total") == counted.bytes
        assert ingest("received_bytes_total") == ingest("ts_packets_total") * PACKET
        # What is read and not yet published is at most the picture in the making.
        missing = ingest("received_bytes_total") - ingest("published_bytes_total")
        assert 0 <= missing < 200_000
        assert ingest("ts_errors_total") == 0


def test_viewers_that_break_off_are_counted_and_leave_no_series(system):
    def series(pod):
        return len(system.metrics(pod).splitlines())

    first = system.view(0, "front")
    eventually("pictures", lambda: first.messages > 10)
    before = series("edge-0")
    crowd = [system.view(0, "front") for _ in range(30)]
    for viewer in crowd:
        eventually("pictures", lambda v=viewer: v.messages > 3)
    assert series("edge-0") == before, "series must not depend on the number of viewers"
    for viewer in crowd:
        viewer.abandon()
    eventually("gone", lambda: system.value("edge-0", "fanlight_edge_viewers") == 1)
    first.leave()
    seen = first.bytes + sum(v.bytes for v in crowd)
    assert system.value("edge-0", "fanlight_edge_sent_bytes_total") >= seen
    eventually("ended",
               lambda: system.value("edge-0", "fanlight_edge_disconnects_total") == 31)
