"""The container engine of this host, Podman or Docker, by the API that both serve on a Unix socket.

``watching.py`` is the part that the node sees: all containers, as they are now. Below it: ``sockets.py`` finds the engine,
``client.py`` talks to it, ``decoding.py`` reads its answers (pure), ``coalescing.py`` holds which containers to look at
again, ``endings.py`` notices the end of a container's process, ``podman_log.py`` hears of events before Podman tells them,
``hooks.py`` of containers before they start.
"""
