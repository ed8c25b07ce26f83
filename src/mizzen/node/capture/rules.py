"""The text of the nftables rules: inside an instance's namespace, and on the host. Pure.

Inside (the counterpart of Istio's ISTIO_OUTPUT and ISTIO_INBOUND chains): what the application sends goes to Envoy's
15001, what arrives goes to 15006, DNS goes to 15053. Envoy is known by its group, 1337, as with Istio. A namespace is
either made by Mizzen (:func:`namespace_rules`) or was made by somebody else, such as a container's, and was in use before
(:func:`attached_rules`).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from mizzen.compile.names import INBOUND_CAPTURE_PORT, OUTBOUND_CAPTURE_PORT
from mizzen.registry.addresses import BLOCK

ENVOY_GROUP = 1337
DNS_PORT = 15053

# Questions that the node's DNS server passes on from inside somebody else's namespace bear this mark.
RESOLVER_MARK = 0x6D7A

# Not redirected on the way in, as with Istio: these ports are the proxy's own and are called by their number.
PROXY_PORTS = (INBOUND_CAPTURE_PORT, 15020, 15021, 15090)

INSIDE_LINK = "eth0"
BRIDGE_PREFIX = "mz-"
FORWARDING_TABLE = "mizzen-forwarding"
ATTACHED_TABLE = "mizzen-attached"
MEMBERS_SET = "members"

# The first packet of a connection. Where nothing was tracked before, the kernel takes the next packet of any connection
# for the beginning of one, and a rule that redirects it would end a connection that is older than the rule.
_OPENING = "tcp flags & (syn | ack) == syn"

_FROM_ENVOY = (
    'oifname "lo" ip saddr 127.0.0.6 return',
    f'oifname "lo" meta skgid {ENVOY_GROUP} ip daddr != 127.0.0.0/8 {_OPENING} redirect to :{INBOUND_CAPTURE_PORT}',
    f"meta skgid {ENVOY_GROUP} return",
)
_FROM_APPLICATION = ('oifname "lo" return', f"{_OPENING} redirect to :{OUTBOUND_CAPTURE_PORT}")
_INWARD = f"tcp dport != {{ {', '.join(map(str, PROXY_PORTS))} }} {_OPENING}"
_REDIRECT_INWARD = f"{_INWARD} redirect to :{INBOUND_CAPTURE_PORT}"
_FROM_OTHERS = 'iifname != "lo" fib daddr type local'
# What arrives and was not redirected. Only the first packet that the kernel remembers of a connection can be redirected:
# a caller that may send packets by hand would send one with ACK alone, which begins none, and then open the connection.
_NOT_REDIRECTED = f'iifname != "lo" {_INWARD} reject with tcp reset'
_TO_VIRTUAL = f"ip daddr {BLOCK}"
_NO_VIRTUAL = f"{_TO_VIRTUAL} reject"


class Stage(enum.Enum):
    """What becomes of the new connections of a namespace that somebody else made.

    HELD: they wait, since the proxy is not there yet. CAPTURED: they go to the proxy. WITHDRAWN: they go where they would
    go without a mesh, while those that the proxy has can end in peace; what an application remembers of virtual addresses
    leads to the proxy still, for as long as there is one.
    """

    HELD = "held"
    CAPTURED = "captured"
    WITHDRAWN = "withdrawn"


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
    output = (*_questions(f"ip daddr {nameserver} "), *_FROM_ENVOY, *_questions(), *_FROM_APPLICATION)
    return _table(
        "ip mizzen",
        _chain("output", "nat hook output priority -100", *output),
        _chain("virtual", "filter hook output priority 0", _NO_VIRTUAL),
        _chain("prerouting", "nat hook prerouting priority -100", f'iifname "{INSIDE_LINK}" {_REDIRECT_INWARD}'),
        _chain("input", "filter hook input priority 0", _NOT_REDIRECTED),
    )


def attached_rules(stage: Stage, *, resolver_inside: bool, ipv6: bool) -> str:
    """Returns the rules for a namespace that somebody else made; they replace those of any other stage at once.

    As :func:`namespace_rules`, but:

    - They come before rules at the usual priority, -100, such as Docker's for its DNS server at 127.0.0.11.
    - What arrives is taken from every link but loopback, if it is for this namespace: what a container forwards, as one
      does in which others run, is none of its own.
    - All questions are taken, Envoy's too, but for those that the node's DNS server asks the container's own servers; it
      asks from inside and marks them. Where one of these servers runs in this very namespace (``resolver_inside``: a
      loopback address in resolv.conf; Docker's, which asks its own servers from inside the container), its questions
      cannot be told from the application's and would come back to it for ever. There, only questions to loopback
      addresses are taken, and others reach the server that they are for.
    - HELD: the first packet of a connection is dropped, before anything is remembered of it, and the kernel of the caller
      sends it again, after a second at first. A refusal would be an error, a detour a breach of policy.
    - ``ipv6``: the kernel has it. Envoy's listeners have IPv4 addresses, so calls over IPv6 would pass it by. They are
      refused at once, in both directions, and clients go on to the IPv4 address; so are questions to DNS servers with
      IPv6 addresses. Envoy itself may use IPv6.
    """
    chains = [_attached_output(stage, resolver_inside=resolver_inside)]
    if stage is not Stage.WITHDRAWN:
        chains.append(_chain("prerouting", "nat hook prerouting priority -110", f"{_FROM_OTHERS} {_REDIRECT_INWARD}"))
        chains.append(_chain("input", "filter hook input priority 0", _NOT_REDIRECTED))
    if stage is Stage.HELD:
        passing = ('oifname "lo" accept', f"meta skgid {ENVOY_GROUP} accept", "tcp dport 53 accept")
        chains.append(_chain("held_output", "filter hook output priority -290", *passing, f"{_OPENING} drop"))
        chains.append(_chain("held_input", "filter hook prerouting priority -290", f"{_FROM_OTHERS} {_INWARD} drop"))
    chains.append(_chain("virtual", "filter hook output priority 0", _NO_VIRTUAL))
    refused = _refuse_ipv6(resolver_inside=resolver_inside) if ipv6 and stage is not Stage.WITHDRAWN else ""
    return without_attached_rules(ipv6=ipv6) + _table(f"ip {ATTACHED_TABLE}", *chains) + refused


def without_attached_rules(*, ipv6: bool) -> str:
    """Returns commands that remove the rules of :func:`attached_rules`, whether they are there or not."""
    tables = [f"{family} {ATTACHED_TABLE}" for family in (("ip", "ip6") if ipv6 else ("ip",))]
    return "".join(f"add table {table}\ndelete table {table}\n" for table in tables)


def _attached_output(stage: Stage, *, resolver_inside: bool) -> str:
    hook = "nat hook output priority -110"
    if stage is Stage.WITHDRAWN:
        # With any rules of this kind the kernel goes on translating the connections that the proxy has.
        remembered = f"{_TO_VIRTUAL} {_OPENING} redirect to :{OUTBOUND_CAPTURE_PORT}"
        return _chain("output", hook, *_FROM_ENVOY, remembered)
    own = f"meta mark {RESOLVER_MARK:#x} meta l4proto {{ tcp, udp }} th dport 53 return"
    questions = _questions("ip daddr 127.0.0.0/8 ") if resolver_inside else _questions()
    others = ("tcp dport 53 return",) if resolver_inside else ()
    return _chain("output", hook, own, *questions, *_FROM_ENVOY, *others, *_FROM_APPLICATION)


def _refuse_ipv6(*, resolver_inside: bool) -> str:
    questions = "meta l4proto { tcp, udp } th dport 53 accept" if resolver_inside else "udp dport 53 reject"
    refused = f"{_OPENING} reject with tcp reset"
    output = ('oifname "lo" accept', f"meta skgid {ENVOY_GROUP} accept", questions, refused)
    return _table(
        f"ip6 {ATTACHED_TABLE}",
        _chain("output", "filter hook output priority 0", *output),
        _chain("input", "filter hook input priority 0", 'iifname "lo" accept', refused),
    )


def _questions(match: str = "") -> tuple[str, ...]:
    return tuple(f"{match}{what} redirect to :{DNS_PORT}" for what in ("udp dport 53", f"tcp dport 53 {_OPENING}"))


def _table(name: str, *chains: str) -> str:
    return f"table {name} {{\n{''.join(chains)}}}\n"


def _chain(name: str, kind: str, *rules: str) -> str:
    lines = "".join(f"    {rule}\n" for rule in rules)
    return f"  chain {name} {{\n    type {kind}; policy accept;\n{lines}  }}\n"


def host_rules(table: str, bridge: str, subnet: IPv4Network) -> str:
    """Returns the rules on the host for one mesh: its instances may call out; who may call in is in the set `members`,
    which is empty: networks of containers (:func:`admit`), of whom each sees the other's own address.

    Calls out leave under the host's address. Calls between the instances of a mesh stay on the bridge and are seen
    here only where br_netfilter is loaded.
    """
    return f"""\
table ip {table} {{
  set {MEMBERS_SET} {{
    type ipv4_addr
    flags interval
    auto-merge
  }}
  chain postrouting {{
    type nat hook postrouting priority 100; policy accept;
    ip saddr {subnet} ip daddr != @{MEMBERS_SET} oifname != "{bridge}" masquerade
  }}
  chain forward {{
    type filter hook forward priority 0; policy accept;
    iifname "{bridge}" oifname "{bridge}" accept
    oifname "{bridge}" ct state established,related accept
    ip saddr @{MEMBERS_SET} oifname "{bridge}" accept
    oifname "{bridge}" drop
  }}
}}
"""


def admit(table: str, networks: Iterable[str]) -> str:
    """Returns commands that let containers of these networks call the instances of a mesh."""
    return f"add element ip {table} {MEMBERS_SET} {{ {', '.join(networks)} }}\n"


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
