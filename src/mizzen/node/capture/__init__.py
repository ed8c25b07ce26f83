"""Transparent capture: a network namespace for each instance, so that applications need no setting at all.

``transparent.py`` is the part that the node sees for what it starts itself (:class:`TransparentCapture`), ``attaching.py``
for what others started, such as containers (:class:`Attachments`); ``available.py`` says whether this host allows it.
Below the one: ``host.py`` prepares the host (bridge, forwarding, masquerade), ``namespaces.py`` makes a namespace; below the
other: ``foreign.py`` furnishes one that exists and puts it back. Both: ``nameserver.py`` answers DNS in it, ``entering.py``
runs code and makes sockets in it, ``blocking.py`` does such work in threads. Pure: ``rules.py`` (nftables), ``addresses.py``
(subnets), ``answers.py`` (DNS), ``places.py`` (ports). Outer systems: ``links.py`` and ``refusals.py`` (rtnetlink),
``flows.py`` (ctnetlink), ``connections.py`` (sock_diag; these three through ``netlink.py``), ``nft.py``, ``upstream.py``
(other DNS servers), ``sysctls.py``.
"""
