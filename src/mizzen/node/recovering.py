"""Removes what a mesh has left that was killed, without starting it again: what `mizzen down` does then.

The next start does the same and more, since it also takes over the members that it finds.
"""

from __future__ import annotations

import sys

from mizzen.node.capture.available import availability
from mizzen.node.engine.hooks import hook_file, hooks_folder
from mizzen.node.leftovers import Records
from mizzen.node.locking import state_directory
from mizzen.node.node_log import log_to, open_log
from mizzen.settings import Settings


def clean_up(settings: Settings) -> list[str]:
    """Ends its processes, and leaves the host and its members as without a mesh; blocks, for a second at most.

    Returns what could not be removed, in words. Raises :class:`mizzen.node.host.StartError` if the mesh runs, and OSError.
    What is done is in the node's log.
    """
    problems = []
    with state_directory(settings), open_log(settings.node_log) as log:
        log_to(log.fileno(), settings.log_format)
        Records(settings.children_dir).kill_leftovers()
        if sys.platform == "linux" and availability().usable:
            from mizzen.node.capture import host, paths  # need the packages of the extra "capture"

            problems = paths.clean_up(settings.namespaces_dir)
            host.clean_up(host.identify(settings))
            hook_file(hooks_folder(), settings.hook_socket).unlink(missing_ok=True)
        settings.mesh_file.unlink(missing_ok=True)
    return problems
