"""What can go wrong with identities, by who has to act: the operator, the one who asks, or nobody but time.

`IdentityError` is the root of the tree; the errors of the cryptographic library are chained under these.
"""

from __future__ import annotations

from pathlib import Path


class IdentityError(Exception):
    """The root of all errors of this package."""


class AuthorityError(IdentityError):
    """The authority cannot be used until an operator acts: ``what`` is wrong, ``where``, and what to do (``hint``)."""

    def __init__(self, what: str, *, where: Path | None = None, hint: str = "") -> None:
        place = f"{where}: " if where else ""
        remedy = f" ({hint})" if hint else ""
        super().__init__(f"{place}{what}{remedy}")
        self.what = what
        self.where = where
        self.hint = hint


class RequestRefusedError(IdentityError):
    """A request for a certificate is not one that the authority signs; asking again in the same way is of no use."""


class IssueError(IdentityError):
    """A certificate could not be had this time: raised by the ``issue`` function of a :class:`Renewer`'s owner."""
