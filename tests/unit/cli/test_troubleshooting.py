"""The commands on the page of troubleshooting are commands of this version."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from mizzen.cli.application import application

PAGE = (Path(__file__).parents[3] / "docs" / "troubleshooting.md").read_text()
COMMANDS = sorted(
    {found.strip() for found in re.findall(r"`mizzen ([^`]+)`", PAGE)}
    | {found.partition(" # ")[0].strip() for found in re.findall(r"^    mizzen (.+)$", PAGE, re.MULTILINE)}
)


def test_the_page_has_commands() -> None:
    assert len(COMMANDS) > 20


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_can_be_given_as_it_is_written(line: str) -> None:
    arguments = shlex.split(line)
    command: click.Command = application
    context = click.Context(application)
    while isinstance(command, click.Group):
        found = command.get_command(context, name := arguments.pop(0))
        assert found is not None, name
        command, context = found, click.Context(found, parent=context, info_name=name)
    # Parsing refuses options that are not there; nothing is run.
    command.make_context(command.name, arguments, parent=context.parent)
