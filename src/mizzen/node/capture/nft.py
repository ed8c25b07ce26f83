"""Runs the nft command, in the network namespace of the thread that calls; blocks for some 3 ms."""

from __future__ import annotations

import json
import subprocess
from typing import Any

_SECONDS = 10.0


class NftError(OSError):
    """nft did not do what it was told; the text is nft's own."""


def apply(commands: str) -> None:
    """Applies commands in one transaction: all or none. Raises :class:`NftError`."""
    _run("-f", "-", text=commands)


def delete_table(family: str, name: str) -> None:
    """Removes a table; nothing if there is none of that name."""
    apply(f"add table {family} {name}\ndelete table {family} {name}\n")


def listed(*what: str) -> list[dict[str, Any]]:
    """Returns the objects of ``nft -j -a list WHAT...``, each a mapping of its kind to its fields."""
    objects: list[dict[str, Any]] = json.loads(_run("-j", "-a", "list", *what))["nftables"]
    return objects


def _run(*arguments: str, text: str = "") -> str:
    try:
        done = subprocess.run(
            ["nft", *arguments], input=text, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise NftError(f"nft {' '.join(arguments)} did not end within {_SECONDS:g} s") from error
    if done.returncode != 0:
        raise NftError(f"nft {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
