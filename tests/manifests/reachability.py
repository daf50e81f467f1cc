"""What can reach what on which port, as the NetworkPolicies among some objects allow it.

A policy selects pods by their own labels; what no policy selects is open, as Kubernetes has it.
Addresses stand for everybody, pods too: some networks take them so.
"""

import ipaddress
from collections.abc import Iterable
from typing import Any, NamedTuple

from tests.manifests.cluster import Object, of_kind, selects


class Party(NamedTuple):
    """A pod, or something outside the cluster, by what policies know of it."""

    name: str
    namespace: str | None
    """None: outside the cluster's pods."""
    labels: dict[str, str]
    ports: tuple[int, ...] = ()
    """At which it would answer."""


def reachable(objects: Iterable[Object], parties: Iterable[Party]) -> set[tuple[str, str, int]]:
    """Every allowed way: from, to, and the port there."""
    policies = of_kind(objects, "NetworkPolicy")
    everybody = list(parties)
    return {
        (source.name, target.name, port)
        for source in everybody
        for target in everybody
        for port in target.ports
        if source.namespace is not None
        and _allows(policies, "Egress", source, target, port)
        and _allows(policies, "Ingress", target, source, port)
    }


def _allows(policies: list[Object], way: str, whose: Party, other: Party, port: int) -> bool:
    """Whether ``whose`` policies let it have to do with ``other``; the port is the target's."""
    if whose.namespace is None:
        return True
    own = [
        one["spec"]
        for one in policies
        if one["metadata"]["namespace"] == whose.namespace
        and way in one["spec"]["policyTypes"]
        and selects(one["spec"]["podSelector"], whose.labels)
    ]
    if not own:
        return True
    rules, peers = ("ingress", "from") if way == "Ingress" else ("egress", "to")
    return any(
        _has_port(rule, port)
        and (peers not in rule or any(_is(peer, other, whose) for peer in rule[peers]))
        for spec in own
        for rule in spec.get(rules, [])
    )


def _has_port(rule: Object, port: int) -> bool:
    return "ports" not in rule or any(one["port"] == port for one in rule["ports"])


def _is(peer: dict[str, Any], party: Party, whose: Party) -> bool:
    if "ipBlock" in peer:
        # Anything narrower would need addresses, which the manifests do not know.
        assert ipaddress.ip_network(peer["ipBlock"]["cidr"]).prefixlen == 0
        return True
    if party.namespace is None:
        return False
    spaces = peer.get("namespaceSelector")
    named = {"kubernetes.io/metadata.name": party.namespace}
    in_space = party.namespace == whose.namespace if spaces is None else selects(spaces, named)
    return in_space and selects(peer.get("podSelector", {}), party.labels)
