"""The command line, ``mizzen``: a client of the HTTP API, and what starts and stops a mesh.

One module per group of commands; no logic beyond presentation. Importing this package is cheap on purpose: every
completion of a word in a shell pays for it, so whatever is heavy (HTTP, YAML, the models of resources, the terminal's
drawing) is imported inside the function that needs it.
"""

from __future__ import annotations

import sys

INTERRUPTED = 130
"""The exit code of a command that Ctrl-C has ended: 128 + SIGINT, as shells report it."""


def main() -> None:
    """Runs the command line with the process's arguments and ends the process: 0, 1 to be fixed by the user, 2 misuse."""
    try:
        from mizzen.cli.application import application

        application.main(prog_name="mizzen")
    except KeyboardInterrupt:  # before the command line was there to take it
        sys.exit(INTERRUPTED)
