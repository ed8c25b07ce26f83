"""``validate``: checks files offline, each resource by itself and all of them against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mizzen.cli import files
from mizzen.cli.options import output_option
from mizzen.cli.output import as_json, count, print_problems

if TYPE_CHECKING:
    from mizzen.cli.answers import Problem


@click.command(short_help="Check files, without a mesh.")
@files.file_option(required=True)
@files.recursive_option
@click.option("-n", "--namespace", default="default", help="The namespace of resources that name none.")
@output_option("json")
def validate(filenames: tuple[str, ...], recursive: bool, namespace: str, output: str | None) -> None:
    """Check files without a mesh: their YAML, every field, and what they say about each other.

    Exit code 0 when they may be applied (there may be warnings), 1 when not.
    """
    texts = files.read(filenames, recursive=recursive)
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


def _check(texts: dict[str, str], namespace: str) -> tuple[int, list[Problem]]:
    from mizzen.cli.problems import displayed
    from mizzen.resources import check_references, load

    loaded = [load(text, name, default_namespace=namespace) for name, text in texts.items()]
    resources = [resource for each in loaded for resource in each.resources]
    problems = [problem for each in loaded for problem in each.problems]
    return len(resources), displayed([*problems, *check_references(resources)])
