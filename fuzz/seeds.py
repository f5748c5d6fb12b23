#!/usr/bin/env python3
"""Writes the seed corpora from the captures of the TS parser.

    fuzz/seeds.py            into fuzz/corpus/<target>/, beside what fuzzing has found

ts_chunker: two bytes of split, then a stream. psi: payload length, then flagged payloads.
parameter_sets: codec number, then the parameter set. client_frames: length of a piece, then what
a viewer sends. status: announcements and header values. config: cameras, users, patterns.
"""

import hashlib
import json
import pathlib
import re

FUZZ = pathlib.Path(__file__).resolve().parent
CAPTURES = FUZZ.parent / "services/shared/mpegts/tests/captures"
PACKET = 188


def write(target, data):
    folder = FUZZ / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def packets(stream):
    for at in range(0, len(stream), PACKET):
        packet = stream[at : at + PACKET]
        pid = int.from_bytes(packet[1:3], "big") & 0x1FFF
        start = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
        yield pid, bool(packet[1] & 0x40), packet[start:] if packet[3] & 0x10 else b""


def first_picture(stream, pid):
    """The elementary stream from the first PES packet of `pid` up to the next one."""
    unit = b""
    for packet_pid, starts, payload in packets(stream):
        if packet_pid == pid:
            if starts and unit:
                break
            unit += payload
    return unit[9 + unit[8] :] if unit else b""


for path in sorted(CAPTURES.glob("*.ts")):
    stream = path.read_bytes()
    for count, step in ((12, 65535), (40, 100), (70, 4095)):
        write("ts_chunker", step.to_bytes(2, "big") + stream[: count * PACKET])

    tables = [p for p in packets(stream) if p[0] in (0, 17, 0x1000)][:6]
    payloads = b"".join(bytes([starts]) + payload for _, starts, payload in tables)
    write("psi", bytes([185]) + payloads)

    for unit in re.split(b"\0\0\1", first_picture(stream, 0x100)[:4096])[1:]:
        unit = unit.rstrip(b"\0")
        if not unit:
            continue
        if path.name.startswith("h264") and unit[0] & 31 == 7:
            write("parameter_sets", b"\0" + unit)
        if path.name.startswith("h265") and unit[0] >> 1 & 63 == 33:
            write("parameter_sets", b"\1" + unit)
        if path.name.startswith("mpeg") and unit[0] == 0xB3:
            write("parameter_sets", b"\2" + unit[1:])
        if path.name == "mpeg2.ts" and unit[0] == 0xB5 and unit[1] >> 4 == 1:
            write("parameter_sets", bytes([8 * 4 + 3]) + b"\x16\x00\xf0\x14\xff\xff\xe0\x18" + unit[1:])

for path in sorted((FUZZ / "seeds").glob("*/*.hex")):
    for line in path.read_text().split("\n"):
        if line and not line.startswith("#"):
            write(path.parent.name, bytes.fromhex(line))

VECTORS = json.loads((FUZZ.parent / "docs/wire/fanlight.v1.json").read_text())
MASK = b"\x11\x22\x33\x44"


def frame(opcode, payload):
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    masked = bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))
    return bytes([0x80 | opcode]) + size + MASK + masked


def messages(node):
    """Every JSON object with a `type` in the golden vectors."""
    if isinstance(node, dict):
        if isinstance(node.get("type"), str):
            yield json.dumps(node).encode()
        for value in node.values():
            yield from messages(value)
    elif isinstance(node, list):
        for value in node:
            yield from messages(value)


for message in messages(VECTORS):
    write("client_frames", b"\x07" + frame(1, message) + frame(9, b"ping") + frame(8, b"\x03\xe8bye"))
for text in (
    '{"camera":"gate","rendition":"main","state":"live","codec":"avc1.42C01E","width":640,"height":480,'
    '"fps":15.0,"gop_seconds":2.0,"replay":true,"run":"1700000000000-0a1b2c3d-0001","since":1700000000000,'
    '"ttl":6.0,"instance":"0a1b2c3d","time":1700000000000000000}',
    "640x480@15",
    "1/3",
    "front-door",
):
    write("status", text.encode())
for text in (
    "gate: {url: 'rtsp://cam:canary7f3a@127.0.0.1/s', codec: copy}\nyard: {url: test, size: 640x480, fps: 15}\n",
    "gate: {input: test, bitrate: 800k, gopSeconds: 2, rtspTransport: udp}\n",
    "anna:$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$AAAA:gate,yard-*\n",
    "10.0.0.0/8",
):
    write("config", text.encode())
