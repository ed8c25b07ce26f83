"""Walks through examples: what is in force after each command of a README that applies or deletes, without a mesh."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mizzen.resources.key import Key
from mizzen.resources.kinds import find_kind
from mizzen.resources.loading import load, load_paths
from mizzen.resources.problems import Problem, errors
from mizzen.resources.references import check_references
from mizzen.resources.resource import Resource

ROOT = Path(__file__).parent.parent.parent
# A command of its own, or one that reads what stands below it up to a word.
_COMMAND = re.compile(
    r"^    (?:sudo )?mizzen ((?:up|apply|delete) [^\n]*?)(?: <<'(\w+)'\n(.*?)^    \2)?$", re.MULTILINE | re.DOTALL
)
World = Mapping[Key, Resource[Any]]


@dataclass(frozen=True)
class Step:
    """A command without ``mizzen``, and what it reads from a README below itself."""

    words: tuple[str, ...]
    text: str = ""

    def __str__(self) -> str:
        return " ".join(self.words)

    @property
    def files(self) -> list[str]:
        """What stands behind each ``-f``."""
        return [word for option, word in zip(self.words, self.words[1:], strict=False) if option == "-f"]

    @property
    def arguments(self) -> list[str]:
        """What is neither the command, nor an option, nor the value of ``-f``."""
        return [word for word in self.words[1:] if not word.startswith("-") and word not in self.files]


def steps(readme: Path) -> list[Step]:
    """Returns the commands of a README that change what is in force, in their order; ``mizzen up`` among them.

    What another program prints for ``mizzen apply`` is left out.
    """
    found = _COMMAND.findall(readme.read_text())
    return [Step(tuple(shlex.split(command, comments=True)), text) for command, _, text in found]


def walk(commands: Iterable[Step], world: World | None = None) -> Iterator[tuple[Step, list[Problem]]]:
    """Yields each step with the errors that its command would tell of, beginning with ``world``."""
    now: World = world or {}
    for step in commands:
        now, problems = _STEPS[step.words[0]](step, now)
        yield step, errors([*problems, *check_references(now.values())])


Result = tuple[World, list[Problem]]


def _up(step: Step, world: World) -> Result:
    """Begins with what the paths say; a Compose file has no resources, and its containers are in the world before it."""
    paths = [ROOT / name for name in step.arguments if Path(name).name != "compose.yaml"]
    return _with(world, load_paths(paths)) if paths else (world, [])


def _apply(step: Step, world: World) -> Result:
    if step.text:
        return _with(world, load(re.sub("^    ", "", step.text, flags=re.MULTILINE), str(step)))
    return _with(world, load_paths([ROOT / name for name in step.files]))


def _with(world: World, loaded: Any) -> Result:
    return {**world, **{one.key: one for one in loaded.resources}}, list(loaded.problems)


def _delete(step: Step, world: World) -> Result:
    kind, *names = step.arguments or [""]
    keys = [Key(_kind(kind), "default", name) for name in names] or [
        Key(one["kind"], one["metadata"].get("namespace", "default"), one["metadata"]["name"])
        for file in step.files
        for one in yaml.safe_load_all((ROOT / file).read_text())
        if one
    ]
    missing = [Problem(code="NotFound", message=f"there is no {key}") for key in keys if key not in world]
    return {key: one for key, one in world.items() if key not in keys}, missing


def _kind(name: str) -> str:
    found = find_kind(name)
    assert found, name
    return found.kind


_STEPS: Mapping[str, Callable[[Step, World], Result]] = {"up": _up, "apply": _apply, "delete": _delete}
