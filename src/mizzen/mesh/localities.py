"""Where something is: region, zone and subzone, and how near two places are to each other (Istio 2.10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

LOCALITY_LABEL = "istio-locality"
REGION_LABEL = "topology.kubernetes.io/region"
ZONE_LABEL = "topology.kubernetes.io/zone"
SUBZONE_LABEL = "topology.istio.io/subzone"

FARTHEST = 3
"""What :func:`distance` returns for two regions."""


class Locality(NamedTuple):
    """A place; what is not known is ""."""

    region: str = ""
    zone: str = ""
    subzone: str = ""

    def __str__(self) -> str:
        return "/".join(self).rstrip("/")


UNPLACED = Locality()


def parse_locality(text: str) -> Locality:
    """Returns the place that a text such as ``europe/zone-a/rack-1`` names."""
    region, zone, subzone, *_ = [*text.split("/", 2), "", "", ""]
    return Locality(region, zone, subzone)


def locality_of(labels: Mapping[str, str], around: Locality = UNPLACED) -> Locality:
    """Returns where something with these labels is: where its own label says, then where those of topology say, else where
    what it runs on is (``around``). As a label cannot have slashes, ``istio-locality`` has dots in their place.
    """
    if own := labels.get(LOCALITY_LABEL):
        return parse_locality(own if "/" in own else own.replace(".", "/"))
    written = Locality(*(labels.get(name, "") for name in (REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL)))
    if not written.region:
        # A zone alone is one of the region around it.
        return Locality(around.region, written.zone or around.zone, written.subzone or around.subzone)
    return written


def topology(place: Locality) -> dict[str, str]:
    """Returns a place as labels; Istio lets policy ask for these of what has none itself."""
    named = zip((REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL), place, strict=True)
    return {name: value for name, value in named if value}


def fits(place: Locality, pattern: str) -> bool:
    """Tells whether a place is one of those that ``region/zone/subzone`` means, with ``*`` or nothing for any."""
    wanted = parse_locality(pattern)
    return (
        wanted.region in ("*", place.region)
        and wanted.zone in ("*", "", place.zone)
        and wanted.subzone in ("*", "", place.subzone)
    )


def distance(one: Locality, other: Locality) -> int:
    """Returns 0 for the same place, 1 for the same zone, 2 for the same region, :data:`FARTHEST` for another region."""
    same = [mine == theirs for mine, theirs in zip(one, other, strict=True)]
    return FARTHEST - (same.index(False) if False in same else FARTHEST)
