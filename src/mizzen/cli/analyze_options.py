"""How ``mizzen analyze`` is asked: istioctl's way of writing options, its exit code for wrong ones, and what was typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

MISUSED, UNREADABLE, FOUND = 64, 65, 79
"""Exit codes of istioctl: wrong usage, a file that is no resource, a message as bad as the threshold."""

LEVELS = ("Info", "Warning", "Error")
_OPTIONAL = {"-k": "--use-kube", "--use-kube": "--use-kube", "--color": "--color"}


class Misused(click.UsageError):
    exit_code = MISUSED


class Boolean(click.ParamType[bool]):
    """true or false, in all the ways that istioctl takes."""

    name = "boolean"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        if str(value) in {"1", "t", "T", "true", "TRUE", "True"}:
            return True
        if str(value) in {"0", "f", "F", "false", "FALSE", "False"}:
            return False
        return self.fail(f"{value!r} is neither true nor false.", param, ctx)


class IstioctlCommand(click.Command):
    """Reads options as istioctl does (``-k=false``), and ends with its exit code where they are wrong."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        try:
            return super().make_context(info_name, [_spelled(one) for one in args], parent, **extra)
        except click.UsageError as error:
            raise _misused(error) from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise _misused(error) from error


def _misused(error: click.UsageError) -> Misused:
    return Misused(error.format_message(), error.ctx)


def _spelled(argument: str) -> str:
    """Gives ``-k=false`` and a bare ``-k`` the form that click understands."""
    name, equals, value = argument.partition("=")
    return f"{_OPTIONAL[name]}={value if equals else 'true'}" if name in _OPTIONAL else argument


@dataclass(frozen=True)
class Options:
    """What was typed, as the command's options say it."""

    files: tuple[str, ...]
    recursive: bool
    namespace: str
    all_namespaces: bool
    list_analyzers: bool
    analyzers: tuple[str, ...]
    output: str
    failure_threshold: str
    output_threshold: str
    suppress: tuple[str, ...]
    mesh_config_file: str
    ignore_unknown: bool
    use_mesh: bool | None
    color: bool | None
    verbose: bool

    @property
    def home(self) -> str:
        """The namespace that is analyzed, and of what names none."""
        return self.namespace or "default"

    @property
    def where(self) -> str:
        return "all namespaces" if self.all_namespaces else f"namespace {self.home}"
