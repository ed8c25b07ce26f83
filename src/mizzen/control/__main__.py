"""``python -m mizzen.control --settings JSON``: the control plane as a process, started by the node agent.

What the user must mend goes to standard error, one problem a line, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
from collections.abc import Iterable

import structlog

from mizzen.control.plane import CannotStartError, run
from mizzen.identity.errors import IdentityError
from mizzen.settings import Settings
from mizzen.store.contents import StoreError

# What the user can mend; anything else is a bug and shows its traceback.
_MENDABLE = (CannotStartError, StoreError, IdentityError, OSError)


def main() -> int:
    parser = argparse.ArgumentParser(prog="mizzen.control")
    parser.add_argument("--settings", required=True, help="the settings of the mesh, as JSON")
    settings = Settings.from_json(parser.parse_args().settings)
    _tune_collector()
    _configure_log()
    try:
        asyncio.run(run(settings))
    except BaseExceptionGroup as group:
        mendable, bugs = group.split(_MENDABLE)
        if bugs or mendable is None:
            raise
        return _complain(mendable.exceptions)
    except _MENDABLE as error:
        return _complain([error])
    return 0


def _configure_log() -> None:
    """Logs to standard error, which is a file, so without colours whatever the environment says of them."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper("iso"),
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _tune_collector() -> None:
    """Keeps Python's cycle collector from pausing pushes: all that is ever built lives long, and hardly any is a cycle.

    A full collection looks at every object there is: 0.1 s in a mesh of 200 services, which a hundred proxies wait for.
    What the imports have made need never be looked at, and the rest not after every few hundred new objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _complain(errors: Iterable[BaseException]) -> int:
    for error in errors:
        for message in getattr(error, "problems", None) or [error]:
            # For the user, by way of the node agent and of a command that says itself that it is an error.
            print(str(message).removeprefix("error: "), file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
