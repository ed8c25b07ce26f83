"""The shim that every child of the node starts through: it prepares its own process, then becomes the command.

Run as ``python -I -S launch.py OPTIONS -- COMMAND...`` (see launching.py, which builds that line). It uses the standard
library alone, as little of it as it can, so it costs some 25 ms and, because it ends in exec, no process. It exists
because what it does must happen between fork and exec, where Python code in a process with threads is not safe
(``preexec_fn``).

What cannot be started ends with one line on standard error, as a shell does: exit code 127 for a command that is not
there, 126 for all else.
"""

# pathlib, typing and signal would double the time that this takes to start.
# ruff: noqa: PTH109, PTH110, PTH123

from __future__ import annotations

import errno
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ctypes
    from typing import NoReturn

# The first words of the line that says why a command was not started; the node looks for them in a child's output.
COMPLAINT = "mizzen-launch: "
NOT_FOUND = 127
NOT_STARTED = 126

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9
_SIGPIPE = 13
_SIGXFSZ = 25
_SIG_DFL = 0
_CLONE_NEWNS = 0x00020000
_CLONE_NEWNET = 0x40000000
_MS_BIND = 0x1000
_MS_PRIVATE_RECURSIVE = 0x40000 | 0x4000
_RESOLV_CONF = "/etc/resolv.conf"
_OPTIONS = ("--netns", "--resolv-conf", "--gid", "--user", "--chdir", "--parent")


class CannotStartError(Exception):
    def __init__(self, message: str, code: int = NOT_STARTED) -> None:
        super().__init__(message)
        self.code = code


def main(arguments: list[str]) -> NoReturn:
    """Prepares this process as the options say and becomes the command; never returns."""
    try:
        options, command = parse(arguments)
        prepare(options)
        become(command)
    except CannotStartError as error:
        sys.stderr.write(f"{COMPLAINT}{error}\n")
        sys.stderr.flush()
        os._exit(error.code)


def parse(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """Splits ``--name value ... -- command...``; all options take a value."""
    options: dict[str, str] = {}
    rest = list(arguments)
    while rest and rest[0] != "--":
        if len(rest) < 2 or rest[0] not in _OPTIONS:
            raise CannotStartError(f"unknown option {rest[0]!r}")
        options[rest[0][2:]] = rest[1]
        rest = rest[2:]
    if len(rest) < 2:
        raise CannotStartError("no command is given")
    return options, rest[1:]


def prepare(options: dict[str, str]) -> None:
    """Applies the options. Those that need root come first; a change of who this process is clears the death signal."""
    if netns := options.get("netns"):
        _enter_namespace(netns)
    if resolv_conf := options.get("resolv-conf"):
        _mount_resolv_conf(resolv_conf)
    if gid := options.get("gid"):
        _set_group(int(gid))
    if user := options.get("user"):
        _become_user(user)
    if chdir := options.get("chdir"):
        _change_folder(chdir)
    if parent := options.get("parent"):
        _die_with(int(parent))


def become(command: list[str]) -> NoReturn:
    _restore_python_traces()
    name = command[0]
    try:
        os.execvp(name, command)  # noqa: S606 - becoming the user's command is what this program is for
    except FileNotFoundError:
        if "/" in name and os.path.exists(name):
            raise CannotStartError(f"the interpreter in the first line of {name} does not exist") from None
        where = f" in {os.getcwd()}" if "/" in name and not name.startswith("/") else ""
        raise CannotStartError(f"command not found: {name}{where}", NOT_FOUND) from None
    except PermissionError:
        raise CannotStartError(f"permission denied: {name} (is it a file with the executable bit?)") from None
    except OSError as error:
        hint = " (a script needs #! in its first line)" if error.errno == errno.ENOEXEC else ""
        raise CannotStartError(f"cannot execute {name}: {error.strerror}{hint}") from None
    except ValueError as error:
        raise CannotStartError(f"cannot execute {name!r}: {error}") from None


def _restore_python_traces() -> None:
    """Undoes what the interpreter did to this process: an ignored SIGPIPE survives exec, so does a coerced locale."""
    for number in (_SIGPIPE, _SIGXFSZ):
        _libc().signal(number, _SIG_DFL)
    try:
        with open("/proc/self/environ", "rb") as file:
            given = file.read().split(b"\0")
    except OSError:
        return
    if not any(entry.startswith(b"LC_CTYPE=") for entry in given):
        os.environ.pop("LC_CTYPE", None)


def _change_folder(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise CannotStartError(f"cannot enter the working directory {folder}: {error.strerror}") from None


def _set_group(gid: int) -> None:
    try:
        os.setgid(gid)
    except OSError as error:
        raise CannotStartError(f"cannot become group {gid}: {error.strerror}") from None


def _become_user(name: str) -> None:
    # What is needed afterwards is imported before: the user may not be allowed to read this Python.
    import ctypes  # noqa: F401
    import pwd
    import warnings  # noqa: F401 - by os.execvp

    try:
        user = pwd.getpwnam(name)
        os.initgroups(name, user.pw_gid)
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    except KeyError:
        raise CannotStartError(f"there is no user {name}") from None
    except OSError as error:
        raise CannotStartError(f"cannot become user {name}: {error.strerror}") from None


def _die_with(parent: int) -> None:
    """Has the kernel kill this process when its parent dies, and checks that it has not died meanwhile."""
    if sys.platform == "linux" and _libc().prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0) != 0:
        raise _failure("cannot tie this process to its parent")
    if os.getppid() != parent:
        os._exit(NOT_STARTED)


def _enter_namespace(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise CannotStartError(f"cannot open the network namespace {path}: {error.strerror}") from None
    if _libc().setns(descriptor, _CLONE_NEWNET) != 0:
        raise _failure(f"cannot enter the network namespace {path}")
    os.close(descriptor)


def _mount_resolv_conf(file: str) -> None:
    """Shows this process and its children another resolv.conf, in a mount namespace of their own."""
    target = os.path.realpath(_RESOLV_CONF)
    if not os.path.exists(target):
        return  # A resolver without the file asks 127.0.0.1, which capture answers.
    libc = _libc()
    if libc.unshare(_CLONE_NEWNS) != 0:
        raise _failure("cannot make a mount namespace")
    if libc.mount(b"none", b"/", None, _MS_PRIVATE_RECURSIVE, None) != 0:
        raise _failure("cannot make the mounts private")
    if libc.mount(os.fsencode(file), os.fsencode(target), None, _MS_BIND, None) != 0:
        raise _failure(f"cannot mount {file} over {target}")


def _libc() -> ctypes.CDLL:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_void_p]
    return libc


def _failure(what: str) -> CannotStartError:
    import ctypes

    return CannotStartError(f"{what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main(sys.argv[1:])
