#!/usr/bin/env python3
"""Writes the seed corpora from the captures of the TS parser.

    fuzz/seeds.py            into fuzz/corpus/<target>/, beside what fuzzing has found

ts_chunker: two bytes of split, then a stream. psi: payload length, then flagged payloads.
parameter_sets: codec number, then the parameter set.
"""

import hashlib
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
