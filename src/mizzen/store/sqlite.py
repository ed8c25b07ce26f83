"""The store of what commands apply: the database on a thread of its own, and its contents in memory.

A change is committed first and then shown in ``contents``, in that order always: a task that is cancelled while its
change is being written sees the cancellation only after both. The same file remembers what was last seen in watched
files (:meth:`SqliteStore.record_files`), the history of every resource, and the control plane's own small values.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from mizzen.latest import Latest
from mizzen.resources.key import Key
from mizzen.resources.problems import Problem
from mizzen.store.contents import AnyResource, Contents, NotFoundError, StoreError
from mizzen.store.database import Database, Json, Origin, Written
from mizzen.store.history import Action, Change, Outcome
from mizzen.store.stored import Stored, parse, record, stored

T = TypeVar("T")


class SqliteStore:
    """Resources that were applied, in a SQLite file. Implements :class:`mizzen.store.contents.Store`."""

    def __init__(self, thread: ThreadPoolExecutor, database: Database, now: Stored) -> None:
        self._thread = thread
        self._database = database
        self._stored = now
        self._latest = Latest(_contents(now))
        self._changing = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path, clock: Callable[[], float] = time.time) -> SqliteStore:
        """Opens the database, or makes it. ``clock`` gives Unix time in seconds, for the history. Raises StoreError."""
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        try:
            database, now = await _finished(thread, partial(_open, path, clock))
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(thread, database, now)

    async def close(self) -> None:
        """Closes the file; nothing can be read or changed after that."""
        try:
            await _finished(self._thread, self._database.close)
        finally:
            self._thread.shutdown(wait=False)

    @property
    def contents(self) -> Contents:
        return self._latest.get()

    @property
    def stored(self) -> Stored:
        """All that the database holds now, also what was last seen in files."""
        return self._stored

    def watch(self) -> AsyncIterator[Contents]:
        return aiter(self._latest)

    async def apply(self, resources: Sequence[AnyResource]) -> int:
        return (await self.change(apply=resources)).version

    async def delete(self, keys: Sequence[Key]) -> int:
        return (await self.change(delete=keys)).version

    async def change(
        self, *, apply: Sequence[AnyResource] = (), delete: Sequence[Key] = (), dry_run: bool = False
    ) -> Outcome:
        """Applies and deletes in one transaction, and tells what became of each resource.

        ``dry_run`` only tells: nothing changes, and the version is the present one. Raises NotFoundError, and
        StoreError for a resource that is named twice or a write that fails.
        """
        _require_distinct([*(resource.key for resource in apply), *delete])
        put = [record(resource, Origin.APPLIED) for resource in apply]
        drop = [(key, Origin.APPLIED) for key in delete]
        async with self._changing:
            unknown = [key for key in delete if not self._stored.has_applied(key)]
            if unknown:
                raise NotFoundError.of(unknown)

            def change() -> Written:
                written = self._database.write(put, drop, dry_run=dry_run)
                if not dry_run:
                    self._stored = self._stored.with_applied(written, apply, delete)
                return written

            outcome = (await self._write(change)).outcome
        return Outcome(self._stored.version, outcome.actions) if dry_run else outcome

    async def record_files(self, resources: Mapping[Key, AnyResource]) -> None:
        """Notes what the watched files say now, in place of what they said before. Raises StoreError."""
        async with self._changing:
            before = self._stored.files
            put = [
                record(resource, Origin.FILE)
                for key, resource in resources.items()
                if key not in before or record(resource, Origin.FILE) != record(before[key], Origin.FILE)
            ]
            drop = [(key, Origin.FILE) for key in before if key not in resources]
            if not put and not drop:
                return

            def change() -> None:
                self._stored = self._stored.with_files(self._database.write(put, drop), resources)

            await self._write(change)

    async def history(self, key: Key) -> list[Change]:
        """Returns the changes of a resource, applied or in a file, the latest first. Raises StoreError."""
        return await _finished(self._thread, partial(self._database.history, key))

    async def previous(self, key: Key) -> list[AnyResource]:
        """Returns the earlier generations of a resource that exists, the latest first; those that say the same once.

        They reach back to its creation: one that was deleted in between was another resource. What this version of
        Mizzen does not accept any more is left out. All bear the age of the resource. Raises StoreError.
        """

        def read() -> list[AnyResource]:
            return _generations(key, self._database.history(key), self._stored.created.get(key))

        return await _finished(self._thread, read)

    async def section(self, section: str) -> dict[str, Json]:
        """Returns the JSON values that are remembered under a heading, by name. Raises StoreError."""
        return await _finished(self._thread, partial(self._database.section, section))

    async def write_section(self, section: str, values: Mapping[str, Json]) -> None:
        """Remembers JSON values under a heading, all or nothing.

        They are on disk when this returns. Raises StoreError, and TypeError for a value that JSON does not have.
        """
        await _finished(self._thread, partial(self._database.write_section, section, dict(values)))

    async def _write(self, change: Callable[[], T]) -> T:
        try:
            return await _finished(self._thread, change)
        finally:
            # Also when we are cancelled: the change may be on disk, and memory follows the disk.
            self._latest.set(_contents(self._stored))


def _open(path: Path, clock: Callable[[], float]) -> tuple[Database, Stored]:
    database = Database.open(path, clock)
    try:
        return database, stored(database.version(), database.created(), database.records())
    except BaseException:
        database.close()
        raise


def _contents(now: Stored) -> Contents:
    resources = {key: resource.stamped(now.created[key]) for key, resource in now.applied.items()}
    return Contents(now.version, resources, tuple(problem for problems in now.broken.values() for problem in problems))


def _generations(key: Key, history: Sequence[Change], created: int | None) -> list[AnyResource]:
    if created is None:
        return []
    texts = [change for change in history if change.version >= created and change.action is not Action.DELETED]
    parsed = [parse(key, change.text, change.file, change.line)[0] for change in texts]
    known: dict[str, AnyResource] = {}
    for resource in filter(None, parsed):
        known.setdefault(resource.digest, resource.stamped(created))
    if parsed and parsed[0]:
        del known[parsed[0].digest]
    return list(known.values())


def _require_distinct(keys: Sequence[Key]) -> None:
    twice = [key for key, count in Counter(keys).items() if count > 1]
    if twice:
        raise StoreError(
            *(
                Problem(code="DuplicateResource", message="it is named twice in one change", resource=key)
                for key in twice
            )
        )


async def _finished(thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    """Runs work on the thread and waits for its end, even when cancelled: work on a thread cannot be stopped."""
    future = asyncio.get_running_loop().run_in_executor(thread, work)
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        future.exception()  # what became of the work is nobody's business any more
        raise cancelled
    return future.result()
