"""Which containers users made members of the mesh: by target, as the latest command for it says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mizzen.registry.membership import EVERYTHING, OUTSIDE
from mizzen.registry.reports import Attachment


@dataclass(frozen=True)
class Attachments:
    """``proxies`` are by target (see :class:`Attachment`); ``all_containers`` makes members of those that no target means.

    ``version`` counts the changes, so that a node can say which of them it knows.
    """

    proxies: Mapping[str, str] = field(default_factory=dict)
    version: int = 0
    all_containers: bool = False

    def changed(self, target: str, proxy: str, *, by_label: bool = False) -> Attachments:
        """Returns them with another proxy for a target; one that says what would be so anyway is left out.

        "" makes members of those that the target means, and leaves the proxy that was chosen for it before. Whoever
        detaches all means also those that were attached by other names. ``by_label`` says that labels make members of some.
        """
        before = self.proxies.get(target, "")
        proxy = proxy or ("" if before == OUTSIDE else before)
        is_end = (target, proxy) == (EVERYTHING, OUTSIDE)
        others = {} if is_end else {name: value for name, value in self.proxies.items() if name != target}
        # What nothing else makes a member is outside without being told.
        something_else = self.all_containers or by_label or not set(others.values()) <= {OUTSIDE}
        needless = proxy == OUTSIDE and not something_else
        return replace(self, proxies=others if needless else others | {target: proxy}, version=self.version + 1)

    def told(self) -> tuple[Attachment, ...]:
        """Returns them as nodes are told."""
        implied = {EVERYTHING: ""} if self.all_containers else {}
        return tuple(Attachment(target=target, proxy=proxy) for target, proxy in {**implied, **self.proxies}.items())
