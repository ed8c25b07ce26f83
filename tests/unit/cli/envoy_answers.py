"""What an Envoy says of itself, cut down from real ones (1.40) to one of each kind."""

from __future__ import annotations

import base64
from typing import Any

_ADMIN = "type.googleapis.com/envoy.admin.v3."
_FILTERS = "type.googleapis.com/envoy.extensions.filters.network."
_RULE = "/apis/networking.istio.io/v1/namespaces/default/destination-rule/reviews"
_VIRTUAL_SERVICE = "/apis/networking.istio.io/v1/namespaces/default/virtual-service/reviews"


def dump(certificate: bytes = b"") -> dict[str, Any]:
    inline = {"inline_bytes": base64.b64encode(certificate).decode()}
    return {
        "configs": [
            {"@type": f"{_ADMIN}BootstrapConfigDump", "bootstrap": {}},
            {
                "@type": f"{_ADMIN}ClustersConfigDump",
                "static_clusters": [{"cluster": {"name": "xds", "type": "STATIC"}}],
                "dynamic_active_clusters": [
                    {"cluster": _cluster("outbound|9080|v2|reviews.default.svc.cluster.local", rule=_RULE)},
                    {"cluster": _cluster("outbound|9080||reviews.default.svc.cluster.local", rule=_RULE)},
                    {"cluster": _cluster("inbound|9080||", "ORIGINAL_DST")},
                    {"cluster": _cluster("outbound|80||details.default.svc.cluster.local")},
                ],
            },
            {
                "@type": f"{_ADMIN}ListenersConfigDump",
                "dynamic_listeners": [
                    {"name": "virtualInbound", "active_state": {"listener": _INBOUND}},
                    {"name": "0.0.0.0_9080", "active_state": {"listener": _OUTBOUND}},
                    {"name": "240.240.0.1_3306", "active_state": {"listener": _OUTBOUND_TCP}},
                    {"name": "warming", "warming_state": {"listener": _OUTBOUND}},
                ],
            },
            {
                "@type": f"{_ADMIN}EcdsConfigDump",
                "ecds_filters": [{"ecds_filter": {"name": "mysql:3306", **_proxy(cluster="outbound|3306|v1|mysql")}}],
            },
            {
                "@type": f"{_ADMIN}RoutesConfigDump",
                "static_route_configs": [{"route_config": _INLINE_ROUTES}],
                "dynamic_route_configs": [{"route_config": _ROUTES}, {"route_config": {"name": "80"}}],
            },
            {
                "@type": f"{_ADMIN}SecretsConfigDump",
                "dynamic_active_secrets": [
                    {"name": "default", "secret": {"tls_certificate": {"certificate_chain": inline}}},
                    {"name": "ROOTCA", "secret": {"validation_context": {"trusted_ca": inline}}},
                ],
                "dynamic_warming_secrets": [{"name": "late", "secret": {"name": "late"}}],
            },
        ]
    }


def _cluster(name: str, type_: str = "EDS", rule: str = "") -> dict[str, Any]:
    cluster: dict[str, Any] = {"name": name, "type": type_}
    if rule:
        cluster["metadata"] = {"filter_metadata": {"istio": {"config": rule}}}
    return cluster


def _manager(**fields: Any) -> dict[str, Any]:
    return {"typed_config": {"@type": f"{_FILTERS}http_connection_manager.v3.HttpConnectionManager", **fields}}


def _proxy(**fields: Any) -> dict[str, Any]:
    return {"typed_config": {"@type": f"{_FILTERS}tcp_proxy.v3.TcpProxy", **fields}}


_OUTBOUND_TCP = {
    "name": "240.240.0.1_3306",
    "address": {"socket_address": {"address": "240.240.0.1", "port_value": 3306}},
    "filter_chains": [{"filters": [{"name": "mysql:3306", "config_discovery": {"type_urls": []}}]}],
}

_INLINE_ROUTES = {
    "name": "inbound|9080||",
    "virtual_hosts": [
        {
            "name": "all",
            "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "inbound|9080||"}}],
        }
    ],
}

_INBOUND = {
    "name": "virtualInbound",
    "address": {"socket_address": {"address": "0.0.0.0", "port_value": 15006}},
    "filter_chains": [
        {
            "filter_chain_match": {
                "destination_port": 9080,
                "transport_protocol": "tls",
                "application_protocols": ["istio", "h2"],
                "server_names": ["reviews"],
                "prefix_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}],
            },
            "filters": [_manager(route_config=_INLINE_ROUTES)],
        },
        {"filter_chain_match": {"destination_port": 3306}, "filters": [_proxy(cluster="inbound|3306||")]},
    ],
    "default_filter_chain": {"filters": [_proxy(cluster="BlackHoleCluster")]},
}

_OUTBOUND = {
    "name": "0.0.0.0_9080",
    "address": {"socket_address": {"address": "0.0.0.0", "port_value": 9080}},
    "filter_chains": [{"filters": [_manager(rds={"route_config_name": "9080"})]}],
}

_ROUTES = {
    "name": "9080",
    "virtual_hosts": [
        {
            "name": "reviews.default.svc.cluster.local:9080",
            "domains": ["reviews", "reviews.default", "reviews.default.svc", "reviews.default.svc.cluster.local"],
            "routes": [
                {
                    "match": {
                        "prefix": "/",
                        "headers": [{"name": "end-user", "string_match": {"exact": "jason"}}],
                        "query_parameters": [{"name": "debug", "present_match": True}],
                    },
                    "metadata": {"filter_metadata": {"istio": {"config": _VIRTUAL_SERVICE}}},
                },
                {"match": {"path": "/health"}, "direct_response": {"status": 200}},
                {"match": {"safe_regex": {"regex": "/v[0-9]+/.*"}}},
                {"match": {"path_separated_prefix": "/api"}},
            ],
        },
        {"name": "block_all", "domains": ["*"]},
    ],
}

HOSTS = {
    "cluster_statuses": [
        {
            "name": "outbound|9080||reviews.default.svc.cluster.local",
            "host_statuses": [
                {
                    "address": {"socket_address": {"address": "127.0.0.1", "port_value": 40002}},
                    "health_status": {"eds_health_status": "HEALTHY"},
                },
                {
                    "address": {"socket_address": {"address": "127.0.0.1", "port_value": 40012}},
                    "health_status": {"eds_health_status": "HEALTHY", "failed_outlier_check": True},
                },
                {
                    "address": {"socket_address": {"address": "127.0.0.1", "port_value": 40022}},
                    "health_status": {"eds_health_status": "DRAINING"},
                },
            ],
        },
        {
            "name": "xds",
            "host_statuses": [{"address": {"pipe": {"path": "/run/xds.sock"}}, "health_status": {}}],
        },
        {"name": "empty"},
    ]
}
