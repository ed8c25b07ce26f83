"""What Istio's tasks ask of httpbin: /get, /headers, /status/NUMBER and /delay/SECONDS; each request is a line of the log."""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Httpbin(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # one packet for an answer

    def do_GET(self) -> None:
        print(f"{self.command} {self.path} for {self.headers['host']}", flush=True)
        first, _, value = self.path.strip("/").partition("/")
        match first:
            case "get" | "headers":
                self._answer(200)
            case "status" if value.isdigit() and 200 <= int(value) <= 599:
                self._answer(int(value))
            case "delay" if value.replace(".", "", 1).isdigit():
                time.sleep(min(float(value), 10))
                self._answer(200)
            case _:
                self._answer(404)

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, status: int) -> None:
        body = json.dumps({"headers": dict(self.headers)}, indent=2).encode() + b"\n"
        if status in (204, 304):
            body = b""
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Httpbin).serve_forever()
