"""Permission to forward packets, on the links where calls out of the mesh have their answers arrive.

What was forbidden before is written down first, and put back when the last mesh of the host has gone; both are done
under the lock of ``host.py``. Rules keep the host from becoming a router between those links meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from mizzen.node.capture import nft, rules, sysctls


class Before(msgspec.Struct, frozen=True):
    """What was found: the switch of the whole host, and the links that did not allow forwarding and now do."""

    host: bool
    links: tuple[str, ...]


def allow_forwarding(outward: Iterable[str], folder: Path) -> None:
    """Allows forwarding on the links ``outward``; the record of what was changed is kept in ``folder``."""
    closed = sysctls.without_forwarding(outward)
    if not closed:
        return
    record = _record(folder)
    before = _read(record) or Before(sysctls.forwarding("all"), ())
    before = Before(before.host, tuple(sorted({*before.links, *closed})))
    unfinished = record.with_suffix(".new")
    unfinished.write_bytes(msgspec.json.encode(before))
    unfinished.replace(record)
    nft.apply(rules.forwarding_rules(before.links))
    for link in closed:
        with contextlib.suppress(FileNotFoundError):
            sysctls.set_forwarding(link, allowed=True)


def put_back_forwarding(folder: Path) -> None:
    """Undoes every :func:`allow_forwarding`; only when no mesh is left."""
    record = _record(folder)
    before = _read(record)
    if before is None:
        return
    # Where the switch of the whole host was turned meanwhile, as Docker does, the links are no longer ours to close.
    if sysctls.forwarding("all") == before.host:
        for link in before.links:
            with contextlib.suppress(FileNotFoundError):
                sysctls.set_forwarding(link, allowed=False)
    nft.delete_table("ip", rules.FORWARDING_TABLE)
    record.unlink()


def _record(folder: Path) -> Path:
    """The switches are those of one network namespace; a folder under /run may serve several."""
    return folder / f"forwarding-{Path('/proc/thread-self/ns/net').stat().st_ino}.json"


def _read(record: Path) -> Before | None:
    try:
        return msgspec.json.decode(record.read_bytes(), type=Before)
    except FileNotFoundError:
        return None
