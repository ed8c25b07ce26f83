"""Files of an authority: private ones that nobody else can read, written whole or not at all, by one process at a time.

Knows nothing of what is in the files beyond PEM; `authority.py` decides what is kept. All errors are
`AuthorityError` with the file they are about.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from mizzen.identity import certificates
from mizzen.identity.certificates import SigningKey
from mizzen.identity.errors import AuthorityError

RESTORE = "restore the folder from a backup, or move it away: a new root is then made, which nothing trusts yet"


def prepare_folder(folder: Path) -> None:
    """Makes the folder for its owner alone; an existing one must not be one that others can put files into."""
    with _named(folder, "cannot be made or read"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise AuthorityError("is not a folder", where=folder)
    if found.st_mode & 0o022:
        raise AuthorityError(
            f"others may write to the folder (mode {stat.S_IMODE(found.st_mode):04o})",
            where=folder,
            hint=f"chmod 0700 {folder}",
        )


def close_folder(folder: Path) -> None:
    """Takes the folder away from everybody but its owner, before a private key is put into it."""
    with _named(folder, "cannot be made private"):
        folder.chmod(0o700)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder's lock: waits for other processes; the kernel frees it when a process dies."""
    with _named(folder, "cannot be locked"):
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with _named(folder, "cannot be locked"):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write(path: Path, data: bytes, mode: int) -> None:
    """Writes a file so that after a crash at any moment it is there whole or as it was before."""
    with _named(path, "cannot be written"):
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, path)  # noqa: PTH104 - the call that is atomic, by its name
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)  # noqa: PTH108
            raise
        _sync_folder(path.parent)


def remove(path: Path) -> None:
    """Removes a file; it is no error if there is none."""
    with _named(path, "cannot be removed"):
        path.unlink(missing_ok=True)
        _sync_folder(path.parent)


def read(path: Path) -> bytes:
    with _named(path, "cannot be read"):
        return path.read_bytes()


def write_key(path: Path, key: SigningKey) -> None:
    write(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)


def read_key(path: Path) -> SigningKey:
    """Reads a private key of the authority; refuses a file that anybody but its owner can read."""
    with _named(path, "cannot be read"), path.open("rb") as file:
        # Of the open file, so that it is not another one than the one that is read.
        found = os.fstat(file.fileno())
        data = file.read()
    if found.st_mode & 0o077:
        raise AuthorityError(
            f"others can read the private key (mode {stat.S_IMODE(found.st_mode):04o}), it may be known to them",
            where=path,
            hint=f"chmod 0600 {path}; if the machine has other users, replace the key and its certificate",
        )
    if found.st_uid not in {0, os.geteuid()}:
        raise AuthorityError(
            f"the private key belongs to another user (uid {found.st_uid})",
            where=path,
            hint=f"chown {os.geteuid()} {path}",
        )
    return _parse_key(path, data)


def read_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """Reads one or more certificates in PEM."""
    data = read(path)
    try:
        return certificates.read(data)
    except certificates.UNREADABLE as error:
        raise AuthorityError(f"{_what(data)} no certificate in PEM", where=path, hint=RESTORE) from error


def _parse_key(path: Path, data: bytes) -> SigningKey:
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError as error:
        raise AuthorityError(
            "the private key is encrypted", where=path, hint=f"decrypt it: openssl pkey -in {path.name} -out NEW"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise AuthorityError(f"{_what(data)} no private key in PEM", where=path, hint=RESTORE) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise AuthorityError(
            f"the private key is of the type {type(key).__name__}", where=path, hint="use ECDSA or RSA"
        )
    return key


def _what(data: bytes) -> str:
    return "holds" if data.strip() else "is empty:"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _named(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = RESTORE if isinstance(error, FileNotFoundError) else ""
        raise AuthorityError(f"{what}: {error.strerror or error}", where=path, hint=hint) from error
