"""Small resources for tests of whole meshes: servers of the standard library, quick to start, and their services."""

from __future__ import annotations

import json
from collections.abc import Sequence

# Serves on the port that it is given as an application is; tells each caller its own name.
SERVER = """
import http.server, os, sys
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    def do_GET(self):
        body = os.environ["ANSWER"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        print("served", self.path, flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
SERVE = ("python3", "-c", SERVER, "$(PORT)")


def service(name: str) -> str:
    """A service on port 80 of the workloads that are labelled with its name."""
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: http, port: 80, targetPort: http}}]
"""


def workload(name: str, command: Sequence[str] = SERVE, *, app: str = "", more: str = "") -> str:
    """A workload that answers with its name; ``more`` are further lines of its spec."""
    return f"""
apiVersion: mizzen.dev/v1alpha1
kind: Workload
metadata: {{name: {name}, labels: {{app: {app or name}}}}}
spec:
  command: {json.dumps(list(command))}
  env: [{{name: ANSWER, value: {name}}}]
  ports: [{{name: http, containerPort: 8080}}]
{more}
"""


def joined(*documents: str) -> str:
    return "---".join(documents)
