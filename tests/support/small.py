"""Small things for tests of whole meshes: servers of the standard library, quick to start, and their services."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.applications import compose_labels
from tests.support.containers import Container, Engine
from tests.support.meshes import Mesh, running
from tests.support.polling import eventually

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


PORT = 8080
"""Of servers, and of their services where tests are for every runtime."""
NETWORK = "small"


# Requests that a replica of `web` was working on when it was killed are lost. Who may ask twice says so, as here.
ASKING_AGAIN = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web]
  http:
  - route: [{destination: {host: web}}]
    retries: {attempts: 5, retryOn: "connect-failure,refused-stream,reset,503"}
"""


def service(name: str, port: int = 80, port_name: str = "http") -> str:
    """A service of the workloads that are labelled with its name."""
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: {port_name}, port: {port}, targetPort: {PORT}}}]
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
  ports: [{{name: http, containerPort: {PORT}}}]
{more}
"""


def joined(*documents: str) -> str:
    return "---".join(documents)


@dataclass(frozen=True)
class Server:
    """A server as a mesh of any runtime has it: a workload, or a container for each replica.

    Replicas are called ``name-0`` and so on. ``app`` is its service, by default of its own name, and ``protocol`` what that
    speaks.
    """

    name: str
    app: str = ""
    replicas: int = 1
    command: Sequence[str] = SERVE
    protocol: str = "http"
    version: str = "v1"
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def service(self) -> str:
        return self.app or self.name

    @property
    def written(self) -> str:
        spec = {
            "command": list(self.command),
            "env": [{"name": name, "value": value} for name, value in self._env.items()],
            "ports": [{"name": self.protocol, "containerPort": PORT}],
            "replicas": self.replicas,
        }
        metadata = {"name": self.name, "labels": {"app": self.service, "version": self.version}}
        document = {"apiVersion": "mizzen.dev/v1alpha1", "kind": "Workload", "metadata": metadata, "spec": spec}
        return f"\n{json.dumps(document)}\n"

    @property
    def containers(self) -> Sequence[Container]:
        command = tuple(str(PORT) if part == "$(PORT)" else part for part in self.command)
        return [
            Container(
                f"{self.name}-{number}",
                command=command,
                network=NETWORK,
                aliases=(self.service,),
                labels=compose_labels(NETWORK, self.service, number)
                | {"mizzen.dev/ports": f"{PORT}/{self.protocol}", "mizzen.dev/version": self.version},
                env=self._env,
            )
            for number in range(self.replicas)
        ]

    @property
    def _env(self) -> dict[str, str]:
        return {"ANSWER": self.name, **self.env}


@contextlib.contextmanager
def running_servers(*servers: Server, capture: str, folder: Path) -> Iterator[Mesh]:
    """Runs a mesh of these servers in a runtime, each service at ``PORT``; a file is written to ``folder``."""

    def start(engine: Engine) -> None:
        engine.network(NETWORK)
        made = [container for server in servers for container in server.containers]
        engine.run_all(made)
        eventually(lambda: all(engine.listens(one.name, PORT) for one in made), "all servers listen")

    protocols = {server.service: server.protocol for server in servers}
    services = [service(name, PORT, protocol) for name, protocol in protocols.items()]
    file = folder / "mesh.yaml"
    file.write_text(joined(*services, *(server.written for server in servers)))
    paths = () if capture.startswith("container-") else (file,)
    with running(*paths, capture=capture, start_containers=start) as mesh:
        yield mesh
