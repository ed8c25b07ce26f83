from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from mizzen.node.launching import complaint, launch_command

SHELL = ["sh", "-c"]


def run(
    command: Sequence[str], *, env: dict[str, str] | None = None, working_dir: str = "", gid: int | None = None
) -> subprocess.CompletedProcess[str]:
    line = launch_command(command, working_dir=working_dir, gid=gid)
    return subprocess.run(line, capture_output=True, text=True, env=env, check=False)


def test_it_becomes_the_command_with_its_exit_code() -> None:
    done = run([*SHELL, "echo out; echo err >&2; exit 7"])
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_no_process_is_added() -> None:
    line = launch_command([*SHELL, "echo $$"])
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.read().strip() == str(process.pid)


def test_arguments_after_the_separator_are_the_commands() -> None:
    assert run(["echo", "--netns", "x", "--", "y"]).stdout == "--netns x -- y\n"


def test_the_working_directory(tmp_path: Path) -> None:
    assert Path(run(["pwd"], working_dir=str(tmp_path)).stdout.strip()).resolve() == tmp_path.resolve()


def test_the_environment_is_the_one_given() -> None:
    assert run(["/usr/bin/env"], env={"A": "1"}).stdout.splitlines() == ["A=1"]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux shows signals in /proc")
def test_signals_are_not_ignored() -> None:
    # Python ignores SIGPIPE, and what is ignored stays so over exec: `yes | head` would never end.
    ignored = int(run(["grep", "SigIgn", "/proc/self/status"]).stdout.split()[1], 16)
    assert not ignored >> (signal.SIGPIPE - 1) & 1


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (["no-such-command"], 127, "command not found: no-such-command"),
        (["/no/such/file", "x"], 127, "command not found: /no/such/file"),
        (["./no-such-file"], 127, "command not found: ./no-such-file in {folder}"),
        (["{folder}/plain"], 126, "permission denied: {folder}/plain (is it a file with the executable bit?)"),
        (["{folder}"], 126, "permission denied: {folder} (is it a file with the executable bit?)"),
        (["{folder}/interpreted"], 126, "the interpreter in the first line of {folder}/interpreted does not exist"),
        (
            ["{folder}/nothing"],
            126,
            "cannot execute {folder}/nothing: Exec format error (a script needs #! in its first line)",
        ),
    ],
)
def test_what_cannot_be_started(tmp_path: Path, command: list[str], code: int, message: str) -> None:
    for name, content, mode in [
        ("plain", "text", 0o600),
        ("interpreted", "#!/no/such/interpreter\n", 0o700),
        ("nothing", "no script", 0o700),
    ]:
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(mode)
    folder = str(tmp_path.resolve())
    line = [word.replace("{folder}", folder) for word in command]
    done = run(line, env={"PATH": "/bin:/usr/bin"}, working_dir=folder)
    assert done.returncode == code
    assert complaint(code, done.stderr.splitlines()) == message.replace("{folder}", folder)
    assert done.stderr.count("\n") == 1


def test_a_working_directory_that_is_not_there() -> None:
    done = run(["true"], working_dir="/no/such/folder")
    assert done.returncode == 126
    text = "cannot enter the working directory /no/such/folder: No such file or directory"
    assert complaint(126, done.stderr.splitlines()) == text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may become any group")
def test_a_group_that_may_not_be_had() -> None:
    done = run(["true"], gid=0)
    assert done.returncode == 126
    assert "cannot become group 0" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_group() -> None:
    assert run(["id", "-g"], gid=1337).stdout == "1337\n"


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs Linux and root")
def test_another_resolv_conf_for_the_command_alone(tmp_path: Path) -> None:
    other = tmp_path / "resolv.conf"
    other.write_text("nameserver 192.0.2.1\n")
    before = Path("/etc/resolv.conf").read_text()
    line = launch_command(["cat", "/etc/resolv.conf"], resolv_conf=str(other))
    assert subprocess.run(line, capture_output=True, text=True, check=True).stdout == "nameserver 192.0.2.1\n"
    assert Path("/etc/resolv.conf").read_text() == before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a death signal")
@pytest.mark.parametrize("gid", [None, pytest.param(1337, marks=pytest.mark.skipif("os.geteuid() != 0"))])
def test_the_command_dies_with_its_parent(gid: int | None) -> None:
    # A change of the group clears the death signal, so the order of the two matters.
    parent_code = f"""
import subprocess, time
from mizzen.node.launching import launch_command
line = launch_command(["sh", "-c", "echo started; exec sleep 100"], die_with_parent=True, gid={gid})
subprocess.Popen(line, start_new_session=True)
time.sleep(100)
"""
    with subprocess.Popen([sys.executable, "-c", parent_code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"started\n"
        began = time.monotonic()
        parent.kill()
        assert parent.stdout.read() == b""  # the end of the pipe: nobody has it open
    assert time.monotonic() - began < 50


def test_a_command_whose_parent_is_gone_already_does_not_start() -> None:
    line = launch_command(["echo", "started"], die_with_parent=True)
    line[line.index("--parent") + 1] = "1"
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 126)


def test_a_code_of_the_command_itself_is_no_complaint() -> None:
    assert complaint(127, ["sh: 1: nope: not found"]) is None
    assert complaint(1, ["mizzen-launch: x"]) is None
    assert complaint(None, []) is None


def test_a_user_that_is_not_there() -> None:
    done = subprocess.run(
        launch_command(["true"], user="nobody-of-this-name"), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (126, "mizzen-launch: there is no user nobody-of-this-name\n")


@pytest.mark.privileged
def test_a_user_with_its_groups_and_still_tied_to_its_parent() -> None:
    shell = "id -un; id -gn; exec sleep 100"
    command = launch_command([*SHELL, shell], user="nobody", die_with_parent=True)
    parent = f"import subprocess; subprocess.run({command!r})".replace(str(os.getpid()), "PARENT")
    parent = parent.replace("'PARENT'", "str(__import__('os').getpid())")
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert [process.stdout.readline().strip() for _ in range(2)] == ["nobody", "nogroup"]
        process.kill()
        assert process.stdout.read() == "", "it has ended with its parent, or the pipe would be open"
