"""Where resources live: the files that users edit, and the database that ``apply`` writes.

    files, directories ──► Directory ──┐
                                       ├──► Stores ──► Contents (version, resources, problems), watched by control
    apply, delete ───────► SqliteStore ┘
                                │
                            Database: one file, mizzen.db

``contents`` is the interface and its errors, ``files`` reads, ``directory`` watches, ``database`` is SQL and blocks,
``sqlite`` keeps it off the event loop, and ``stores`` is the union of both that everybody else uses. Mistakes in what
users wrote are problems in the contents; exceptions are for changes that cannot be made.
"""

from mizzen.store.contents import (
    Contents,
    NotFoundError,
    ReadOnlyError,
    Store,
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreVersionError,
)
from mizzen.store.database import Json
from mizzen.store.directory import Directory
from mizzen.store.history import Action, Change, Outcome
from mizzen.store.sqlite import SqliteStore
from mizzen.store.stores import Stores

__all__ = [
    "Action",
    "Change",
    "Contents",
    "Directory",
    "Json",
    "NotFoundError",
    "Outcome",
    "ReadOnlyError",
    "SqliteStore",
    "Store",
    "StoreBusyError",
    "StoreCorruptError",
    "StoreError",
    "StoreFullError",
    "StoreVersionError",
    "Stores",
]
