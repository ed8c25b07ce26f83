"""The store that everybody uses: what is in watched files and what was applied, as one.

A file is in force before what was applied under the same key. What files say is recorded in the database before it
comes into force; so versions and ages outlive a restart, history covers files too, and a file that has errors when the
control plane starts again keeps its last good contents. Neighbours: :mod:`mizzen.store.directory` and
:mod:`mizzen.store.sqlite`, the two parts; ``control`` opens this, runs it in its TaskGroup, and watches it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import structlog

from mizzen.latest import Latest
from mizzen.resources.key import Key
from mizzen.resources.problems import Level, Position, Problem
from mizzen.store.contents import AnyResource, Contents, NotFoundError, ReadOnlyError, StoreError
from mizzen.store.database import Json
from mizzen.store.directory import Directory
from mizzen.store.history import Action, Change, Outcome
from mizzen.store.secret_files import SecretFiles, without_keys
from mizzen.store.sqlite import SqliteStore
from mizzen.store.stored import Stored, delete_command

log = structlog.get_logger(__name__)

# How long to wait, in seconds, until what files say is recorded again, after that failed.
_RETRY = 5.0
# The folder beside the database in which the contents of Secrets are.
SECRETS = "secrets"
_WITH_KEYS = "Secret"


class Stores:
    """All resources of a mesh. Implements :class:`mizzen.store.contents.Store`.

    Use as ``async with await Stores.open(...) as stores``, and run :meth:`run` in a TaskGroup inside.
    """

    def __init__(self, sqlite: SqliteStore, directory: Directory, secrets: SecretFiles) -> None:
        self._sqlite = sqlite
        self._secrets = secrets
        self._directory = directory
        self._failure: tuple[Problem, ...] = ()
        self._lacking: tuple[Problem, ...] = ()
        self._latest = Latest(Contents())
        # One change at a time: a key must not get into a file between the check of its owner and the commit.
        self._changing = asyncio.Lock()

    @classmethod
    async def open(cls, database: Path, paths: Sequence[Path], clock: Callable[[], float] = time.time) -> Stores:
        """Opens the database, or makes it, and reads the files and directories once. What Secrets hold is beside it.

        ``clock`` gives Unix time in seconds, for the history. Raises StoreError for the database; mistakes in files
        are in ``file_problems``, and it is for the caller to go on or not.
        """
        sqlite = await SqliteStore.open(database, clock)
        try:
            directory = await Directory.open(paths, sqlite.stored.files)
            stores = cls(sqlite, directory, SecretFiles(database.with_name(SECRETS)))
            await stores._take(directory.contents)
            await stores._forget_secrets()  # what an earlier control plane has left
        except BaseException:
            await sqlite.close()
            raise
        return stores

    async def close(self) -> None:
        """Closes the database. :meth:`run` must have ended."""
        await self._sqlite.close()

    async def __aenter__(self) -> Stores:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def run(self) -> None:
        """Watches the files, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._directory.run())
            group.create_task(self._follow())

    @property
    def contents(self) -> Contents:
        return self._latest.get()

    @property
    def secrets(self) -> Path:
        """The folder below which the contents of Secrets are."""
        return self._secrets.folder

    @property
    def file_problems(self) -> tuple[Problem, ...]:
        """The problems of the watched files alone.

        A mesh does not start with errors among them. It does start with the others that ``contents`` may have, of
        applied resources, since commands that remove those need a mesh that runs.
        """
        return (*self._lacking, *self._directory.contents.problems)

    def watch(self) -> AsyncIterator[Contents]:
        return aiter(self._latest)

    async def apply(self, resources: Sequence[AnyResource]) -> int:
        return (await self.change(apply=resources)).version

    async def delete(self, keys: Sequence[Key]) -> int:
        return (await self.change(delete=keys)).version

    async def change(
        self, *, apply: Sequence[AnyResource] = (), delete: Sequence[Key] = (), dry_run: bool = False
    ) -> Outcome:
        """Applies and deletes in one transaction, and tells what became of each resource; see SqliteStore.change.

        What says the same as a watched file is unchanged.
        A resource that is both applied and in a file can be deleted: the applied one goes, the file stays in force.
        Raises NotFoundError for keys that exist nowhere, ReadOnlyError for those that only a file has, StoreError.
        """
        async with self._changing:
            files = self._sqlite.stored.files
            same = [one for one in apply if one.key in files and files[one.key].digest == one.digest]
            named = [*(one.key for one in apply), *delete]
            apply = [one for one in apply if one not in same]
            self._refuse({one.key: one for one in apply}, delete)
            secrets = _holds_secrets(named)
            if secrets and (lacking := await asyncio.to_thread(self._secrets.lacking, apply)):
                raise StoreError(*lacking)
            try:
                if secrets and not dry_run:
                    await asyncio.to_thread(self._secrets.keep, apply)
                kept = [without_keys(one) for one in apply]
                outcome = await self._sqlite.change(apply=kept, delete=delete, dry_run=dry_run)
                unchanged = dict.fromkeys((one.key for one in same), Action.UNCHANGED)
                actions = {**unchanged, **outcome.actions}
                return Outcome(outcome.version, {key: actions[key] for key in named})
            finally:
                if not dry_run:
                    self._publish()
                    if secrets:
                        await self._forget_secrets()

    async def history(self, key: Key) -> list[Change]:
        """Returns the changes of a resource, applied or in a file, the latest first. Raises StoreError."""
        return await self._sqlite.history(key)

    async def previous(self, key: Key) -> list[AnyResource]:
        """Returns the earlier generations of a resource, the latest first; see SqliteStore.previous."""
        return await self._sqlite.previous(key)

    async def section(self, section: str) -> dict[str, Json]:
        """Returns the JSON values that are remembered under a heading, by name. Raises StoreError."""
        return await self._sqlite.section(section)

    async def write_section(self, section: str, values: Mapping[str, Json]) -> None:
        """Remembers JSON values under a heading, on disk, all or nothing; see SqliteStore.write_section."""
        await self._sqlite.write_section(section, values)

    def _refuse(self, apply: Mapping[Key, AnyResource], delete: Sequence[Key]) -> None:
        now = self._sqlite.stored
        unknown = [key for key in delete if key not in now.files and not now.has_applied(key)]
        if unknown:
            raise NotFoundError.of(unknown)
        owned = [key for key in apply if key in now.files]
        owned += [key for key in delete if not now.has_applied(key)]
        if owned:
            raise ReadOnlyError.of((now.files[key] for key in owned), apply)

    async def _follow(self) -> None:
        watch = self._directory.watch()
        files = await anext(watch)
        while True:
            recorded = await self._take(files)
            try:
                async with asyncio.timeout(None if recorded else _RETRY):
                    files = await anext(watch)
            except TimeoutError:
                continue

    async def _take(self, files: Contents) -> bool:
        """Records what files say and brings it into force; False if the database could not take it."""
        async with self._changing:
            secrets = _holds_secrets([*files.resources, *self._sqlite.stored.files])
            self._lacking = ()
            try:
                await self._sqlite.record_files(await self._kept(files.resources) if secrets else files.resources)
                self._failure = ()
            except StoreError as error:
                log.error("files_not_recorded", error=str(error), retry_seconds=_RETRY)  # noqa: TRY400 - no bug
                self._failure = (*error.problems, _not_in_force())
            self._publish()
            if secrets:
                await self._forget_secrets()
        return not self._failure

    async def _kept(self, files: Mapping[Key, AnyResource]) -> dict[Key, AnyResource]:
        """Keeps what Secrets in files hold, and returns all resources of the files without it. Raises StoreError.

        A Secret whose key is not here is as it was before in its file, if it was there.
        """
        self._lacking = tuple(await asyncio.to_thread(self._secrets.lacking, files.values()))
        lacking, before = {problem.resource for problem in self._lacking}, self._sqlite.stored.files
        whole = {key: one for key, one in files.items() if key not in lacking}
        await asyncio.to_thread(self._secrets.keep, whole.values())
        return {
            key: without_keys(whole[key]) if key in whole else before[key]
            for key in files
            if key in whole or key in before
        }

    async def _forget_secrets(self) -> None:
        """Removes what no Secret holds any more; nothing while there is a Secret that this version of Mizzen cannot read."""
        now = self._sqlite.stored
        if _holds_secrets(now.broken):
            return
        try:
            await asyncio.to_thread(self._secrets.collect, [*now.applied.values(), *now.files.values()])
        except OSError as error:
            log.error("secrets_not_removed", folder=str(self._secrets.folder), error=error.strerror)  # noqa: TRY400

    def _publish(self) -> None:
        problems = (*self._failure, *self.file_problems, *self._sqlite.contents.problems)
        new = union(self._sqlite.stored, problems)
        self._latest.set(new)


