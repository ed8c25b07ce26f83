"""The forms in which ``mizzen analyze`` answers: istioctl's lines, JSON and YAML.

Source of the forms: istio/istio, ``pkg/config/analysis/diag/message.go`` and ``istioctl/pkg/util/formatting``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from mizzen.cli.output import shown

if TYPE_CHECKING:
    from mizzen.analysis import Message

ISTIO_CATALOGUE = "https://istio.io/latest/docs/reference/config/analysis"
OWN_CATALOGUE = "https://github.com/mizzen-mesh/mizzen/blob/main/docs/analyze.md"
_COLORS = {"error": "red", "warning": "yellow", "info": None}


def as_lines(messages: Sequence[Message]) -> str:
    """Returns a line for each: ``Error [IST0101] (VirtualService default/reviews reviews.yaml:12) ...``."""
    return "\n".join(_line(one) for one in messages)


def _line(message: Message) -> str:
    level = message.type.level
    colored = click.style(level.capitalize(), fg=_COLORS[level], bold=level == "error") if _COLORS[level] else "Info"
    where = " ".join(filter(None, (message.item.shown, reference(message))))
    return f"{colored} [{message.type.code}] ({where}) {message.text}"


def reference(message: Message) -> str:
    """Returns ``file:line``; "" for what is in no file."""
    position = message.position
    return f"{shown(position.file)}:{position.line}" if position else ""


def as_json(messages: Sequence[Message]) -> str:
    return json.dumps([_values(one) for one in messages], indent="\t", sort_keys=True, ensure_ascii=False)


def as_yaml(messages: Sequence[Message]) -> str:
    import yaml

    return str(yaml.safe_dump([_values(one) for one in messages], allow_unicode=True, width=4096))


def _values(message: Message) -> dict[str, str]:
    where = reference(message)
    return {
        "code": message.type.code,
        "documentationUrl": documentation(message.type.code),
        "level": message.type.level.capitalize(),
        "message": message.text,
        "origin": message.item.shown,
        **({"reference": where} if where else {}),
    }


def documentation(code: str) -> str:
    """Returns where a code is explained."""
    return f"{ISTIO_CATALOGUE}/{code.lower()}/" if code.startswith("IST") else f"{OWN_CATALOGUE}#{code.lower()}"
