"""Which patch is for which object (Istio 1.7, 2.19; ``pilot/pkg/networking/core/envoyfilter``)."""

from __future__ import annotations

from mizzen.compile.patches.patch import Patch
from mizzen.compile.patches.places import INBOUND, ClusterPlace, ListenerPlace, RoutesPlace
from mizzen.resources.envoy_filter import ClusterMatch, FilterChainMatch, ListenerMatch, current_name
from mizzen.stubs.envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from mizzen.stubs.envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from mizzen.stubs.envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

ANY = "ANY"
TCP_PROXY = "envoy.filters.network.tcp_proxy"
TCP_PROXY_TYPE = f"type.googleapis.com/{TcpProxy.DESCRIPTOR.full_name}"
_ACTIONS = {"route": "ROUTE", "redirect": "REDIRECT", "direct_response": "DIRECT_RESPONSE"}


def in_context(patch: Patch, context: str) -> bool:
    return patch.match.context in (ANY, context)


def added_in(patch: Patch, context: str) -> bool:
    """Tells whether a listener or a cluster is added: one for any context where connections leave, and nowhere else."""
    return patch.match.context == context or (patch.match.context == ANY and context != INBOUND)


def at_listener(patch: Patch, place: ListenerPlace) -> bool:
    """Tells whether a patch is for a listener, whichever of its filter chains."""
    match = patch.match.listener or ListenerMatch()
    if not in_context(patch, place.context) or (match.name and match.name not in place.names):
        return False
    if not match.port_number:
        return True
    if place.virtual and patch.target != "LISTENER":
        # It is the port of filter chains; of a listener that is for one port alone it is known.
        return place.chain_port in (0, match.port_number)
    return match.port_number == place.port


def at_chain(patch: Patch, place: ListenerPlace, chain: FilterChain) -> bool:
    match = patch.match.listener or ListenerMatch()
    if not in_context(patch, place.context):
        return False
    known = place.names | {_listener_of(chain)} if place.several else place.names
    if match.name and match.name not in known:
        return False
    port = chain_port(place, chain) if place.virtual else place.port
    if match.port_number and match.port_number != port:
        return False
    return match.filter_chain is None or _is_chain(match.filter_chain, place, chain)


def chain_port(place: ListenerPlace, chain: FilterChain) -> int:
    return chain.filter_chain_match.destination_port.value or place.chain_port


def _listener_of(chain: FilterChain) -> str:
    """Returns what the listener is called elsewhere for which a chain stands (see listeners.build_seat_outbound)."""
    return "_".join(chain.name.split("_")[:2])


def _is_chain(match: FilterChainMatch, place: ListenerPlace, chain: FilterChain) -> bool:
    told = chain.filter_chain_match
    protocols = [one for one in match.application_protocols.split(",") if one]
    return (
        (not match.name or match.name in _chain_names(place, chain))
        and (not match.sni or match.sni in told.server_names)
        and match.transport_protocol in ("", _transport(place, chain))
        and all(one in told.application_protocols for one in protocols)
        and match.destination_port in (0, chain_port(place, chain))
    )


def _chain_names(place: ListenerPlace, chain: FilterChain) -> set[str]:
    """Returns the names of a chain: Mizzen's, without the name of the seat, and for an inbound one Istio's."""
    known = {chain.name, chain.name.rpartition("/")[2]}
    if place.context == INBOUND:
        known.add(f"0.0.0.0_{chain_port(place, chain)}")
    return known


def _transport(place: ListenerPlace, chain: FilterChain) -> str:
    """Returns what a connection is under what it carries; an inbound chain takes one kind and need not say which."""
    told = chain.filter_chain_match.transport_protocol
    if told or place.context != INBOUND:
        return told
    return "tls" if chain.HasField("transport_socket") else "raw_buffer"


def filter_name(filter_: Filter) -> str:
    """Returns what a network filter is called: one that comes by itself has another name in the listener."""
    if TCP_PROXY_TYPE in filter_.config_discovery.type_urls:
        return TCP_PROXY
    return current_name(filter_.name)


def at_network_filter(patch: Patch, filter_: Filter) -> bool:
    wanted = patch.match.listener.filter if patch.match.listener else ""
    return not wanted or wanted == filter_name(filter_).removeprefix(patch.seat.prefix)


def sub_filter(patch: Patch) -> str:
    return patch.match.listener.sub_filter if patch.match.listener else ""


def at_http_filter(patch: Patch, name: str) -> bool:
    return sub_filter(patch) in ("", current_name(name.removeprefix(patch.seat.prefix)))


def listener_filter(patch: Patch) -> str:
    return current_name(patch.match.listener.listener_filter) if patch.match.listener else ""


def at_listener_filter(patch: Patch, name: str) -> bool:
    return listener_filter(patch) in ("", current_name(name.removeprefix(patch.seat.prefix)))


def at_routes(patch: Patch, place: RoutesPlace, host: VirtualHost | None = None) -> bool:
    """Tells whether a patch is for a route configuration; where that is for all ports ``host`` says which one counts."""
    match = patch.match.route_configuration
    if not in_context(patch, place.context):
        return False
    if match is None:
        return True
    port, known = place.port, place.names
    if place.all_ports and host is not None:
        number = host.name.rpartition(":")[2]
        port, known = int(number) if number.isdecimal() else 0, known | {number}
    return (
        match.port_number in (0, port)
        and (not match.name or match.name in known)
        and match.port_name in ("", place.port_name)
        and match.gateway in ("", place.gateway)
    )


def at_host(patch: Patch, host: VirtualHost) -> bool:
    match = patch.match.route_configuration.vhost if patch.match.route_configuration else None
    if match is None:
        return True
    return match.name in ("", host.name) and (not match.domain_name or match.domain_name in host.domains)


def has_route_match(patch: Patch) -> bool:
    match = patch.match.route_configuration
    return bool(match and match.vhost and match.vhost.route)


def at_route(patch: Patch, route: Route) -> bool:
    vhost = patch.match.route_configuration.vhost if patch.match.route_configuration else None
    match = vhost.route if vhost else None
    if match is None:
        return True
    if match.name and match.name != route.name:
        return False
    return match.action in (ANY, _ACTIONS.get(str(route.WhichOneof("action")), ""))


def at_cluster(patch: Patch, place: ClusterPlace) -> bool:
    """Tells whether a patch is for a cluster; as in Istio a name leaves no other condition."""
    match = patch.match.cluster or ClusterMatch()
    if not in_context(patch, place.context):
        return False
    if match.name:
        return match.name == place.name
    return (
        match.subset in ("", place.subset)
        and match.service in ("", place.host)
        and match.port_number in (0, place.port)
    )
