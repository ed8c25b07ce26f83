"""``version``: of this program, and of the mesh that runs."""

from __future__ import annotations

import click

from mizzen import __version__
from mizzen.cli.choosing import Choice
from mizzen.cli.options import connect, mesh_options, output_option
from mizzen.cli.output import Complaint, as_json, note


@click.command(short_help="Print versions.")
@click.option("--client", is_flag=True, help="Only of this program.")
@output_option("json")
@mesh_options
def version(choice: Choice, client: bool, output: str | None) -> None:
    """Print the version of this program, and of the mesh if it runs."""
    answer: dict[str, str] = {"client": __version__}
    if not client:
        try:
            with connect(choice) as mesh:
                about = mesh.version()
            answer |= {"mesh": about.mesh, "control": about.version, "envoy": about.envoy}
        except Complaint as complaint:
            # This program's own version is an answer in any case. What is with a mesh matters to who has named one.
            if choice.name or choice.state_dir:
                note(complaint.message or complaint.problems[0].message)
    if output == "json":
        click.echo(as_json(answer))
        return
    click.echo(f"mizzen {answer['client']}")
    if "mesh" in answer:
        click.echo(f"mesh {answer['mesh']}: control plane {answer['control']}, Envoy {answer['envoy']}")