def _holds_secrets(keys: Iterable[Key]) -> bool:
    return any(key.kind == _WITH_KEYS for key in keys)


def union(stored: Stored, problems: Sequence[Problem] = ()) -> Contents:
    """Returns all resources in force, the oldest first, with their ages, and a problem for each that is there twice."""
    both = {**stored.applied, **stored.files}
    aged = sorted((resource.stamped(stored.created[key]) for key, resource in both.items()), key=lambda one: one.age)
    twice = [_twice(stored.files[key], applied) for key, applied in stored.applied.items() if key in stored.files]
    resources = {resource.key: resource for resource in aged}
    return Contents(stored.version, resources, (*problems, *twice), frozenset(stored.files))


def _twice(in_file: AnyResource, applied: AnyResource) -> Problem:
    key = in_file.key
    return Problem(
        code="AppliedAndInFile",
        message=f"in force as written in {in_file.source.file}:{in_file.source.line}; it was also applied, from"
        f" {applied.source.file}:{applied.source.line}, which has no effect",
        level=Level.WARNING,
        position=Position(in_file.source.file, in_file.source.line),
        resource=key,
        hint=f"remove the applied one with {delete_command(key)}, or remove it from the file",
    )


def _not_in_force() -> Problem:
    return Problem(
        code="FilesNotRecorded",
        message="changes of the watched files are not in force until they can be recorded",
        hint=f"this is tried again every {_RETRY:.0f} s",
    )
