"""A web server on this machine that misbehaves as told."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Serves ``files``; remembers what it was asked for; misbehaves as told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []  # path, Range
        self.cut_after: int | None = None  # bytes of a response's body
        self.resumes = True

    def handle_error(self, *_: object) -> None:
        pass  # a client that refuses what is sent hangs up

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path[1:], self.headers["Range"]))
        body = self.server.files.get(self.path[1:])
        if body is None:
            self.send_error(404)
            return
        start = 0
        if self.headers["Range"] and self.server.resumes:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:][: self.server.cut_after])

    def log_message(self, *_: object) -> None:
        pass
