"""What can go wrong with a container engine; each message says what to do."""

from __future__ import annotations


class EngineError(Exception):
    """The container engine cannot be used, now or at all."""


class NoEngineError(EngineError):
    """There is no engine on this host, or it is not where the environment says."""


class EngineAwayError(EngineError):
    """Nobody answers at the engine's socket, or its answer broke off; this may pass."""


class AnswerError(EngineError):
    """The engine refuses a request, or its answer is not of the form that Docker's API has."""
