"""The client of one mesh's HTTP API, over its Unix socket. Whatever goes wrong becomes a :class:`Complaint`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import httpx2
import msgspec

from mizzen.cli import answers
from mizzen.cli.output import Complaint
from mizzen.registry.reports import ExecContext, Instance

if TYPE_CHECKING:
    from mizzen.cli.choosing import Mesh

T = TypeVar("T")

# The longest that an answer may take which does not wait for anything.
_PATIENCE = 30.0


class _Instances(msgspec.Struct):
    items: tuple[Instance, ...] = ()


class Client:
    """Asks a mesh's API. ``transport`` replaces the Unix socket in tests."""

    def __init__(self, mesh: Mesh, transport: httpx2.BaseTransport | None = None, patience: float = _PATIENCE) -> None:
        self.mesh = mesh
        # No TLS is spoken, and to load the roots for it takes 70 ms.
        transport = transport or httpx2.HTTPTransport(uds=str(_socket(mesh)), verify=False)
        # A proxy in the environment is for elsewhere; `mizzen exec` sets one.
        self._http = httpx2.Client(transport=transport, base_url="http://mizzen", trust_env=False)
        self._patience = patience

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def version(self) -> answers.Version:
        return self._ask(answers.Version, "/v1/version")

    def resources(self, kind: str = "", namespace: str = "", name: str = "") -> answers.Listing:
        query = {"kind": kind, "namespace": namespace, "name": name}
        return self._ask(answers.Listing, "/v1/resources", {key: value for key, value in query.items() if value})

    def apply(
        self, files: Mapping[str, str], *, namespace: str = "default", dry_run: bool = False, force: bool = False
    ) -> answers.Changed:
        """Applies the texts of files; ``namespace`` is for resources that name none."""
        sent = [{"name": name, "text": text} for name, text in files.items()]
        body = {"files": sent, "namespace": namespace, "dryRun": dry_run, "force": force}
        return self._tell(answers.Changed, "/v1/resources/apply", body)

    def delete(self, keys: list[answers.Key], *, force: bool = False) -> answers.Changed:
        body = {"keys": msgspec.to_builtins(keys), "force": force}
        return self._tell(answers.Changed, "/v1/resources/delete", body)

    def history(self, key: answers.Key) -> answers.History:
        return self._ask(answers.History, "/v1/resources/history", msgspec.to_builtins(key))

    def synced(self, version: int, timeout: float) -> answers.Synced:
        """Returns when every live proxy has acknowledged the version, or after ``timeout`` seconds: then who has not."""
        query = {"timeout": f"{timeout:g}"}
        return self._ask(answers.Synced, f"/v1/versions/{version}", query, wait=timeout)

    def proxies(self) -> tuple[answers.Proxy, ...]:
        return self._ask(answers.Proxies, "/v1/proxies").items

    def admin(self, proxy: str, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Returns what the administration interface of a proxy's Envoy says under a path, decoded from JSON."""
        return self._ask(dict[str, Any], f"/v1/proxies/{_segment(proxy)}/admin/{path}", query)

    def stats(self, proxy: str, path: str, query: Mapping[str, str]) -> str:
        """Returns the counters, gauges and histograms of a proxy's Envoy, in the form of the path and of ``format``."""
        with self._complaints():
            response = self._http.get(f"/v1/proxies/{_segment(proxy)}/admin/{path}", params=query)
        if response.is_error:
            raise self._refusal(response)
        return response.text

    def instances(self) -> tuple[Instance, ...]:
        return self._ask(_Instances, "/v1/workloads").items

    def containers(self, targets: Sequence[str] = (), *, look: bool = False) -> answers.Containers:
        """Returns the containers that targets mean, or all that there are.

        ``look`` has the node ask its engine; otherwise it says what it knows, which is nothing where nothing was attached.
        """
        query: dict[str, str | list[str]] = {"target": list(targets)} | ({"look": "true"} if look else {})
        return self._ask(answers.Containers, "/v1/containers", query)

    def attach(
        self, targets: Sequence[str], proxy: str, timeout: float, *, existing: bool = True
    ) -> answers.Containers:
        """Returns when the containers that targets mean are as they should be, or cannot be; or after ``timeout`` seconds.

        ``proxy`` is who is to serve them: ``sidecar``, ``node``, "" for who was chosen before, ``none`` to detach them.
        ``existing`` refuses targets that mean nothing which exists or was attached before.
        """
        body = {"targets": list(targets), "proxy": proxy, "timeout": timeout, "existing": existing}
        return self._tell(answers.Containers, "/v1/attachments", body, wait=timeout)

    def exec_context(self, namespace: str, name: str) -> ExecContext:
        return self._ask(ExecContext, f"/v1/workloads/{_segment(namespace)}/{_segment(name)}/exec")

    def restart(self, namespace: str, name: str) -> answers.Changed:
        return self._tell(answers.Changed, f"/v1/workloads/{_segment(namespace)}/{_segment(name)}/restart", None)

    @contextlib.contextmanager
    def logs(self, namespace: str, name: str, **options: str) -> Iterator[Iterator[bytes]]:
        """Opens a stream of log output; it has no time limit, a follower may wait for days for the next line."""
        query = {"namespace": namespace, "name": name, **options}
        timeout = httpx2.Timeout(self._patience, read=None)
        with self._complaints(), self._http.stream("GET", "/v1/logs", params=query, timeout=timeout) as response:
            if response.is_error:
                response.read()
                raise self._refusal(response)
            yield response.iter_bytes()

    def _ask(
        self,
        answer: type[T],
        path: str,
        query: Mapping[str, str | list[str]] | Mapping[str, str] | None = None,
        wait: float = 0.0,
    ) -> T:
        """``wait`` is how many seconds the answer may take beyond those that any answer takes."""
        with self._complaints():
            return self._decode(answer, self._http.get(path, params=query, timeout=self._patience + wait))

    def _tell(self, answer: type[T], path: str, body: object, wait: float = 0.0) -> T:
        with self._complaints(changing=True):
            return self._decode(answer, self._http.post(path, json=body, timeout=self._patience + wait))

    def _decode(self, answer: type[T], response: httpx2.Response) -> T:
        if response.is_error:
            raise self._refusal(response)
        try:
            return msgspec.json.decode(response.content, type=answer)
        except msgspec.DecodeError as error:
            raise Complaint(
                f"the control plane of mesh {self.mesh.name} answered {response.url.path} in an unknown form: {error}",
                hint="Is it of another version of Mizzen? Compare with: mizzen version",
            ) from error

    def _refusal(self, response: httpx2.Response) -> Complaint:
        try:
            problems = msgspec.json.decode(response.content, type=answers.Problems).problems
        except msgspec.DecodeError:
            problems = ()
        if problems:
            return Complaint("", problems)
        return Complaint(
            f"the control plane of mesh {self.mesh.name} answered {response.url.path} with status"
            f" {response.status_code}: {response.text.strip()[:500]}",
            hint=f"Its log says more: {self.mesh.control_log}",
        )

    @contextlib.contextmanager
    def _complaints(self, *, changing: bool = False) -> Iterator[None]:
        """Says why there is no answer; of one that was asked to change something, that it may have done so."""
        try:
            yield
        except httpx2.ConnectError as error:
            raise _away(self.mesh, str(error)) from error
        except httpx2.TransportError as error:
            slow = isinstance(error, httpx2.TimeoutException)
            if changing:
                raise self._unknown("does not answer" if slow else "has gone away") from error
            if slow:
                raise AwayError(
                    f"the control plane of mesh {self.mesh.name} does not answer",
                    hint=f"Its log says more: {self.mesh.control_log}",
                ) from error
            raise _away(self.mesh, str(error)) from error

    def _unknown(self, what: str) -> Complaint:
        return AwayError(
            f"the control plane of mesh {self.mesh.name} {what}: whether it has made the change is not known",
            hint=f"Look (mizzen get, mizzen history), or do it again. Its log: {self.mesh.control_log}",
        )


class AwayError(Complaint):
    """Nobody has answered."""


def _segment(name: str) -> str:
    """Returns what a user typed as one part of a path, whatever is in it."""
    # "." and ".." would be taken for steps.
    return quote(name, safe="") if name.strip(".") else "%2E" * len(name)


def _socket(mesh: Mesh) -> Path:
    # httpcore2 leaves a socket open when there is nothing to connect to, so that is found out first.
    if not mesh.api_socket.is_socket():
        raise _away(mesh, f"there is no {mesh.api_socket}")
    return mesh.api_socket


def _away(mesh: Mesh, why: str) -> Complaint:
    return AwayError(
        f"mesh {mesh.name} runs, but its control plane cannot be reached: {why}",
        hint="Its proxies go on without it, and it starts again by itself; try again in a moment."
        f" Its log: {mesh.control_log}",
    )
