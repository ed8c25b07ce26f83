"""``run``: any command as a workload of a mesh that runs on this host, without a line of YAML.

It checks what it is given against the mesh, and leaves the rest to ``accompanying.py``.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mizzen.cli.options import DURATION, mesh_options_beside_name, namespace_option
from mizzen.cli.output import Complaint, count, note

if TYPE_CHECKING:
    from mizzen.cli.accompanying import Errand
    from mizzen.cli.choosing import Choice, Mesh
    from mizzen.resources.workload import WorkloadSpec

_PORT = re.compile(r"([^:]+):([0-9]{1,5})", re.ASCII)


class _NotRunError(Complaint):
    """What the command itself cannot be blamed for: see :data:`mizzen.cli.accompanying.LOST`."""

    exit_code = 125


class Port(click.ParamType[tuple[str, int]]):
    name = "NAME:NUMBER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        if match := _PORT.fullmatch(str(value)):
            return match[1], int(match[2])
        return self.fail(
            f"{value!r}: write NAME:NUMBER; the name says the protocol: http:8080, grpc-api:9000, tcp:5432.", param, ctx
        )


class Label(click.ParamType[tuple[str, str]]):
    name = "KEY=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        key, equals, content = str(value).partition("=")
        if key and equals:
            return key, content
        return self.fail(f"{value!r}: write KEY=VALUE, for example version=v2.", param, ctx)


@click.command(
    "run",
    short_help="Run a command as a workload of the mesh.",
    context_settings={"allow_interspersed_args": False},
)
@click.option("--workload-name", help="The workload's name (default: that of the command).")
@namespace_option
@click.option(
    "--port",
    "ports",
    type=Port(),
    multiple=True,
    help="A port that others call; its name says the protocol (http:8080). The command listens on $PORT.",
)
@click.option("--service", "services", multiple=True, help="A name by which others call it. A written Service wins.")
@click.option("--label", "-l", "labels", type=Label(), multiple=True, help="Labels (default: app=NAME).")
@click.option("--service-account", help="Its identity (default: the workload's name).")
@click.option("--proxy", type=click.Choice(["sidecar", "node"]), help="Who serves it (default: as the mesh).")
@click.option(
    "--ready-path", help="It is ready when this path answers (default: when its first port takes connections)."
)
@click.option("--grace", type=DURATION, default="30s", show_default=True, help="How long its end may take.")
@click.option("--user", help="The user to run the command as (only root may ask for it).")
@mesh_options_beside_name
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(choice: Choice, command: tuple[str, ...], **options: Any) -> int:
    """Run a COMMAND in the mesh that runs on this host, until it ends.

    Its proxy is ready before it starts, and it is called when it is ready. At SIGTERM, SIGINT or SIGHUP nobody calls it
    any more and what is in flight ends before it is told; a second signal ends it at once. Its terminal and its exit code
    are its own; 125 says that it is the mesh that failed. Options stand before COMMAND:

    \b
    mizzen run --service web --port http:8080 -- ./web --listen '127.0.0.1:$(PORT)'
    """  # noqa: D301 - the backspace is click's sign for lines that stay as they are
    try:
        return _run(choice, command[1:] if command[0] == "--" else command, options)
    except Complaint as complaint:
        raise _NotRunError(complaint.message, complaint.problems, complaint.hint) from complaint


def _run(choice: Choice, command: tuple[str, ...], options: dict[str, Any]) -> int:
    if not command:
        raise click.UsageError("Say which command to run: mizzen run [OPTIONS] -- COMMAND...")
    import asyncio

    from mizzen.cli.accompanying import accompany
    from mizzen.cli.choosing import running

    errand = _errand(mesh := running(choice), command, options)
    _check_services(mesh, errand)
    return asyncio.run(accompany(errand))


def _errand(mesh: Mesh, command: tuple[str, ...], options: dict[str, Any]) -> Errand:
    from mizzen.cli.accompanying import Errand
    from mizzen.node.run_messages import Wish
    from mizzen.registry.containers import dns_label
    from mizzen.registry.reports import DesiredWorkload
    from mizzen.resources.workload import WorkloadSpec

    name = options["workload_name"] or dns_label(Path(command[0]).name)
    spec = WorkloadSpec.model_validate(_spec(name, command, options))
    labels = {"app": name} | dict(options["labels"])
    _check(name, labels, spec, options)
    workload = DesiredWorkload(
        namespace=options["namespace"], name=name, digest="", spec=spec.to_document(), labels=labels
    )
    env = {key: value for key, value in os.environ.items() if _is_text(key + value)}
    return Errand(
        mesh=mesh.name,
        socket=(mesh.sockets or mesh.settings.sockets) / mesh.settings.node_socket.name,
        wish=Wish(workload=workload, services=tuple(dict.fromkeys(options["services"])), env=env),
        command=command,
        grace=options["grace"],
        user=options["user"] or "",
        user_env=_user_env(options["user"]) if options["user"] else None,
    )


def _spec(name: str, command: Sequence[str], options: dict[str, Any]) -> dict[str, Any]:
    """Returns what the options say in the form of a Workload's spec."""
    ports = options["ports"]
    spec: dict[str, Any] = {
        "command": list(command),
        "workingDir": str(Path.cwd()),
        "ports": [{"name": port, "containerPort": number} for port, number in ports],
        "serviceAccount": options["service_account"] or name,
        "terminationGracePeriodSeconds": math.ceil(options["grace"]),
        "proxy": options["proxy"] or "",
    }
    if path := options["ready_path"]:
        if not ports:
            raise click.UsageError("--ready-path asks the first port: give one with --port.")
        spec["readinessProbe"] = {"httpGet": {"path": path, "port": ports[0][1]}}
    return spec


