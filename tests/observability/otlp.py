"""A receiver of OTLP over HTTP that reads as much of the protobuf as tests ask for.

Field numbers: opentelemetry-proto, collector/trace/v1 and trace/v1.
"""

import http.server
import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    service: str
    trace: str
    id: str
    parent: str
    name: str


def fields(data):
    """(field number, value) of each field: bytes of length-delimited ones, else an integer."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
        else:
            size = {1: 8, 5: 4}.get(kind)
            size = varint() if size is None else size
            yield key >> 3, data[at : at + size]
            at += size


def all_of(data, number):
    return [value for field, value in fields(data) if field == number]


def first(data, number, default=b""):
    return next(iter(all_of(data, number)), default)


def spans_of(request):
    for of_resource in all_of(request, 1):
        attributes = {
            first(pair, 1).decode(): first(first(pair, 2), 1)
            for pair in all_of(first(of_resource, 1), 1)
        }
        service = attributes["service.name"].decode()
        for scope in all_of(of_resource, 2):
            for span in all_of(scope, 2):
                yield Span(service, first(span, 1).hex(), first(span, 2).hex(),
                           first(span, 4).hex(), first(span, 5).decode())


class Receiver:
    """Listens on a free port of loopback until closed."""

    def __init__(self):
        self.spans = spans = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/traces":
                    spans.extend(spans_of(body))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
