"""The root of the command line: its commands, the options that choose a mesh, and how a command ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import click

from mizzen.cli import (
    INTERRUPTED,
    analyzing,
    attaching,
    changing,
    completing,
    containers,
    executing,
    forwarding,
    getting,
    inspecting,
    logs,
    restarting,
    running,
    starting,
    status,
    stopping,
    validating,
    version,
)
from mizzen.cli.options import mesh_selection
from mizzen.cli.output import Complaint

_SECTIONS: Mapping[str, tuple[click.Command, ...]] = {
    "A mesh": (starting.up, stopping.down, stopping.list_, status.status, version.version),
    "Resources": (
        changing.apply,
        changing.delete,
        getting.get,
        getting.history,
        validating.validate,
        analyzing.analyze,
    ),
    "Workloads": (running.run, executing.exec_, logs.logs, forwarding.port_forward, restarting.restart),
    "Containers": (attaching.attach, attaching.detach, containers.containers),
    "Looking inside": (inspecting.proxy,),
    "The shell": (completing.completion,),
}

_ALIASES: Mapping[str, str] = {
    "proxy-config": "proxy",
    "pc": "proxy",
    "proxy-status": "status",
    "ps": "status",
}


# Commands of kubectl, istioctl and docker that are not here, and what does their work.
_ELSEWHERE: Mapping[str, str] = {
    "create": "mizzen apply -f FILE creates what is new and changes the rest",
    "describe": "mizzen get KIND NAME -o yaml shows a resource, mizzen status and mizzen containers what runs",
    "edit": "mizzen get KIND NAME -o yaml > FILE, then mizzen apply -f FILE",
    "patch": "mizzen get KIND NAME -o yaml > FILE, then mizzen apply -f FILE",
    "replace": "mizzen apply -f FILE creates what is new and changes the rest",
    "rollout": "mizzen restart WORKLOAD replaces its instances, mizzen history KIND NAME shows its changes",
    "scale": "write `replicas` in the Workload, then mizzen apply -f FILE",
    "start": "mizzen up PATH starts a mesh",
    "stop": "mizzen down stops a mesh",
}


class Application(click.Group):
    """The root group: lists commands by subject, and ends without a traceback for anything but a bug."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        for title, commands in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(command.name or "", command.get_short_help_str(90)) for command in commands])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Finds a command, also by the name that istioctl has for it."""
        return super().get_command(ctx, _ALIASES.get(cmd_name, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command of a line; what other tools call so is wrong usage, with what to type here."""
        if (instead := _ELSEWHERE.get(args[0])) and not ctx.resilient_parsing:
            ctx.fail(f"No such command {args[0]!r}. Here: {instead}.")
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Runs a command and ends the process with its exit code."""
        kwargs["standalone_mode"] = False
        try:
            code = super().main(*args, **kwargs)
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except (click.Abort, KeyboardInterrupt):
            code = INTERRUPTED
        except OSError as error:
            code = _failed(error)
        sys.exit(code if isinstance(code, int) else 0)


def _failed(error: OSError) -> int:
    """Says what the system refused. A reader that has gone is not among it: click ends quietly, with 1."""
    what = os.strerror(error.errno) if error.errno else str(error)
    Complaint(f"{error.filename}: {what}" if error.filename else what).show()
    return 1


@click.group(
    cls=Application,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="A mesh is chosen with --name or --state-dir (MIZZEN_NAME, MIZZEN_STATE_DIR), before or after the command;"
    " where only one runs, it is meant.",
)
@mesh_selection(envvars=True)
@click.pass_context
def application(context: click.Context, mesh_name: str | None, mesh_state_dir: str | None) -> None:
    """Mizzen: a service mesh with Istio's API, on stock Envoy."""
    del mesh_name, mesh_state_dir  # choice_of() reads them from the context.
    if os.environ.get("NO_COLOR"):
        context.color = False


for _commands in _SECTIONS.values():
    for _command in _commands:
        application.add_command(_command)
