"""``validate``: checks files offline, each resource by itself and all of them against each other."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mizzen.cli import files
from mizzen.cli.options import output_option, unnamed_option
from mizzen.cli.output import as_json, count, print_problems

if TYPE_CHECKING:
    from mizzen.cli.answers import Problem


@click.command(short_help="Check files, without a mesh.")
@click.argument("paths", nargs=-1, metavar="[FILE|DIR|-]...")
@files.file_option(required=False)
@files.recursive_option
@unnamed_option
@output_option("json")
def validate(
    paths: tuple[str, ...], filenames: tuple[str, ...], recursive: bool, namespace: str, output: str | None
) -> None:
    """Check files without a mesh: their YAML, every field, and what they say about each other.

    Exit code 0 when they may be applied (there may be warnings), 1 when not.
    """
    if not (names := (*filenames, *paths)):
        raise click.UsageError("Name files or folders to check.")
    texts = files.read(names, recursive=recursive)
    with _nothing_freed():
        resources, problems = _check(texts, namespace)
    failed = any(problem.level == "error" for problem in problems)
    if output == "json":
        import msgspec

        click.echo(as_json({"valid": not failed, "resources": resources, "problems": msgspec.to_builtins(problems)}))
    else:
        print_problems(problems)
        if not failed:
            click.echo(f"{count(resources, 'resource')} in {count(len(texts), 'file')}: valid")
    if failed:
        raise click.exceptions.Exit(1)


@contextlib.contextmanager
def _nothing_freed() -> Iterator[None]:
    """All that is read is kept until the end, so that to search it for what could be freed takes time and finds nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _check(texts: dict[str, str], namespace: str) -> tuple[int, list[Problem]]:
    from mizzen.cli.problems import displayed
    from mizzen.node.commands import check_commands
    from mizzen.resources.loading import load_texts
    from mizzen.resources.problems import Level
    from mizzen.resources.references import check_references

    loaded = load_texts(texts.items(), default_namespace=namespace)
    # Files are often checked elsewhere than they run.
    commands = check_commands(loaded.resources, os.environ, Level.WARNING)
    return len(loaded.resources), displayed([*loaded.problems, *check_references(loaded.resources), *commands])
