"""The store of what users write in files: an edit takes effect without a command.

:mod:`mizzen.store.files` reads the disk, :mod:`mizzen.store.places` says which directories to watch for that; this is
the loop between them. Events only say *when* to look; what is in force follows from what is there. So an event too many
costs a few system calls, and one that was lost (a network file system, an overflow) costs :data:`RESCAN` seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
import os
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path

import structlog
from watchfiles import awatch

from mizzen.latest import Latest
from mizzen.resources.key import Key
from mizzen.resources.problems import Position, Problem
from mizzen.store.contents import AnyResource, Contents, NotFoundError, ReadOnlyError, StoreError
from mizzen.store.files import GRACE, Scan, WatchedFile, scan
from mizzen.store.places import Place, places

log = structlog.get_logger(__name__)

# How often, in seconds, to look without an event.
RESCAN = 5.0

# How often, in seconds, to look where the system cannot tell of changes.
_POLL = 1.0

# In milliseconds: a burst of events is over when nothing came for _QUIET, or after _LONGEST.
_QUIET = 20
_LONGEST = 200


class Directory:
    """The resources of files and directories. Implements :class:`mizzen.store.contents.Store`; cannot be written to.

    Its version counts the changes that it saw, beginning anew with each process, and its resources have no age: files
    remember neither. Both come from the database, in :class:`mizzen.store.stores.Stores`.
    """

    def __init__(self, paths: Sequence[Path], last_good: Mapping[Key, AnyResource]) -> None:
        self._paths = [Path(path) for path in paths]
        self._owners = {key: resource.source.file for key, resource in last_good.items()}
        self._scan = Scan(_last_good_files(last_good.values()))
        self._places: frozenset[Place] = frozenset()
        self._latest = Latest(Contents())

    @classmethod
    async def open(cls, paths: Sequence[Path], last_good: Mapping[Key, AnyResource] | None = None) -> Directory:
        """Reads the files and directories once. :meth:`run` watches them.

        ``last_good`` is what was in force when the files were last watched: it stays so for files that have errors
        now. Raises nothing for what is wrong with the files: ``contents.problems`` says it.
        """
        directory = cls(paths, last_good or {})
        await directory._look()
        return directory

    @property
    def contents(self) -> Contents:
        return self._latest.get()

    def watch(self) -> AsyncIterator[Contents]:
        return aiter(self._latest)

    async def apply(self, resources: Sequence[AnyResource]) -> int:
        """Refuses: files are edited. Raises ReadOnlyError, or StoreError for a resource that no file has."""
        self._refuse([resource.key for resource in resources])
        raise StoreError.because("resources in files are not applied", "write them to a file that the mesh watches")

    async def delete(self, keys: Sequence[Key]) -> int:
        """Refuses: files are edited. Raises ReadOnlyError, or NotFoundError for a resource that no file has."""
        self._refuse(keys)
        raise NotFoundError.of(keys)

    async def run(self) -> None:
        """Watches, for ever."""
        while True:
            await self._watch(self._places)

    async def _watch(self, watched: frozenset[Place]) -> None:
        """Looks whenever something changes in these places, until others are to be watched."""
        event, stop = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(_listen(watched, event, stop))
            # The watch is opened in the task's first step. What changes before it is seen by the look after it.
            await asyncio.sleep(0)
            while self._places == watched:
                event.clear()
                await self._look()
                if self._places == watched:
                    await _wait(event, self._patience(listening))
            stop.set()

    def _patience(self, listening: asyncio.Task[None]) -> float:
        if self._scan.missing:
            return GRACE
        return _POLL if listening.done() else RESCAN

    async def _look(self) -> None:
        self._scan, self._places = await asyncio.to_thread(_look, self._paths, self._scan.files)
        resources, problems = _union(self._scan.files.values(), self._owners)
        self._owners = {key: resource.source.file for key, resource in resources.items()}
        problems = (*self._scan.problems, *problems)
        now = self.contents
        if _written(resources) == _written(now.resources) and problems == now.problems:
            return
        for problem in problems:
            if problem not in now.problems:
                log.warning("file_problem", problem=str(problem))
        self._latest.set(Contents(now.version + 1, resources, problems))

    def _refuse(self, keys: Iterable[Key]) -> None:
        owned = [self.contents.resources[key] for key in keys if key in self.contents.resources]
        if owned:
            raise ReadOnlyError.of(owned)


def _last_good_files(resources: Iterable[AnyResource]) -> dict[str, WatchedFile]:
    """Returns the files that these were read from. They count as gone for long, until they are seen."""
    files: dict[str, WatchedFile] = {}
    for resource in resources:
        name = resource.source.file
        path = os.path.abspath(name)  # noqa: PTH100 - as in scan()
        before = files.get(path, WatchedFile(name, gone=-math.inf))
        files[path] = dataclasses.replace(before, resources=(*before.resources, resource))
    return files


def _look(paths: Sequence[Path], before: Mapping[str, WatchedFile]) -> tuple[Scan, frozenset[Place]]:
    now = scan(paths, before, time.monotonic())
    return now, places(paths, map(Path, now.files))


def _union(
    files: Iterable[WatchedFile], owners: Mapping[Key, str]
) -> tuple[dict[Key, AnyResource], tuple[Problem, ...]]:
    """Returns the resources of all files, one for each key, and all problems.

    Of a key that is in two files, the file that had it before stays in force (``owners``), else the first.
    """
    written: dict[Key, list[AnyResource]] = {}
    problems: list[Problem] = []
    for file in files:
        problems += file.problems
        for resource in file.resources:
            written.setdefault(resource.key, []).append(resource)
    resources: dict[Key, AnyResource] = {}
    for key, candidates in written.items():
        winner = next((one for one in candidates if one.source.file == owners.get(key)), candidates[0])
        resources[key] = winner
        problems += [_duplicate(one, winner) for one in candidates if one is not winner]
    return resources, tuple(problems)


def _duplicate(resource: AnyResource, winner: AnyResource) -> Problem:
    return Problem(
        code="DuplicateResource",
        message=f"also written in {winner.source.file}:{winner.source.line}, which is in force; this one is not",
        position=Position(resource.source.file, resource.source.line),
        resource=resource.key,
        hint="keep one of the two",
    )


def _written(resources: Mapping[Key, AnyResource]) -> dict[Key, tuple[str, int, str]]:
    """All that resources consist of. Their own equality leaves out where they are written."""
    return {
        key: (resource.source.file, resource.source.line, resource.source.text) for key, resource in resources.items()
    }


async def _listen(watched: Iterable[Place], event: asyncio.Event, stop: asyncio.Event) -> None:
    try:
        changes = awatch(
            *(place.path for place in watched),
            watch_filter=None,
            recursive=False,
            step=_QUIET,
            debounce=_LONGEST,
            stop_event=stop,
            ignore_permission_denied=True,
        )
        async for _ in changes:
            event.set()
    except FileNotFoundError:
        # One of the directories has just gone, so others are to be watched, as the next look finds.
        event.set()
    except (OSError, RuntimeError) as error:
        # Mostly the system's limit of watches (fs.inotify.max_user_instances).
        log.warning("files_not_watched", error=str(error), looking_every=_POLL)
        event.set()


async def _wait(event: asyncio.Event, patience: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            await event.wait()
