"""The forms of Istio's kinds that Mizzen has no model of yet: the fields of istio.io's reference.

A kind leaves this table when it gets a model in ``mizzen.resources``: then its loader takes over.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mizzen.analysis.shapes import ANY, BOOLEAN, NUMBER, TEXT, WHOLE, Form

_TEXTS: Form = [TEXT]
_LABELS: Form = {"*": TEXT}
_SELECTOR: Form = {"matchLabels": _LABELS}
_REFERENCE: Form = {"group": TEXT, "kind": TEXT, "name": TEXT, "namespace": TEXT}
_TARGETED: dict[str, Form] = {"selector": _SELECTOR, "targetRef": _REFERENCE, "targetRefs": [_REFERENCE]}
_ENTRY: Form = {
    "address": TEXT,
    "ports": {"*": WHOLE},
    "labels": _LABELS,
    "network": TEXT,
    "locality": TEXT,
    "weight": WHOLE,
    "serviceAccount": TEXT,
}
_MTLS: Form = {"mode": ("UNSET", "DISABLE", "PERMISSIVE", "STRICT")}
_PROVIDERS: Form = [{"name": TEXT}]
_SOURCE = (
    "principals",
    "requestPrincipals",
    "namespaces",
    "serviceAccounts",
    "ipBlocks",
    "remoteIpBlocks",
    "trustDomains",
)
_OPERATION = ("hosts", "ports", "methods", "paths")
_MODE = ("CLIENT_AND_SERVER", "CLIENT", "SERVER")


def _with_opposites(names: tuple[str, ...]) -> Form:
    """Returns lists of text under these names, and under those with ``not`` before them."""
    return {one: _TEXTS for name in names for one in (name, f"not{name[0].upper()}{name[1:]}")}


FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "WorkloadGroup": {"metadata": {"labels": _LABELS, "annotations": _LABELS}, "template": _ENTRY, "probe": ANY},
        "PeerAuthentication": {"selector": _SELECTOR, "mtls": _MTLS, "portLevelMtls": {"*": _MTLS}},
        "RequestAuthentication": {
            **_TARGETED,
            "jwtRules": [
                {
                    "issuer": TEXT,
                    "audiences": _TEXTS,
                    "jwksUri": TEXT,
                    "jwks": TEXT,
                    "jwks_uri": TEXT,
                    "fromHeaders": [{"name": TEXT, "prefix": TEXT}],
                    "fromParams": _TEXTS,
                    "fromCookies": _TEXTS,
                    "outputPayloadToHeader": TEXT,
                    "outputClaimToHeaders": [{"header": TEXT, "claim": TEXT}],
                    "forwardOriginalToken": BOOLEAN,
                    "timeout": TEXT,
                    "spaceDelimitedClaims": _TEXTS,
                }
            ],
        },
        "AuthorizationPolicy": {
            **_TARGETED,
            "action": ("ALLOW", "DENY", "AUDIT", "CUSTOM"),
            "provider": {"name": TEXT},
            "rules": [
                {
                    "from": [{"source": _with_opposites(_SOURCE)}],
                    "to": [{"operation": _with_opposites(_OPERATION)}],
                    "when": [{"key": TEXT, "values": _TEXTS, "notValues": _TEXTS}],
                }
            ],
        },
        "Telemetry": {
            **_TARGETED,
            "tracing": [
                {
                    "match": {"mode": _MODE},
                    "providers": _PROVIDERS,
                    "randomSamplingPercentage": NUMBER,
                    "disableSpanReporting": BOOLEAN,
                    "enableIstioTags": BOOLEAN,
                    "useRequestIdForTraceSampling": BOOLEAN,
                    "disableContextPropagation": BOOLEAN,
                    "customTags": {"*": ANY},
                }
            ],
            "metrics": [{"providers": _PROVIDERS, "overrides": [ANY], "reportingInterval": TEXT}],
            "accessLogging": [
                {
                    "match": {"mode": _MODE},
                    "providers": _PROVIDERS,
                    "disabled": BOOLEAN,
                    "filter": {"expression": TEXT},
                }
            ],
        },
    }
)
"""The form of the specification of each kind."""
