"""Gets along with the host's own firewall.

An ``accept`` in a table of ours cannot save a packet that another table drops, and hosts with Docker or a hand-written
firewall drop what they forward unless told otherwise. So the rules that let a bridge's traffic pass go into every chain
on the forward hook whose policy is to drop, at its head, marked with a comment by which they are found again.

Out of reach: rules of iptables-legacy, chains that drop by a rule at their end, firewalld (docs/capture.md says what to
do there).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import structlog

from mizzen.node.capture import nft, rules

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Chain:
    family: str
    table: str
    name: str


def let_pass(bridge: str, comment: str) -> None:
    """Lets the traffic of ``bridge`` pass the host's firewall; where that fails it is logged, with nft's words."""
    for chain in dropping_chains(nft.listed("chains")):
        try:
            nft.apply(rules.firewall_exception(chain.family, chain.table, chain.name, bridge, comment))
        except nft.NftError as error:
            log.warning(
                "the host's firewall drops what workloads send out of the mesh and cannot be changed",
                table=chain.table,
                chain=chain.name,
                error=str(error),
            )


def withdraw(comment: str) -> None:
    """Removes the rules that :func:`let_pass` added under this comment."""
    for chain in _forward_chains(nft.listed("chains")):
        commands = removals(nft.listed("chain", chain.family, chain.table, chain.name), comment)
        if commands:
            nft.apply(commands)


def dropping_chains(objects: list[dict[str, Any]]) -> list[Chain]:
    """Returns the IPv4 chains on the forward hook whose policy is to drop, from nft's JSON."""
    return _forward_chains(objects, policy="drop")


def removals(objects: list[dict[str, Any]], comment: str) -> str:
    """Returns the commands that remove the rules with this comment, from nft's JSON."""
    found = [entry["rule"] for entry in objects if "rule" in entry and entry["rule"].get("comment") == comment]
    return "".join(
        f"delete rule {rule['family']} {rule['table']} {rule['chain']} handle {rule['handle']}\n" for rule in found
    )


def _forward_chains(objects: list[dict[str, Any]], policy: str = "") -> list[Chain]:
    chains = [entry["chain"] for entry in objects if "chain" in entry]
    return [
        Chain(chain["family"], chain["table"], chain["name"])
        for chain in chains
        if chain.get("hook") == "forward"
        and chain["family"] in ("ip", "inet")
        and (not policy or chain.get("policy") == policy)
    ]
