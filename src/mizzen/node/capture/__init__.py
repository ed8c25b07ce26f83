"""Transparent capture: a network namespace for each instance, so that applications need no setting at all.

``transparent.py`` is the part that the node sees (:class:`TransparentCapture`); ``available.py`` says whether this host
allows it. Below them: ``host.py`` prepares the host (bridge, forwarding, masquerade), ``namespaces.py`` makes one
namespace, ``nameserver.py`` answers DNS in it, ``entering.py`` runs code and makes sockets in it. Pure: ``rules.py``
(nftables), ``addresses.py`` (subnets), ``answers.py`` (DNS). Outer systems: ``links.py`` (rtnetlink), ``nft.py``,
``upstream.py`` (the host's resolvers), ``sysctls.py``.
"""
