"""A WebSocket viewer made of the Python package `websockets` and nothing of ours.

    ws_record.py ADDRESS SECONDS FILE

Writes the binary messages to FILE and prints one line of JSON: how many, whether
any was text, and whether all were whole TS packets.
"""

import asyncio
import json
import sys
import time

import websockets


async def record(address, seconds, path):
    messages = texts = ragged = 0
    deadline = time.monotonic() + seconds
    with open(path, "wb") as out:
        async with websockets.connect(address, max_size=None) as socket:
            while (left := deadline - time.monotonic()) > 0:
                try:
                    message = await asyncio.wait_for(socket.recv(), left)
                except asyncio.TimeoutError:
                    break
                if isinstance(message, str):
                    texts += 1
                    continue
                messages += 1
                ragged += len(message) % 188 != 0
                out.write(message)
    print(json.dumps({"messages": messages, "texts": texts, "ragged": ragged}))


asyncio.run(record(sys.argv[1], float(sys.argv[2]), sys.argv[3]))
