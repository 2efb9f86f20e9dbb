"""A local HTTP server that can misbehave in the ways that servers do."""

from __future__ import annotations

import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Fault = Callable[["Handler", bytes], None]


class Handler(BaseHTTPRequestHandler):
    """Serves the files of its server; a request takes the next fault queued for its path."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        wanted = self.headers.get("Range")
        with self.server.lock:
            self.server.requests.append((name, wanted))
            fault = self.server.faults[name].pop(0) if self.server.faults[name] else None
        content = self.server.files.get(name)
        if fault is not None:
            fault(self, content or b"")
        elif content is None:
            self.answer(404, b"not here")
        else:
            self.serve(content, wanted)

    def serve(self, content: bytes, wanted: str | None) -> None:
        """The whole file, or the range asked for."""
        found = re.fullmatch(r"bytes=(\d+)-", wanted or "")
        start = int(found[1]) if found else 0
        if start and start >= len(content):
            self.answer(416, b"")
        elif start:
            self.answer(206, content[start:], {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"})
        else:
            self.answer(200, content)

    def answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, *, length: int | None = None
    ) -> None:
        """Send an answer; ``length``: what Content-Length says instead of the truth, after which the connection ends."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = length is not None

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """A server on a free local port, used as a context manager.

    Attributes:
        files: path -> content.
        faults: path -> what happens to its next requests, one after the other.
        requests: (path, Range header) of each request so far.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: defaultdict[str, list[Fault]] = defaultdict(list)
        self.requests: list[tuple[str, str | None]] = []
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no error here."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Server:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()


def dropped(after: int) -> Fault:
    """Announce the whole file (or range), send some bytes of it, hang up."""

    def fault(handler: Handler, content: bytes) -> None:
        wanted = handler.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        body = content[start : start + after]
        handler.answer(206 if start else 200, body, headers, length=len(content) - start)

    return fault


def silent_end(after: int) -> Fault:
    """Send some bytes without announcing how many, hang up: nothing in the protocol says that it is not all."""

    def fault(handler: Handler, content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(content[:after])
        handler.close_connection = True

    return fault


def ignored_range(handler: Handler, content: bytes) -> None:
    """Answer a request for a range with the whole file."""
    handler.answer(200, content)


def wrong_range(handler: Handler, content: bytes) -> None:
    """Answer a request for a range with another range."""
    handler.answer(206, content[1:], {"Content-Range": f"bytes 1-{len(content) - 1}/{len(content)}"})


def status(code: int, headers: dict[str, str] | None = None) -> Fault:
    """Answer with an error, or a redirection with the header Location."""
    return lambda handler, _: handler.answer(code, b"an error page", headers)


def sends(body: bytes, headers: dict[str, str] | None = None) -> Fault:
    """Answer with other bytes."""
    return lambda handler, _: handler.answer(200, body, headers)


def endless(handler: Handler, content: bytes) -> None:
    """Send the file over and over, without announcing a length."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(content)
    handler.close_connection = True


def slow(pieces: int, pause: float) -> Fault:
    """Send the file (or range) in pieces with pauses between them."""

    def fault(handler: Handler, content: bytes) -> None:
        wanted = handler.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        body = content[start:]
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        step = -(-len(body) // pieces)
        for position in range(0, len(body), step):
            handler.wfile.write(body[position : position + step])
            handler.wfile.flush()
            time.sleep(pause)

    return fault


def stalled(after: int, gate: threading.Event) -> Fault:
    """Send some bytes, then nothing until ``gate`` is set."""

    def fault(handler: Handler, content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:after])
        handler.wfile.flush()
        gate.wait(60)
        handler.close_connection = True

    return fault
