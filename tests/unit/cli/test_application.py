"""The root: what importing costs, how commands end, completion."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from tests.unit.cli.fakes import FakeApi, container, instance, out, run
from tests.unit.cli.samples import virtual_service

from mizzen import __version__
from mizzen.cli.application import _ALIASES, _ELSEWHERE, Application, application

HEAVY = ("grpc", "pydantic", "rich", "google.protobuf", "httpx2", "msgspec", "yaml", "structlog", "asyncio")


@pytest.mark.parametrize("module", ["mizzen.cli", "mizzen.cli.application"])
def test_importing_the_command_line_imports_nothing_heavy(module: str) -> None:
    script = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_help_lists_every_command_under_a_subject() -> None:
    text = out("--help")
    shown = [line.split()[0] for line in text.splitlines() if line.startswith("  ") and "  " in line.strip()]
    assert set(application.commands) <= set(shown)


@pytest.mark.parametrize("name", sorted(application.commands))
def test_every_command_has_help(name: str) -> None:
    assert out(name, "--help").startswith("Usage: ")


def test_an_unknown_command_is_wrong_usage() -> None:
    result = run("aply")
    assert result.exit_code == 2
    assert "No such command 'aply'" in result.stderr


@pytest.mark.parametrize(("name", "hint"), [("describe", "mizzen get KIND NAME -o yaml"), ("scale", "`replicas`")])
def test_a_command_of_kubectl_that_is_not_here_says_what_is(name: str, hint: str) -> None:
    result = run(name, "svc", "web")
    assert result.exit_code == 2
    assert f"No such command {name!r}. Here: " in result.stderr
    assert hint in result.stderr


def test_what_others_have_is_not_what_is_here() -> None:
    assert not _ELSEWHERE.keys() & {*application.commands, *_ALIASES}


def test_version_without_a_mesh() -> None:
    assert out("version") == f"mizzen {__version__}\n"
    assert out("version", "--client") == f"mizzen {__version__}\n"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "\n"),
        (click.Abort(), 130, ""),
        (PermissionError(errno.EACCES, "Permission denied", "/root/x"), 1, "error: /root/x: Permission denied\n"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "error: No space left on device\n"),
        (OSError("odd"), 1, "error: odd\n"),
    ],
)
def test_a_command_ends_without_a_traceback(error: BaseException, code: int, message: str) -> None:
    @click.group(cls=Application)
    def root() -> None: ...

    @root.command()
    def fail() -> None:
        raise error

    result = CliRunner().invoke(root, ["fail"])
    assert (result.exit_code, result.stderr) == (code, message)


def test_a_bug_shows_where_it_is() -> None:
    @click.group(cls=Application)
    def root() -> None: ...

    @root.command()
    def fail() -> None:
        raise LookupError

    assert isinstance(CliRunner().invoke(root, ["fail"]).exception, LookupError)


def test_a_reader_that_has_gone_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-c", "from mizzen.cli import main; main()", "completion", "bash"],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_no_color_takes_colours_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def stderr() -> str:
        return CliRunner().invoke(application, ["get", "vs"], color=True).stderr

    assert "\x1b[" in stderr()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in stderr()


Complete = Callable[..., list[str]]


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch) -> Complete:
    """Asks as bash does; the last word is the one to complete."""

    def ask(*words: str) -> list[str]:
        monkeypatch.setenv("_MIZZEN_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(["mizzen", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        result = CliRunner().invoke(application, prog_name="mizzen")
        assert result.stderr == ""
        return [line.split(",", 1)[1] for line in result.stdout.splitlines() if line]

    return ask


def test_commands_and_kinds_complete_without_a_mesh(complete: Complete) -> None:
    assert complete("ap") == ["apply"]
    assert complete("get", "vi") == ["virtualservice", "virtualservices"]
    assert complete("get", "con") == ["containers"]
    assert complete("get", "vs,dest") == ["vs,destinationrule", "vs,destinationrules"]


def test_names_complete_from_the_running_mesh(api: FakeApi, complete: Complete) -> None:
    api.on("GET /v1/resources", {"items": [virtual_service(), virtual_service("ratings")]})
    api.on("GET /v1/workloads", {"items": [instance("reviews-v1-0", "reviews-v1")]})
    api.on("GET /v1/proxies", {"items": [{"id": "reviews-v1-0.default"}, {"id": "vm.mizzen-system"}]})
    api.on("GET /v1/containers", {"items": [container("web"), container("db")]})
    assert complete("get", "vs", "ra") == ["ratings"]
    assert complete("logs", "rev") == ["reviews-v1", "reviews-v1-0"]
    assert complete("proxy", "clusters", "") == ["reviews-v1-0.default", "vm.mizzen-system"]
    assert complete("attach", "") == complete("containers", "") == ["db", "shop", "web"]
    assert complete("detach", "web", "s") == ["shop"]
    assert complete("get", "containers", "w") == ["web"]
    assert complete("status", "--name", "d") == ["default"]


def test_there_is_nothing_to_complete_without_a_mesh(complete: Complete) -> None:
    assert complete("get", "vs", "") == []
    assert complete("logs", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell(shell: str) -> None:
    assert "_MIZZEN_COMPLETE" in out("completion", shell)


def test_main_is_the_entry_point(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "from mizzen.cli import main; main()", "version", "--client"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert ended.stdout == f"mizzen {__version__}\n"


def _help_of(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], str]]:
    yield path, run(*path, "--help").stdout
    for name, below in getattr(command, "commands", {}).items():
        yield from _help_of(below, *path, name)


def test_no_help_shows_marks_that_are_for_click() -> None:
    texts = dict(_help_of(application))
    assert len(texts) > 20
    assert [path for path, text in texts.items() if "\\b" in text or "\b" in text] == []
