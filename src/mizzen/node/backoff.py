"""How long to wait before something that failed is tried again: longer each time, and quickly again once it is stable.

The rule is that of Kubernetes' CrashLoopBackOff with times for people who watch: 0.2 s doubling to 30 s instead of
10 s to 5 min, forgotten after a run of 30 s.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """The rule. Times are in seconds; ``jitter`` is the part of a delay (0 to 1) that is left to chance, so that what
    failed together is not tried together. A run of ``stable`` seconds or more forgets the failures before it.
    """

    first: float = 0.2
    longest: float = 30.0
    factor: float = 2.0
    jitter: float = 0.2
    stable: float = 30.0

    def delay(self, failures: int, chance: float) -> float:
        """Returns the wait after that many failures in a row (from 1); ``chance`` is a random number in [0, 1)."""
        # Beyond 64 doublings any delay has reached its bound, and the power would not fit a float.
        exponent = min(max(failures, 1) - 1, 64)
        delay = min(self.first * self.factor**exponent, self.longest)
        return delay * (1 - self.jitter * chance)

    def failures(self, before: int, ran: float) -> int:
        """Returns how many failures in a row there are now, after a run of ``ran`` seconds ended in one."""
        return 1 if ran >= self.stable else before + 1
