"""``analyze``: what is wrong among resources, as ``istioctl analyze`` tells it: its options, codes, lines and exit codes.

Source of options and exit codes: istio/istio, ``istioctl/pkg/analyze/analyze.go`` and ``istioctl/cmd/istioctl/main.go``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from mizzen.cli import analyze_files, analyze_output
from mizzen.cli.analyze_options import FOUND, LEVELS, UNREADABLE, Boolean, IstioctlCommand, Options
from mizzen.cli.choosing import Choice, all_running
from mizzen.cli.options import DURATION, connect, mesh_options
from mizzen.cli.output import Complaint, count, note

if TYPE_CHECKING:
    from mizzen.analysis import Message, Selection, Suppression, World
    from mizzen.resources.problems import Problem


class _Unreadable(Complaint):
    exit_code = UNREADABLE


class _Found(Complaint):
    exit_code = FOUND


@dataclass(frozen=True)
class _Given:
    """What is to be analyzed: the world, how its parts are called, and what could not be read."""

    world: World
    what: str
    unreadable: Sequence[str]


@click.command(cls=IstioctlCommand, short_help="Find what is wrong among resources, as istioctl analyze.")
@click.argument("files", metavar="[FILE|DIR|-]...", nargs=-1)
@click.option("-R", "--recursive", is_flag=True, help="Take the folders inside folders too.")
@click.option(
    "-n", "--namespace", default="", help="Of this namespace, and what names none is in it. [default: default]"
)
@click.option("-A", "--all-namespaces", is_flag=True, help="Of all namespaces.")
@click.option("-L", "--list-analyzers", is_flag=True, help="List the analyzers, and do nothing else.")
@click.option("--analyzer", "analyzers", metavar="NAME", multiple=True, help="Run this one alone; may be repeated.")
@click.option(
    "-o", "--output", type=click.Choice(("log", "json", "yaml")), default="log", help="The form of the answer."
)
@click.option(
    "--failure-threshold",
    type=click.Choice(LEVELS, case_sensitive=False),
    default="Error",
    show_default=True,
    help=f"From which level on a message makes the exit code {FOUND}.",
)
@click.option(
    "--output-threshold",
    type=click.Choice(LEVELS, case_sensitive=False),
    default="Info",
    show_default=True,
    help="From which level on messages are shown.",
)
@click.option(
    "-S",
    "--suppress",
    "suppress",
    metavar="CODE=RESOURCE",
    multiple=True,
    help='Leave out a code for a resource, such as "IST0102=Namespace shop" or "IST0101=VirtualService *.shop".',
)
@click.option("--meshConfigFile", "mesh_config_file", metavar="FILE", default="", help="Istio's MeshConfig.")
@click.option("--ignore-unknown", is_flag=True, help="What is no resource does not count as a failure.")
@click.option(
    "-k",
    "--use-kube",
    "use_mesh",
    type=Boolean(),
    default=None,
    metavar="BOOL",
    help="true: with the resources of the running mesh. false: files alone. [default: true if one runs]",
)
@click.option("--color", type=Boolean(), default=None, metavar="BOOL", help="Colours. [default: on a terminal]")
@click.option("-v", "--verbose", is_flag=True, help="Say which analyzers ran.")
@click.option("--timeout", type=DURATION, default="30s", help="Accepted; nothing here waits.")
@click.option("--revision", default="", help="Accepted; a mesh of Mizzen has one revision.")
@mesh_options
def analyze(choice: Choice, timeout: float, revision: str, **options: Any) -> None:
    """Find what is wrong among resources, in the codes and with the exit codes of istioctl analyze.

    Without FILE: those of the running mesh. With FILE: the files, and with them the resources of the mesh, if one runs;
    of those with one name the file's counts. -k=false takes files alone. Kinds of Istio and Kubernetes that Mizzen does not act on
    are analyzed too. docs/analyze.md explains the codes.

    Exit code 0, 79 where there is a message as bad as the threshold (with -o log), 65 for a file that is no resource, 64
    for wrong usage, 1 for what cannot be read.
    """
    del timeout, revision  # Nothing here waits, and a mesh has one revision.
    given = Options(**options)
    if given.list_analyzers:
        click.echo(_listed())
    else:
        selection = _selection(given)
        _answer(_given(choice, given), selection, given)


def _listed() -> str:
    from mizzen.analysis import ANALYZERS

    return "\n".join(f"* {one.name}:\n    {one.description}" for one in ANALYZERS)


def _selection(options: Options) -> Selection:
    from mizzen.analysis import ANALYZERS, Selection

    known = {one.name for one in ANALYZERS}
    if unknown := [name for name in options.analyzers if name not in known]:
        raise click.UsageError(f"There is no analyzer {', '.join(unknown)}; `mizzen analyze -L` lists them.")
    namespaces = () if options.all_namespaces else (options.home,)
    return Selection(namespaces, [_suppression(one) for one in options.suppress], options.analyzers)


def _suppression(written: str) -> Suppression:
    from mizzen.analysis import MESSAGE_TYPES, Suppression

    code, equals, pattern = written.partition("=")
    if not equals or not pattern:
        raise click.UsageError(f"{written!r} is not of the form CODE=RESOURCE.")
    if code not in MESSAGE_TYPES:
        note(f"Warning: there is no message {code}, so suppressing it has no effect.")
    return Suppression(code, pattern)


def _given(choice: Choice, options: Options) -> _Given:
    from datetime import UTC, datetime

    from mizzen.analysis import World, read, read_mesh_config

    texts, unreadable = analyze_files.read(options.files, recursive=options.recursive)
    loaded = read(texts.items(), namespace=options.home)
    documents = _mesh_documents(choice, bool(options.files), options.use_mesh)
    items = list(loaded.items)
    if documents is not None:
        items += _of_mesh(documents, {(one.group, one.kind, one.namespace, one.name) for one in items})
    elif not options.files:
        raise click.UsageError("Name files or folders to analyze.")
    mesh_config = read_mesh_config(analyze_files.text(options.mesh_config_file)) if options.mesh_config_file else None
    world = World(items, mesh_config=mesh_config, running=documents is not None, now=datetime.now(UTC))
    return _Given(world, "\n".join(texts), [*unreadable, *map(_unreadable, loaded.problems)])


def _mesh_documents(choice: Choice, with_files: bool, use_mesh: bool | None) -> Sequence[Mapping[str, Any]] | None:
    """Returns the resources of the running mesh; None where files are analyzed alone. Says on stderr which it is."""
    wanted = bool(choice.name or choice.state_dir)
    if use_mesh is False or (use_mesh is None and with_files and not wanted and not all_running()):
        if use_mesh is None:
            note("No mesh is running: the files are analyzed alone.")
        return None
    with connect(choice) as client:
        documents = client.resources().items
        if with_files:
            resources = count(len(documents), "resource")
            note(f"Analyzed on top of the {resources} of mesh {client.mesh.name}; -k=false takes the files alone.")
    return documents


def _of_mesh(documents: Sequence[Mapping[str, Any]], replaced: set[tuple[str, str, str, str]]) -> list[Any]:
    from mizzen.analysis.reading import read_values

    return [one for one in read_values(documents) if (one.group, one.kind, one.namespace, one.name) not in replaced]


def _unreadable(problem: Problem) -> str:
    place = problem.position
    where = f"{place.file}:{place.line}: " if place else ""
    return f"{where}{problem.message}" + (f" ({problem.hint})" if problem.hint else "")


def _answer(given: _Given, selection: Selection, options: Options) -> None:
    from mizzen.analysis import found

    messages, elsewhere = found(given.world, selection)
    unreadable = () if options.ignore_unknown else given.unreadable
    for line in unreadable:
        note(f"Cannot be read: {line}")
    if options.verbose:
        note("Analyzers:\n" + "\n".join(f"  {one.name}" for one in selection.chosen()))
    shown = _bad_as(messages, options.output_threshold)
    _print(shown, options)
    if elsewhere:
        note(f"{count(elsewhere, 'message')} about other namespaces: -A shows all, -n NAMESPACE those of one.")
    if not shown and not unreadable:
        note(f"✔ No issues found in {given.what or options.where}.")
    # istioctl ends with 0 where its answer is for a program, which has the levels.
    if options.output == "log":
        _end(messages, options, unreadable=bool(unreadable))


def _print(messages: Sequence[Message], options: Options) -> None:
    if options.output == "json":
        click.echo(analyze_output.as_json(messages))
    elif options.output == "yaml":
        click.echo(analyze_output.as_yaml(messages), nl=False)
    elif messages:
        click.echo(analyze_output.as_lines(messages), color=_colored(options.color))


def _bad_as(messages: Sequence[Message], threshold: str) -> list[Message]:
    from mizzen.analysis.findings import at_least
    from mizzen.resources.problems import Level

    return [one for one in messages if at_least(one.type.level, Level(threshold.lower()))]


def _colored(color: bool | None) -> bool | None:
    if color is not None:
        return color
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return sys.stdout.isatty()


def _end(messages: Sequence[Message], options: Options, *, unreadable: bool) -> None:
    from mizzen.analysis import ABOUT_MIZZEN

    if any(one.type.code not in ABOUT_MIZZEN for one in _bad_as(messages, options.failure_threshold)):
        hint = f"About the codes: {analyze_output.OWN_CATALOGUE}"
        raise _Found(f"analyzers found issues in {options.where}", hint=hint)
    if unreadable:
        raise _Unreadable("some files could not be read")
