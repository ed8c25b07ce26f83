"""The text of the nftables rules: inside an instance's namespace, and on the host. Pure.

Inside (the counterpart of Istio's ISTIO_OUTPUT and ISTIO_INBOUND chains): what the application sends goes to Envoy's
15001, what arrives goes to 15006, DNS goes to 15053. Envoy is known by its group, 1337, as with Istio.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from mizzen.compile.names import INBOUND_CAPTURE_PORT, OUTBOUND_CAPTURE_PORT
from mizzen.registry.addresses import BLOCK

ENVOY_GROUP = 1337
DNS_PORT = 15053

# Not redirected on the way in, as with Istio: these ports are the proxy's own and are called by their number.
PROXY_PORTS = (INBOUND_CAPTURE_PORT, 15020, 15021, 15090)

INSIDE_LINK = "eth0"
BRIDGE_PREFIX = "mz-"
FORWARDING_TABLE = "mizzen-forwarding"


def namespace_rules(nameserver: IPv4Address) -> str:
    """Returns the rules of an instance's namespace; ``nameserver`` is the address that its resolv.conf names.

    The order matters, first match wins:

    1. Questions to the nameserver, Envoy's too (no loop: the server that answers is outside and asks from there).
    2. 127.0.0.6 is the address from which Envoy hands on what has passed its inbound side (Istio's passthrough).
    3. Envoy calls its own instance: its outbound side chose this very instance for a service. It is like any other
       call to an instance and must pass the inbound side, or mutual TLS would meet a plaintext application.
    4. Everything else from Envoy leaves as it is.
    5. Any other DNS, whatever server the application asks.
    6. Loopback, and the application calling its own address (routed over lo): direct, as without a mesh.
    7. All other TCP goes to Envoy's outbound side.

    What still has a service's virtual address then is not TCP: an error at once is better than a time-out.
    """
    inward = ", ".join(map(str, PROXY_PORTS))
    return f"""\
table ip mizzen {{
  chain output {{
    type nat hook output priority -100; policy accept;
    ip daddr {nameserver} udp dport 53 redirect to :{DNS_PORT}
    ip daddr {nameserver} tcp dport 53 redirect to :{DNS_PORT}
    oifname "lo" ip saddr 127.0.0.6 return
    oifname "lo" meta skgid {ENVOY_GROUP} ip daddr != 127.0.0.0/8 meta l4proto tcp redirect to :{INBOUND_CAPTURE_PORT}
    meta skgid {ENVOY_GROUP} return
    udp dport 53 redirect to :{DNS_PORT}
    tcp dport 53 redirect to :{DNS_PORT}
    oifname "lo" return
    meta l4proto tcp redirect to :{OUTBOUND_CAPTURE_PORT}
  }}
  chain virtual {{
    type filter hook output priority 0; policy accept;
    ip daddr {BLOCK} reject
  }}
  chain prerouting {{
    type nat hook prerouting priority -100; policy accept;
    iifname "{INSIDE_LINK}" tcp dport != {{ {inward} }} redirect to :{INBOUND_CAPTURE_PORT}
  }}
}}
"""


def host_rules(table: str, bridge: str, subnet: IPv4Network) -> str:
    """Returns the rules on the host for one mesh: its instances may call out, nobody may call in.

    Calls out leave under the host's address. Calls between the instances of a mesh stay on the bridge and are seen
    here only where br_netfilter is loaded.
    """
    return f"""\
table ip {table} {{
  chain postrouting {{
    type nat hook postrouting priority 100; policy accept;
    ip saddr {subnet} oifname != "{bridge}" masquerade
  }}
  chain forward {{
    type filter hook forward priority 0; policy accept;
    iifname "{bridge}" oifname "{bridge}" accept
    oifname "{bridge}" ct state established,related accept
    oifname "{bridge}" drop
  }}
}}
"""


def forwarding_rules(links: Iterable[str]) -> str:
    """Returns the rules that keep the host from becoming a router between the links where Mizzen allowed forwarding.

    It had to be allowed there so that answers find their way to the bridges. Replaces the rules of an earlier call.
    """
    names = ", ".join(f'"{link}"' for link in sorted(links))
    drop = f"    iifname {{ {names} }} oifname {{ {names} }} drop\n" if names else ""
    return f"""\
add table ip {FORWARDING_TABLE}
delete table ip {FORWARDING_TABLE}
table ip {FORWARDING_TABLE} {{
  chain forward {{
    type filter hook forward priority 0; policy accept;
{drop}  }}
}}
"""


def firewall_exception(family: str, table: str, chain: str, bridge: str, comment: str) -> str:
    """Returns commands that let a bridge's traffic pass a chain of the host's firewall whose policy is to drop."""
    start = f"insert rule {family} {table} {chain}"
    return (
        f'{start} iifname "{bridge}" counter accept comment "{comment}"\n'
        f'{start} oifname "{bridge}" counter accept comment "{comment}"\n'
    )
