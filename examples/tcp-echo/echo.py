"""Returns each line that it gets, with a word before it; says who it is as soon as somebody connects."""

from __future__ import annotations

import os
import socketserver
import sys

WORD = os.environ.get("WORD", "echo").encode()


class Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"this is " + WORD + b"\n")
        for line in self.rfile:
            self.wfile.write(WORD + b" " + line)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    with Server(("127.0.0.1", int(sys.argv[1])), Echo) as server:
        server.serve_forever()
