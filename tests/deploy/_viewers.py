"""Many viewers of fanlight.v1 that move when they are told to, as the player does, and count."""

import asyncio
import json
import threading
import time

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake


class Viewer:
    """Keeps each picture's place (run, seq), from whichever socket it came first."""

    def __init__(self, crowd, camera):
        self.crowd, self.camera = crowd, camera
        self.places, self.last, self.longest = {}, None, 0.0
        self.moves, self.refused, self.lost = 0, 0, []

    async def watch(self, arrived=None):
        """One socket, and after a notice the next; one that ends without a notice is a loss."""
        socket = await self.open()
        if socket is None:
            return
        place = start = following = None
        while not self.crowd.stopped:
            try:
                async with asyncio.timeout(20):
                    message = await socket.recv()
            except (ConnectionClosed, TimeoutError) as end:
                if following is None:
                    self.lost.append(f"ended without notice: {end!r}")
                break
            if isinstance(message, bytes):
                if arrived and not arrived.done():
                    arrived.set_result(place)
                place = self.picture(place)
                # The old socket is left when it has shown what the new one starts with.
                if start and start.done() and (place[0] != start.result()[0] or place >= start.result()):
                    break
                continue
            event = json.loads(message)
            if event["type"] in ("hello", "mark") and "seq" in event:
                place = (event["run"], event["seq"])
            if event["type"] == "drain":
                self.moves += 1
                start = asyncio.get_running_loop().create_future()
                following = asyncio.create_task(self.watch(start))
        await socket.close()
        if following:
            await following

    def picture(self, place):
        run, seq = place
        now = time.monotonic()
        seen = self.places.setdefault(run, set())
        if seq not in seen:
            if self.last:
                self.longest = max(self.longest, now - self.last)
            self.last = now
            seen.add(seq)
        return run, seq + 1

    async def open(self):
        """A replica may be chosen that has just begun to drain: it says when to come again."""
        address, port, name = self.crowd.service
        for _ in range(20):
            try:
                return await connect(f"ws://{name}/ws/{self.camera}", host=address, port=port,
                                     subprotocols=["fanlight.v1"], max_size=None, compression=None,
                                     open_timeout=20, additional_headers=self.crowd.headers)
            except (OSError, InvalidHandshake):
                self.refused += 1
                await asyncio.sleep(0.5)
        self.lost.append("refused 20 times")
        return None

    def holes(self):
        """Pictures that never came, between the first and the last of each run."""
        return sum(max(seen) - min(seen) + 1 - len(seen) for seen in self.places.values())

    def pictures(self):
        return sum(map(len, self.places.values()))


class Crowd(threading.Thread):
    def __init__(self, service, cameras, count, headers=None):
        super().__init__(daemon=True)
        self.headers = headers
        self.service, self.stopped, self.failure = service, False, None
        self.viewers = [Viewer(self, cameras[i % len(cameras)]) for i in range(count)]

    def run(self):
        async def everybody():
            tasks = []
            for viewer in self.viewers:
                tasks.append(asyncio.create_task(viewer.watch()))
                await asyncio.sleep(0.01)
            await asyncio.gather(*tasks)
        try:
            asyncio.run(everybody())
        except Exception as failure:
            self.failure = failure

    def stop(self):
        self.stopped = True
        self.join(timeout=30)
        assert self.failure is None, repr(self.failure)
        assert not self.is_alive(), "the viewers did not end"
