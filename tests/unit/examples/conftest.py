"""Fixtures of the tests of examples/bookinfo; ``bookinfo_shop`` says what they give."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.unit.examples.bookinfo_shop import BOOKINFO, V3, App, Names, Start


@pytest.fixture
def names() -> Iterator[Names]:
    found = Names()

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, body, extra = found.answer(self.path, headers)
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        found.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture
def start(names: Names) -> Iterator[Start]:
    """Starts a service as ``bookinfo.yaml`` does; it listens when this returns, and is stopped after the test."""
    with contextlib.ExitStack() as stack:

        def run(service: str, *arguments: str, **env: str) -> App:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", f"services.{service}", *(arguments or ("--port", "0"))],
                    cwd=BOOKINFO,
                    env={
                        "PATH": os.environ["PATH"],
                        "HOSTNAME": f"{service}-pod",
                        "http_proxy": f"http://127.0.0.1:{names.port}",
                        "no_proxy": "localhost,127.0.0.1",
                        **env,
                    },
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
            stack.callback(process.kill)
            app = App(process, 0, "")
            app.greeting = app.line()
            found = re.search(r"http://127\.0\.0\.1:(\d+)$", app.greeting.strip())
            app.port = int(found[1]) if found else 0
            return app

        yield run


@pytest.fixture
def shop(start: Start, names: Names) -> int:
    """The port of a productpage with everything behind it; ``reviews`` is v3."""
    for service, env in (("details", {}), ("ratings", {}), ("reviews", V3)):
        names.targets[service] = start(service, **env).port
    return start("productpage").port
