"""Says of files with certificates that resources name whether they can be read now, to whoever applies these.

Nodes read the files, and again and again, so this is a warning: a file may come later. A node tells of one that it cannot use in
the status of its instances, which nobody looks at who has just mistyped a path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mizzen.resources.credentials import client_settings
from mizzen.resources.destination_rule import ClientTLSSettings, DestinationRuleSpec
from mizzen.resources.model import alias_of
from mizzen.resources.problems import Level, Problem
from mizzen.resources.resource import Resource

_FIELDS = ("client_certificate", "private_key", "ca_certificates", "ca_crl")
_HINT = "until it is there connections to the host are closed"


def unreadable_files(resources: Iterable[Resource[Any]]) -> Iterator[Problem]:
    """Yields a warning for each file of a DestinationRule that cannot be opened on this host, which is the node's."""
    for rule in resources:
        if isinstance(rule.spec, DestinationRuleSpec):
            for path, given in client_settings(rule.spec):
                for name in _FIELDS:
                    file = getattr(given, name)
                    if file and (why := _trouble(file)):
                        field = f"{path}.{alias_of(ClientTLSSettings, name)}"
                        yield rule.problem("UnreadableFile", field, f"{file}: {why}", _HINT, Level.WARNING)


def _trouble(file: str) -> str:
    try:
        with Path(file).open("rb"):
            return ""
    except OSError as error:
        return error.strerror or str(error)
