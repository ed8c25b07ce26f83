from __future__ import annotations

import pytest

from mizzen.resources.egress_hosts import egress_hosts

REVIEWS = "reviews.shop.svc.cluster.local"


@pytest.mark.parametrize(
    ("hosts", "host", "namespace", "selected"),
    [
        (["*/*"], REVIEWS, "shop", True),
        (["./*"], REVIEWS, "shop", True),
        (["./*"], REVIEWS, "other", False),
        (["shop/*"], REVIEWS, "shop", True),
        (["istio-system/*"], REVIEWS, "shop", False),
        ([f"shop/{REVIEWS}"], REVIEWS, "shop", True),
        ([f"other/{REVIEWS}"], REVIEWS, "shop", False),
        ([f"*/{REVIEWS.upper()}"], REVIEWS, "shop", True),
        (["*/*.shop.svc.cluster.local"], REVIEWS, "shop", True),
        (["*/*.example.com"], REVIEWS, "shop", False),
        (["~/*"], REVIEWS, "shop", False),
        (["*/*", "~shop/*"], REVIEWS, "shop", False),
        (["*/*", "~shop/*"], REVIEWS, "other", True),
        (["~./*", "*/*"], REVIEWS, "shop", False),
        (["*/*", f"~/{REVIEWS}"], REVIEWS, "shop", False),
        (["*/*", f"~/{REVIEWS}"], REVIEWS, "other", False),
        (["*/*", "~/*.cluster.local"], "api.example.com", "shop", True),
        (["*/a.example.com"], "*.example.com", "shop", False),  # a service is selected only as a whole
        (["*/*.example.com"], "*.a.example.com", "shop", True),
        (["reviews"], REVIEWS, "shop", False),
    ],
)
def test_services(hosts: list[str], host: str, namespace: str, selected: bool) -> None:
    assert egress_hosts(tuple(hosts), "shop").service(host, namespace) is selected


@pytest.mark.trap(2)
@pytest.mark.parametrize(
    ("hosts", "routed", "selected"),
    [
        (["*/a.com"], ["a.com"], True),
        (["*/a.com"], ["b.com"], False),
        (["*/a.com"], ["*.com"], True),
        (["*/*.com"], ["a.com"], True),
        (["*/*.b.com"], ["*.com"], True),
        (["*/a.com"], ["b.com", "a.com"], True),
        (["other/a.com"], ["a.com"], False),
        (["*/*", "~/a.com"], ["a.com"], False),
        (["*/*", "~/a.com"], ["a.com", "b.com"], True),
        (["~/*"], ["a.com"], False),
    ],
)
def test_virtual_services_are_selected_both_ways(hosts: list[str], routed: list[str], selected: bool) -> None:
    assert egress_hosts(tuple(hosts), "shop").virtual_service(routed, "shop") is selected