def _check(name: str, labels: dict[str, str], spec: WorkloadSpec, options: dict[str, Any]) -> None:
    """Raises :class:`Complaint` with all that is wrong, in the words of the same mistakes in YAML."""
    from mizzen.resources.validation import names
    from mizzen.resources.validation.workload import workload

    named = {"--workload-name": [name], "--namespace": [options["namespace"]], "--service": options["services"]}
    wrong = [
        f"{option} {value}: use at most 63 of a-z, 0-9 and -, with a letter or digit first and last"
        for option, values in named.items()
        for value in values
        if not names.is_dns_label(value)
    ]
    wrong += [finding.message for finding in (*names.labels("", labels), *workload(spec))]
    if options["services"] and not options["ports"]:
        wrong.append("--service: say with --port on which port the service is called")
    if options["user"] and os.geteuid() != 0:
        wrong.append("--user: only root may run a command as another user")
    if wrong:
        raise Complaint("; ".join(wrong))


def _user_env(user: str) -> dict[str, str]:
    """Returns what an environment says about who one is, as systemd sets it for a unit with a User."""
    import pwd

    try:
        found = pwd.getpwnam(user)
    except KeyError as error:
        raise Complaint(f"--user: there is no user {user} on this machine") from error
    return {"USER": user, "LOGNAME": user, "HOME": found.pw_dir, "SHELL": found.pw_shell}


def _is_text(value: str) -> bool:
    """Tells whether a variable can be told to the node: one that is not UTF-8 goes to the command past it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_services(mesh: Mesh, errand: Errand) -> None:
    """Compares the run with the Services that are written: one that it names must lead to it, or nobody would.

    Raises :class:`Complaint`; says so where no Service leads to its ports.
    """
    workload, named = errand.wish.workload, errand.wish.services
    if not (ports := workload.spec.get("ports", ())):
        return
    from mizzen.cli.client import Client

    with Client(mesh) as client:
        listed = client.resources("Service", workload.namespace).items
    picked = False
    for service in listed:
        name = service["metadata"]["name"]
        reason = _why_not_behind(service, workload.labels, ports)
        picked = picked or not reason
        if name in named and reason and "foundBy" not in service.get("status", {}):
            raise Complaint(f"Service {workload.namespace}/{name} is written, and does not lead here: {reason}")
    if not picked and not named:
        note(
            f"mizzen: no Service leads to {workload.name}: nobody can call it by a name; give it one with --service NAME"
        )


def _why_not_behind(service: dict[str, Any], labels: dict[str, str], ports: Sequence[dict[str, Any]]) -> str:
    """Returns why a written Service does not lead to a workload with these labels and ports, or ""."""
    selector = service["spec"].get("selector") or {}
    if missing := [f"{key}={value}" for key, value in selector.items() if labels.get(key) != value]:
        return f"it selects {', '.join(missing)}; add {' '.join(f'--label {label}' for label in missing)}"
    if not selector:
        return "it has no selector"
    targets = set(_targets(service))
    if not targets & {port["name"] for port in ports} and not targets & {port["containerPort"] for port in ports}:
        return f"it leads to {count(len(targets), 'port')} {', '.join(map(str, sorted(targets, key=str)))}; use --port"
    return ""


def _targets(service: dict[str, Any]) -> Iterator[int | str]:
    return (port.get("targetPort", port["port"]) for port in service["spec"].get("ports", ()))
