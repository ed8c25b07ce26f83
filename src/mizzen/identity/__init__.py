"""Who a workload is, and how it proves it: the certificate authority, workload certificates, their renewal.

    control plane                                     node
    Authority ── sign(csr) ◄───────────────────────── Renewer ── publish ──► secrets ──► SDS ──► Envoy
      │ open, rotate_root, advance                      │ keys.new_request
      ├─ rotation     when a root follows another       └─ renewal   when to renew, retry, worry
      ├─ roots, operators, keystore    the files
      └─ issuer, certificates          X.509, pure

Neighbours: `mizzen.mesh.spiffe` has the type of an identity, `mizzen.node` serves the secrets to its proxies,
`mizzen.control` owns the authority.
"""

from __future__ import annotations

from mizzen.identity.authority import Authority
from mizzen.identity.errors import AuthorityError, IdentityError, IssueError, RequestRefusedError
from mizzen.identity.health import Health, HealthState
from mizzen.identity.keys import KeyRequest, new_request
from mizzen.identity.renewal import KeyMaterial
from mizzen.identity.renewer import Renewer
from mizzen.mesh.spiffe import SpiffeId, SpiffeIdError, check_trust_domain

__all__ = [
    "Authority",
    "AuthorityError",
    "Health",
    "HealthState",
    "IdentityError",
    "IssueError",
    "KeyMaterial",
    "KeyRequest",
    "Renewer",
    "RequestRefusedError",
    "SpiffeId",
    "SpiffeIdError",
    "check_trust_domain",
    "new_request",
]
