"""The relay that the documentation of `websockets` leads to: relay.py PORT FEED-PORT."""

import asyncio
import sys

from websockets.asyncio.server import broadcast, serve


async def main(port: int, feed_port: int) -> None:
    viewers = set()

    async def watch(socket):
        viewers.add(socket)
        try:
            await socket.wait_closed()
        finally:
            viewers.discard(socket)

    reader, _ = await asyncio.open_connection("127.0.0.1", feed_port, limit=1 << 20)
    async with serve(watch, "127.0.0.1", port, compression=None, backlog=4096):
        while True:
            length = int.from_bytes(await reader.readexactly(4), "big")
            broadcast(viewers, await reader.readexactly(length))


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
