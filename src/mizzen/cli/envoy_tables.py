"""The tables of ``mizzen proxy``, with the columns and words of ``istioctl proxy-config``. Pure functions."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterable, Iterator, Sequence

from mizzen.cli.envoy_dump import ClusterName, Message, SecretState, address_of, listens_on, origin, seat_of
from mizzen.cli.output import table

_HTTP = "http_connection_manager.v3.HttpConnectionManager"
_TCP = "tcp_proxy.v3.TcpProxy"
_SHOWN_DOMAINS = 2


def clusters(found: Iterable[Message]) -> str:
    headers = ("SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE")
    return table(headers, (_cluster(cluster) for cluster in found))


def _cluster(cluster: Message) -> tuple[str, ...]:
    name = ClusterName.of(cluster["name"])
    # An inbound cluster's name has no host in it, as Istio's has none.
    return (
        name.fqdn or "-",
        name.port or "-",
        name.subset or "-",
        name.direction or "-",
        _kind(cluster),
        origin(cluster) or "-",
    )


def _kind(cluster: Message) -> str:
    """Returns how a cluster finds its endpoints, in the words that were Envoy's for long, and are istioctl's still."""
    extension = cluster.get("cluster_type", {})
    if extension.get("name") == "envoy.cluster.dns":
        one = extension.get("typed_config", {}).get("all_addresses_in_single_endpoint")
        return "LOGICAL_DNS" if one else "STRICT_DNS"
    return str(extension.get("name") or cluster.get("type", "STATIC"))


def endpoints(found: Iterable[tuple[str, Message]]) -> str:
    headers = ("ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER")
    return table(headers, ((endpoint(host), health(host), outlier(host), cluster) for cluster, host in found))


def endpoint(host: Message) -> str:
    return _joined(address_of(host.get("address", {})))


def listener(found: Message) -> str:
    return _joined(listens_on(found))


def _joined(address_and_port: tuple[str, int]) -> str:
    address, port = address_and_port
    return f"{address}:{port}" if port else address


def health(host: Message) -> str:
    """Returns what the endpoint's owner and Envoy's own health checks say of it."""
    status = host.get("health_status", {})
    failed = status.get("failed_active_health_check") or status.get("failed_active_degraded_check")
    return "UNHEALTHY" if failed else str(status.get("eds_health_status", "HEALTHY"))


def outlier(host: Message) -> str:
    return "FAILED" if host.get("health_status", {}).get("failed_outlier_check") else "OK"


def listeners(found: Iterable[Message]) -> str:
    rows = []
    for each in found:
        address, port = listens_on(each)
        if port:  # In a proxy of several instances each has the same addresses, in a network namespace of its own.
            address = f"{seat_of(each.get('name', ''))[0]}{address}"
        rows += [(address, str(port or "-"), match, destination) for match, destination in _chains(each)]
    return table(("ADDRESS", "PORT", "MATCH", "DESTINATION"), rows)


def _chains(listener: Message) -> Iterator[tuple[str, str]]:
    chains = listener.get("filter_chains", [])
    for chain in chains:
        yield _chain_match(chain.get("filter_chain_match", {})), _destination(chain)
    if default := listener.get("default_filter_chain"):
        yield "ALL", _destination(default)
    if not chains and not default:
        filters = ", ".join(each.get("name", "") for each in listener.get("listener_filters", []))
        yield "ALL", filters or "Non-HTTP/Non-TCP"


def _chain_match(match: Message) -> str:
    parts = []
    if names := match.get("server_names"):
        parts.append(f"SNI: {','.join(names)}")
    if transport := match.get("transport_protocol"):
        parts.append(f"Trans: {transport}")
    if protocols := match.get("application_protocols"):
        parts.append(f"App: {','.join(protocols)}")
    ranges = ",".join(
        f"{each['address_prefix']}/{each.get('prefix_len', 0)}" for each in match.get("prefix_ranges", [])
    )
    port = match.get("destination_port")
    if ranges or port:
        parts.append(f"Addr: {ranges or '*'}{f':{port}' if port else ''}")
    return "; ".join(parts) or "ALL"


def _destination(chain: Message) -> str:
    for each in chain.get("filters", []):
        config = each.get("typed_config", {})
        kind = str(config.get("@type", ""))
        if kind.endswith(_HTTP):
            return _http_destination(config)
        if kind.endswith(_TCP):
            return _cluster_word(config.get("cluster") or _weighted(config.get("weighted_clusters", {})))
    return "Non-HTTP/Non-TCP"


def _http_destination(manager: Message) -> str:
    if name := manager.get("rds", {}).get("route_config_name"):
        return f"Route: {name}"
    hosts = manager.get("route_config", {}).get("virtual_hosts", [])
    if len(hosts) == 1 and hosts[0].get("domains") == ["*"] and len(hosts[0].get("routes", [])) == 1:
        route = hosts[0]["routes"][0]
        if cluster := route.get("route", {}).get("cluster"):
            return _cluster_word(cluster)
    described = (
        f"{'/'.join(host.get('domains', []))} {', '.join(map(route_match, host.get('routes', [])))}" for host in hosts
    )
    return f"Inline Route: {'; '.join(described)}"


def _cluster_word(name: str) -> str:
    # As istioctl: PassthroughCluster and BlackHoleCluster say what they are by themselves.
    return name if name.endswith("Cluster") else f"Cluster: {name}"


def _weighted(clusters: Message) -> str:
    return ",".join(f"{each['name']} ({each.get('weight', 0)})" for each in clusters.get("clusters", []))


def routes(found: Iterable[Message]) -> str:
    headers = ("NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE")
    return table(headers, (row for route in found for row in _routes(route)))


def _routes(config: Message) -> Iterator[tuple[str, ...]]:
    name = config.get("name", "")
    for host in config.get("virtual_hosts", []):
        domains = _domains(host.get("domains", []))
        for route in host.get("routes", []):
            yield name, host.get("name", ""), domains, route_match(route), _route_origin(route)
        if not host.get("routes"):
            yield name, host.get("name", ""), domains, "-", "404"
    if not config.get("virtual_hosts"):
        yield name, "-", "-", "-", "404"


def _route_origin(route: Message) -> str:
    """Returns the VirtualService, or what istioctl says in its place for a route that answers by itself."""
    status = route.get("direct_response", {}).get("status")
    return origin(route) or (str(status) if status else "-")


def _domains(domains: Sequence[str]) -> str:
    """Returns the shortest names by which a host is called, and how many more there are."""
    rest = len(domains) - _SHOWN_DOMAINS
    return ", ".join(sorted(domains, key=len)[:_SHOWN_DOMAINS]) + (f" + {rest} more..." if rest > 0 else "")


def route_match(route: Message) -> str:
    """Describes which requests a route takes: the path (``/api*`` for a prefix), then headers and query parameters."""
    match = route.get("match", {})
    parts = [_path(match)]
    parts += [f"{header['name']}{_value(header)}" for header in match.get("headers", [])]
    parts += [
        f"?{query['name']}{_value(query).removesuffix(' present')}" for query in match.get("query_parameters", [])
    ]
    return " ".join(parts)


def _path(match: Message) -> str:
    if "path" in match:
        return str(match["path"])
    if "safe_regex" in match:
        return f"regex {match['safe_regex'].get('regex', '')}"
    if "path_separated_prefix" in match:
        return f"PathPrefix:{match['path_separated_prefix']}"
    return f"{match.get('prefix', '')}*"


def _value(match: Message) -> str:
    inverted = "!" if match.get("invert_match") else ""
    if match.get("present_match") is not None:
        return f" {'absent' if inverted or not match['present_match'] else 'present'}"
    string = match.get("string_match", {})
    for kind, form in (("exact", "={}"), ("prefix", "={}*"), ("suffix", "=*{}"), ("contains", "=*{}*")):
        if kind in string:
            return inverted + form.format(string[kind])
    return f"{inverted}~{string['safe_regex'].get('regex', '')}" if "safe_regex" in string else ""


def secrets(found: Iterable[SecretState], now: dt.datetime) -> str:
    headers = ("RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE")
    return table(headers, (_secret(each, now) for each in found))


def _secret(state: SecretState, now: dt.datetime) -> tuple[str, ...]:
    secret = state.secret
    if "tls_certificate" in secret:
        kind, source = "Cert Chain", secret["tls_certificate"].get("certificate_chain", {})
    elif "validation_context" in secret:
        kind, source = "CA", secret["validation_context"].get("trusted_ca", {})
    else:
        return state.name, "-", state.state, "false", "-", "-", "-"
    from mizzen.resources.certificates import read_certificates

    try:
        certificate = read_certificates(_bytes(source))[0]
    except (ValueError, IndexError):
        return state.name, kind, state.state, "false", "-", "-", "-"
    after, before = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    valid = str(before <= now <= after).lower()
    return state.name, kind, state.state, valid, f"{certificate.serial_number:x}", _time(after), _time(before)


def _bytes(source: Message) -> bytes:
    if "inline_string" in source:
        return str(source["inline_string"]).encode()
    return base64.b64decode(source.get("inline_bytes", ""))


def _time(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
