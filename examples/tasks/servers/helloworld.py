"""Answers /hello with where it runs, until it is told to /drain: from then on it is not ready. /resume ends that."""

from __future__ import annotations

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # one packet for an answer
    ready = True

    def do_GET(self) -> None:
        match self.path:
            case "/hello":
                self._answer(200, f"Hello version: {os.environ.get('SERVICE_VERSION', 'v1')}\n")
            case "/ready":
                self._answer(200 if Hello.ready else 503, f"{Hello.ready}\n")
            case "/drain" | "/resume":
                Hello.ready = self.path == "/resume"
                self._answer(200, f"ready: {Hello.ready}\n")
            case _:
                self._answer(404, "there is /hello\n")

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Hello).serve_forever()
