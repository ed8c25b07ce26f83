"""Says of files with certificates that resources name whether they can be read now, to whoever applies these.

Nodes read the files, and again and again, so this is a warning: a file may come later. A node tells of one that it cannot use in
the status of its instances, which nobody looks at who has just mistyped a path. What is looked at here is this host, which is the
node's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mizzen.resources.credentials import ASKING, client_settings
from mizzen.resources.destination_rule import DestinationRuleSpec
from mizzen.resources.gateway import GatewaySpec, ServerTLSSettings, certificate_file
from mizzen.resources.model import Model, alias_of
from mizzen.resources.paths import join
from mizzen.resources.problems import Level, Problem
from mizzen.resources.resource import Resource

_OF_CLIENTS = ("client_certificate", "private_key", "ca_certificates", "ca_crl")
_OF_SERVERS = ("server_certificate", "private_key")
_TO_CHECK = ("ca_certificates", "ca_crl")
_CALLING = "until it is there connections to the host are closed"
_SERVING = "until it can be read on the gateway's host this server goes on with what it had, or closes connections"


def unreadable_files(resources: Iterable[Resource[Any]]) -> Iterator[Problem]:
    """Yields a warning for each file of a DestinationRule or a Gateway that cannot be opened on this host."""
    for one in resources:
        if isinstance(one.spec, DestinationRuleSpec):
            for path, given in client_settings(one.spec):
                for field, file in _files(path, given, _OF_CLIENTS):
                    yield from _warning(one, field, file, file, _CALLING)
        elif isinstance(one.spec, GatewaySpec):
            for field, file in _of_gateway(one.spec):
                yield from _warning(one, field, file, certificate_file(file, one.source.file), _SERVING)


def _of_gateway(spec: GatewaySpec) -> Iterator[tuple[str, str]]:
    for index, server in enumerate(spec.servers):
        if not (server.ends_tls and server.tls):
            continue
        path = f"{join('spec.servers', index)}.tls"
        for at, pair in enumerate(server.tls.pairs):
            own = isinstance(pair, ServerTLSSettings)
            yield from _files(path if own else join(f"{path}.tlsCertificates", at), pair, _OF_SERVERS)
        if server.tls.mode in ASKING and server.tls.ca_certificates:
            yield from _files(path, server.tls, _TO_CHECK)


def _files(path: str, given: Model, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yields the files that fields of these names hold, each with the path of its field."""
    for name in names:
        if file := getattr(given, name):
            yield f"{path}.{alias_of(type(given), name)}", file


def _warning(one: Resource[Any], field: str, written: str, file: str, hint: str) -> Iterator[Problem]:
    if why := _trouble(file):
        shown = written if written == file else f"{written} ({file})"
        yield one.problem("UnreadableFile", field, f"{shown}: {why}", hint, Level.WARNING)


def _trouble(file: str) -> str:
    try:
        with Path(file).open("rb"):
            return ""
    except OSError as error:
        return error.strerror or str(error)
