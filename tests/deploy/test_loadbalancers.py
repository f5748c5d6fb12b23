"""haproxy, nginx and Envoy as shipped in front of three edges: spread, drain, idle sockets, addresses."""

import asyncio
import contextlib
import json
import time

import pytest
import yaml
from _lb import DEPLOY, HOME, Site, check, eventually, tool
from _viewers import Crowd
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

EDGES = ("edge-1", "edge-2", "edge-3")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    one = Site(tmp_path_factory.mktemp("lb"))
    yield one
    one.stop()


def watch(port, camera, client=HOME, **headers):
    """A viewer that never sends a ping of its own, from one of this machine's loopback addresses."""
    return connect(f"ws://{HOME}:{port}/ws/{camera}", subprotocols=["fanlight.v1"], max_size=None,
                   compression=None, ping_interval=None, open_timeout=20, local_addr=(client, 0),
                   additional_headers=headers)


async def pictures(socket, count):
    """Reads until so many pictures have come."""
    async with asyncio.timeout(30):
        while count:
            count -= isinstance(await socket.recv(), bytes)


def connected(site, edge, remote):
    lines = [json.loads(line) for line in site.log(edge).splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("message") == "viewer connected" and line["remote"] == remote]


@pytest.mark.parametrize("balancer", ["haproxy", "nginx", "envoy"])
def test_viewers_spread_evenly(site, balancer):
    async def sixty():
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(60):
                await stack.enter_async_context(watch(getattr(site, balancer), "yard"))
            return [site.viewers(edge) for edge in EDGES]

    counts = asyncio.run(sixty())
    assert sum(counts) == 60
    assert min(counts) >= 15 and max(counts) <= 25, counts
    eventually("nobody watches", lambda: not any(map(site.viewers, EDGES)))


@pytest.mark.parametrize("balancer, edges, host", [
    ("haproxy", EDGES, 20), ("nginx", EDGES, 21), ("tcp", ("behind",), 22), ("envoy", EDGES, 23)])
def test_the_edge_knows_the_clients_address(site, balancer, edges, host):
    """Three clients, and what they claim to be is not believed."""
    clients = [f"127.{host}.0.{n}" for n in (1, 2, 3)]

    async def visit():
        for client in clients:
            async with watch(getattr(site, balancer), "gate", client,
                             **{"X-Forwarded-For": "203.0.113.9"}) as socket:
                await pictures(socket, 3)

    asyncio.run(visit())
    for client in clients:
        eventually(f"{client} in a log", lambda c=client: any(connected(site, e, c) for e in edges), 5)
    assert not any(connected(site, edge, "203.0.113.9") for edge in edges)


def test_sockets_without_pictures_stay_up_for_more_than_a_minute(site):
    """A camera that is not live: only the edge's pings pass. Then it starts, and the same sockets show it."""
    ports = [site.haproxy, site.nginx, site.tcp, site.envoy]

    async def wait():
        async with contextlib.AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(watch(port, "yard")) for port in ports]
            opened = time.monotonic()
            try:
                await asyncio.gather(*(silence(socket, opened + 64) for socket in sockets))
            except ConnectionClosed as end:
                raise AssertionError(f"closed after {time.monotonic() - opened:.0f} s: {end}") from end
            site.system.ingest("yard")
            await asyncio.gather(*(pictures(socket, 5) for socket in sockets))

    async def silence(socket, end):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + end - time.monotonic()):
                while True:
                    assert isinstance(await socket.recv(), str), "a picture of a camera that is not there"

    asyncio.run(wait())


def test_an_edge_leaves_and_comes_back_elsewhere(site):
    """No viewer loses a picture; haproxy finds the new address by asking Docker's name server."""
    crowds = [Crowd((HOME, port, f"{HOME}:{port}"), ["gate"], 12) for port in (site.haproxy, site.nginx, site.envoy)]
    for crowd in crowds:
        crowd.start()
    eventually("all watch", lambda: all(v.pictures() > 5 for c in crowds for v in c.viewers))
    here = site.viewers("edge-3")
    assert here >= 4, "viewers of all balancers"
    site.drain("edge-3")
    seen = [viewer.pictures() for crowd in crowds for viewer in crowd.viewers]
    eventually("all go on", lambda: all(
        v.pictures() > n + 5 for v, n in zip((v for c in crowds for v in c.viewers), seen, strict=True)))
    for crowd in crowds:
        crowd.stop()
        assert not [viewer.lost for viewer in crowd.viewers if viewer.lost]
        assert not sum(viewer.holes() for viewer in crowd.viewers)
        assert sum(viewer.moves for viewer in crowd.viewers) >= 1
    assert sum(viewer.moves for crowd in crowds for viewer in crowd.viewers) >= here

    site.edge("edge-3", "127.77.0.33")
    site.ready("edge-3")

    async def come():
        async with watch(site.haproxy, "gate"), watch(site.haproxy, "gate"), watch(site.haproxy, "gate"):
            return site.viewers("edge-3")

    assert eventually("haproxy uses the new address", lambda: asyncio.run(come()))


@pytest.mark.parametrize("file", ["haproxy.cfg", "tcp.cfg"])
def test_haproxy_finds_nothing_to_warn_of(tmp_path, file):
    text = (DEPLOY / "haproxy" / file).read_text()
    text = text.replace("server edge-1 edge-1", f"server edge-1 {HOME}")
    text = text.replace("server edge-2 edge-2", f"server edge-2 {HOME}")
    config = tmp_path / file
    config.write_text(text)
    check(tool("haproxy"), "-c", "-dW", "-f", config)


def test_envoy_has_what_websockets_need():
    """Each setting whose default would do harm, also where the tests above would not wait for it."""
    static = yaml.safe_load((DEPLOY / "envoy/envoy.yaml").read_text())["static_resources"]
    (listener,), (cluster,) = static["listeners"], static["clusters"]
    http = listener["filter_chains"][0]["filters"][0]["typed_config"]
    (route,) = http["route_config"]["virtual_hosts"][0]["routes"]
    assert http["upgrade_configs"] == [{"upgrade_type": "websocket"}]
    assert http["use_remote_address"] is True and http["xff_num_trusted_hops"] == 0
    assert http["request_timeout"] == route["route"]["timeout"] == "0s"
    assert float(http["delayed_close_timeout"].removesuffix("s")) <= 0.2
    for idle in (http["stream_idle_timeout"], route["route"]["idle_timeout"]):
        assert int(idle.removesuffix("s")) >= 3600
    assert route["route"]["cluster"] == cluster["name"] == cluster["load_assignment"]["cluster_name"]
    assert route["route"]["retry_policy"]["retriable_status_codes"] == [503]
    assert cluster["type"] == "STRICT_DNS" and cluster["close_connections_on_host_health_failure"] is False
    assert cluster["circuit_breakers"]["thresholds"][0]["max_requests"] >= 100_000
    (health,) = cluster["health_checks"]
    assert health["http_health_check"]["path"] == "/readyz"
    assert health["interval"] == health["no_traffic_interval"] == "1s" and health["unhealthy_threshold"] == 3
    edges = [one["endpoint"] for one in cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]]
    assert [(e["address"]["socket_address"]["port_value"], e["health_check_config"]["port_value"])
            for e in edges] == [(8103, 9103)] * 2
