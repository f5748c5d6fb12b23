"""A plain NATS subscriber: writes the payloads of a subject to stdout, as a user
would pipe them into ffprobe.

    nats_record.py SERVER SUBJECT SECONDS | ffprobe -
"""

import asyncio
import sys

import nats


async def record(server, subject, seconds):
    client = await nats.connect(server)

    async def on_message(message):
        sys.stdout.buffer.write(message.data)
        sys.stdout.buffer.flush()

    await client.subscribe(subject, cb=on_message)
    await asyncio.sleep(seconds)
    await client.drain()


try:
    asyncio.run(record(sys.argv[1], sys.argv[2], float(sys.argv[3])))
except BrokenPipeError:
    pass
