#!/usr/bin/python3
"""An RTSP camera for tests, on GStreamer's RTSP server.

Runs on Debian's own python3, the one that has gi. When it listens it prints one
line of JSON: {"url": ..., "open_url": ..., "port": ...}; open_url is without
credentials. It ends on SIGTERM, and by itself when its parent has gone.

The picture carries a clock that programs can read: a strip of 32 cells across
the top, see strip() below. SIGSTOP makes it the camera that keeps its
connection and goes silent; --change-size-after the one that changes its mind.
"""

import argparse
import json
import os
import signal
import sys
import time
import urllib.parse

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

STRIP_ROWS = 32
CELLS = 32
SOUND_RATE = 8000


def strip(milliseconds):
    """The clock as 32 bits, left to right: 1 0, then 24 bits of unix
    milliseconds modulo 2^24 (highest first), 4 bits of check sum (the sum of the
    six nibbles modulo 16), 0 1. tests/browser/lib/clock.mjs reads it, and
    tests/tools/ffmpeg-clock draws the same one."""
    value = milliseconds & 0xFFFFFF
    check = sum((value >> shift) & 15 for shift in range(0, 24, 4)) & 15
    return f"10{value:024b}{check:04b}01"


class Picture:
    """Draws I420 pictures: the clock, and a bar that moves below it."""

    def __init__(self, width, height):
        self.width, self.height = width, height
        self.cell = [
            (width * i // CELLS, width * (i + 1) // CELLS) for i in range(CELLS)
        ]
        ramp = bytes(40 + 140 * x // width for x in range(width))
        self.background = bytearray(ramp * (height - STRIP_ROWS))
        quarter = (width // 2) * (height // 2)
        self.chroma = bytes([110]) * quarter + bytes([140]) * quarter
        self.count = 0

    def draw(self):
        row = bytearray(self.width)
        for bit, (left, right) in zip(strip(time.time_ns() // 1_000_000), self.cell):
            row[left:right] = (b"\xeb" if bit == "1" else b"\x10") * (right - left)
        lines = self.height - STRIP_ROWS
        top = (self.count * 7) % (lines - 24)
        body = bytearray(self.background)
        body[top * self.width : (top + 24) * self.width] = bytes([200]) * (24 * self.width)
        self.count += 1
        return bytes(row) * STRIP_ROWS + bytes(body) + self.chroma


class Recording:
    """Hands out one group of H.265 pictures, encoded before anybody asks, over and over:
    a machine that is busy with tests can't keep up with x265."""

    def __init__(self, options):
        width, height = options.size
        self.count, self.pictures = 0, []
        pictures = max(1, round(options.gop * options.fps))
        pipeline = Gst.parse_launch(
            f"appsrc name=source format=time ! x265enc tune=zerolatency speed-preset=ultrafast"
            f" key-int-max={pictures} bitrate={options.bitrate}"
            " ! h265parse config-interval=-1 ! video/x-h265,stream-format=byte-stream,alignment=au"
            " ! appsink name=sink sync=false max-buffers=0"
        )
        source, sink = (pipeline.get_child_by_name(n) for n in ("source", "sink"))
        source.set_property("caps", raw_caps(width, height, options.fps))
        pipeline.set_state(Gst.State.PLAYING)
        picture = Picture(width, height)
        for number in range(pictures):
            buffer = Gst.Buffer.new_wrapped(picture.draw())
            buffer.pts = buffer.dts = number * Gst.SECOND // options.fps
            buffer.duration = Gst.SECOND // options.fps
            source.emit("push-buffer", buffer)
        source.emit("end-of-stream")
        while sample := sink.emit("pull-sample"):
            self.caps = sample.get_caps()
            buffer = sample.get_buffer()
            self.pictures.append(buffer.extract_dup(0, buffer.get_size()))
        pipeline.set_state(Gst.State.NULL)
        if len(self.pictures) != pictures:
            sys.exit(f"rtsp_camera: x265 made {len(self.pictures)} of {pictures} pictures")

    def draw(self):
        self.count += 1
        return self.pictures[(self.count - 1) % len(self.pictures)]


def raw_caps(width, height, fps):
    return Gst.Caps.from_string(
        f"video/x-raw,format=I420,width={width},height={height},framerate={fps}/1,pixel-aspect-ratio=1/1"
    )


def runs(element):
    """Whether an appsrc knows what time it is. Between its clock and its base time, which
    come one after the other, it would stamp a picture with the hours since the machine
    started, and the sink would wait as long."""
    return element.get_clock() is not None and element.get_base_time() > 0


class Feed:
    """Pushes pictures into one media's appsrc, on time, until it is unprepared."""

    def __init__(self, source, sound, options, recording):
        self.source, self.sound, self.options = source, sound, options
        self.started = time.monotonic()
        self.count = 0
        self.timer = None
        self.sized = None
        if recording:
            recording.count = 0
            self.picture = recording
            source.set_property("caps", recording.caps)
        else:
            self.resize(*options.size)
        self.schedule()

    def resize(self, width, height):
        self.picture = Picture(width, height)
        self.source.set_property("caps", raw_caps(width, height, self.options.fps))

    def schedule(self):
        due = self.started + self.count / self.options.fps
        wait = max(0, int((due - time.monotonic()) * 1000))
        self.timer = GLib.timeout_add(wait, self.push, priority=GLib.PRIORITY_HIGH)

    def push(self):
        change = self.options.change_size_after
        if change and not self.sized and self.count >= change * self.options.fps:
            self.sized = True
            self.resize(self.options.size[0] // 2, self.options.size[1] // 2)
        if runs(self.source):
            buffer = Gst.Buffer.new_wrapped(self.picture.draw())
            buffer.duration = Gst.SECOND // self.options.fps
            self.source.emit("push-buffer", buffer)
        if self.sound and runs(self.sound):
            tone = bytes([0x10, 0x90]) * (SOUND_RATE // self.options.fps // 2)
            self.sound.emit("push-buffer", Gst.Buffer.new_wrapped(tone))
        self.count += 1
        self.schedule()
        return False

    def stop(self):
        if self.timer:
            GLib.source_remove(self.timer)
            self.timer = None


def launch_line(options):
    pushed = "appsrc name=source is-live=true format=time do-timestamp=true block=false"
    source = f"{pushed} ! videoconvert"
    bitrate = options.bitrate
    gop = max(1, round(options.gop * options.fps))
    h264 = (
        f"{source} ! x264enc tune=zerolatency sliced-threads=false threads=1 speed-preset=ultrafast key-int-max={gop} bitrate={bitrate}"
        " ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1"
    )
    h265 = f"{pushed} ! h265parse ! rtph265pay name=pay0 pt=96 config-interval=-1"
    # A seekable audiotestsrc beside an appsrc makes the server fail on PLAY, so the
    # sound that goes with pictures is pushed too.
    sound = (
        "appsrc name=sound is-live=true format=time do-timestamp=true block=false"
        f" caps=audio/x-mulaw,rate={SOUND_RATE},channels=1 ! rtppcmupay name=pay1 pt=0"
    )
    only_sound = (
        f"audiotestsrc is-live=true ! audio/x-raw,rate={SOUND_RATE},channels=1"
        " ! mulawenc ! rtppcmupay name=pay0 pt=0"
    )
    return {
        "h264": f"( {h264} )",
        "h265": f"( {h265} )",
        "h264+audio": f"( {h264} {sound} )",
        "audio": f"( {only_sound} )",
    }[options.codec]


def size(text):
    width, _, height = text.partition("x")
    return int(width), int(height)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--address", default="127.0.0.1", help="where to listen")
    parser.add_argument("--path", default="/stream")
    parser.add_argument("--codec", choices=["h264", "h265", "h264+audio", "audio"], default="h264")
    parser.add_argument("--size", type=size, default=(640, 480), metavar="WIDTHxHEIGHT")
    parser.add_argument("--fps", type=int, default=15)
    parser.add_argument("--gop", type=float, default=2.0, help="seconds between key pictures")
    parser.add_argument("--bitrate", type=int, default=800, help="kbit/s")
    parser.add_argument("--auth", choices=["digest", "basic", "none"], default="digest")
    parser.add_argument("--user", default="cam")
    parser.add_argument("--password", default="p@ss/word")
    parser.add_argument("--change-size-after", type=float, metavar="SECONDS", help="halves the size, once")
    options = parser.parse_args()
    if options.codec == "h265" and options.change_size_after:
        parser.error("--change-size-after needs a camera that encodes as it goes: not h265")
    return options


def protect(server, factory, options):
    auth = GstRtspServer.RTSPAuth.new()
    auth.set_realm("camera")
    token = GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
    if options.auth == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(options.user, options.password, token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(options.user, options.password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions.new()
    for name in (
        GstRtspServer.RTSP_PERM_MEDIA_FACTORY_ACCESS,
        GstRtspServer.RTSP_PERM_MEDIA_FACTORY_CONSTRUCT,
    ):
        permissions.add_permission_for_role("viewer", name, True)
    factory.set_permissions(permissions)


def main():
    options = arguments()
    parent = os.getppid()
    Gst.init(None)
    server = GstRtspServer.RTSPServer.new()
    server.set_address(options.address)
    server.set_service(str(options.port))

    recording = Recording(options) if options.codec == "h265" else None
    factory = GstRtspServer.RTSPMediaFactory.new()
    factory.set_launch(launch_line(options))
    factory.set_shared(True)
    factory.set_latency(0)

    def configure(_factory, media):
        element = media.get_element()
        source = element.get_child_by_name("source")
        if source:
            feed = Feed(source, element.get_child_by_name("sound"), options, recording)
            media.connect("unprepared", lambda _media: feed.stop())

    factory.connect("media-configure", configure)
    if options.auth != "none":
        protect(server, factory, options)
    server.get_mount_points().add_factory(options.path, factory)
    if server.attach(None) == 0:
        sys.exit(f"rtsp_camera: can't listen on port {options.port}")

    port = server.get_bound_port()
    who = ""
    if options.auth != "none":
        who = f"{options.user}:{urllib.parse.quote(options.password, safe='')}@"
    print(
        json.dumps(
            {
                "url": f"rtsp://{who}{options.address}:{port}{options.path}",
                "open_url": f"rtsp://{options.address}:{port}{options.path}",
                "port": port,
            }
        ),
        flush=True,
    )

    loop = GLib.MainLoop()
    for number in (signal.SIGTERM, signal.SIGINT):
        GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, loop.quit)
    GLib.timeout_add_seconds(1, lambda: os.getppid() == parent or loop.quit())
    loop.run()


if __name__ == "__main__":
    main()
