"""What the node tells whoever started it, as it happens: typed, each with a line for people.

``mizzen up`` shows the lines; a detached node writes events as JSON lines (see ``__main__.py``).
"""

from __future__ import annotations

import abc
import dataclasses
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, ClassVar


@dataclass(frozen=True)
class Event(abc.ABC):
    """``level`` is that of its line in a log: ``info``, ``warning`` or ``error``."""

    level: ClassVar[str] = "info"

    @property
    @abc.abstractmethod
    def line(self) -> str:
        """What happened, in one line for people (only a failure may have several)."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the event for JSON: ``event`` is its type, then its level, its line, and its fields."""
        return {"event": type(self).__name__, "level": self.level, "line": self.line} | dataclasses.asdict(self)


@dataclass(frozen=True)
class ControlStarted(Event):
    pid: int
    restarts: int

    @property
    def line(self) -> str:
        again = " again" if self.restarts else ""
        return f"control plane is up{again} (process {self.pid})"


@dataclass(frozen=True)
class ControlCrashed(Event):
    level: ClassVar[str] = "error"
    message: str
    delay: float

    @property
    def line(self) -> str:
        return f"control plane ended: {self.message}; proxies keep what they have; starts again in {self.delay:.1f} s"


@dataclass(frozen=True)
class ResourceProblem(Event):
    """Something is wrong with a watched file, or Envoy has rejected a resource; ``problem`` says what and where."""

    level: ClassVar[str] = "error"
    problem: str

    @property
    def line(self) -> str:
        return self.problem


@dataclass(frozen=True)
class ResourceProblemsSolved(Event):
    @property
    def line(self) -> str:
        return "all problems of resources are solved"


@dataclass(frozen=True)
class ResourceEdited(Event):
    """An edit of a watched file has come into force; ``action`` is created, configured or deleted, as of a command."""

    resource: str
    action: str
    file: str

    @property
    def line(self) -> str:
        return f"{self.resource} {self.action} ({PurePath(self.file).name})"


@dataclass(frozen=True)
class AppliedEarlier(Event):
    """A mesh starts with resources that were applied to it when it ran before, beside those in its files."""

    count: int

    @property
    def line(self) -> str:
        what = (
            "1 resource of an earlier `mizzen apply` is"
            if self.count == 1
            else (f"{self.count} resources of earlier `mizzen apply` are")
        )
        return (
            f"{what} in force (`mizzen get all -A -o wide` shows all; `mizzen down --purge` forgets what was applied)"
        )


@dataclass(frozen=True)
class InstanceEvent(Event):
    namespace: str
    instance: str

    @property
    def who(self) -> str:
        return self.instance if self.namespace == "default" else f"{self.instance}.{self.namespace}"


@dataclass(frozen=True)
class InstanceStarting(InstanceEvent):
    @property
    def line(self) -> str:
        return f"{self.who} is starting"


@dataclass(frozen=True)
class ProxyReady(InstanceEvent):
    @property
    def line(self) -> str:
        return f"{self.who}: proxy is ready"


@dataclass(frozen=True)
class ProxyCrashed(InstanceEvent):
    level: ClassVar[str] = "error"
    message: str
    delay: float

    @property
    def line(self) -> str:
        return f"{self.who}: proxy failed: {self.message}; starts again in {self.delay:.1f} s"


@dataclass(frozen=True)
class InstanceReady(InstanceEvent):
    seconds: float

    @property
    def line(self) -> str:
        return f"{self.who} is ready ({self.seconds:.1f} s)"


@dataclass(frozen=True)
class InstanceNotReady(InstanceEvent):
    level: ClassVar[str] = "warning"
    message: str

    @property
    def line(self) -> str:
        return f"{self.who} is not ready: {self.message}"


@dataclass(frozen=True)
class InstanceCrashed(InstanceEvent):
    """The application ended by itself, or could not be started, or was ended because its liveness probe failed."""

    level: ClassVar[str] = "error"
    message: str
    delay: float

    @property
    def line(self) -> str:
        return f"{self.who} failed: {self.message}; starts again in {self.delay:.1f} s"


@dataclass(frozen=True)
class InstanceDraining(InstanceEvent):
    @property
    def line(self) -> str:
        return f"{self.who} is draining"


@dataclass(frozen=True)
class InstanceStopped(InstanceEvent):
    @property
    def line(self) -> str:
        return f"{self.who} has stopped"


@dataclass(frozen=True)
class CertificateRefused(Event):
    """The control plane gave no certificate; the proxies of the identity wait, or go on with the one they have."""

    level: ClassVar[str] = "error"
    identity: str
    message: str

    @property
    def line(self) -> str:
        return f"no certificate for {self.identity}: {self.message}; it is asked for again"


@dataclass(frozen=True)
class WorkloadInvalid(Event):
    level: ClassVar[str] = "error"
    namespace: str
    workload: str
    message: str

    @property
    def line(self) -> str:
        return f"Workload {self.namespace}/{self.workload} cannot be run: {self.message}"


@dataclass(frozen=True)
class ContainerProblem(Event):
    """The container engine cannot be asked, or a container cannot be a member as it was made; says what to do."""

    level: ClassVar[str] = "error"
    message: str

    @property
    def line(self) -> str:
        return self.message


@dataclass(frozen=True)
class ComposeRuns(Event):
    """A Compose project is started or stopped."""

    project: str
    command: str

    @property
    def line(self) -> str:
        return f"project {self.project}: {self.command}"


@dataclass(frozen=True)
class ComposeSaid(Event):
    """A line of what Compose prints meanwhile."""

    project: str
    text: str

    @property
    def line(self) -> str:
        return f"  {self.text}"


@dataclass(frozen=True)
class MeshStarting(Event):
    name: str
    capture: str
    note: str = ""

    @property
    def line(self) -> str:
        return f"mesh {self.name} is starting, capture is {self.capture}" + (f" ({self.note})" if self.note else "")


@dataclass(frozen=True)
class MeshReady(Event):
    """All replicas that should run are ready, and every proxy knows them. ``seconds`` are since the start."""

    instances: int
    seconds: float

    @property
    def line(self) -> str:
        plural = "" if self.instances == 1 else "s"
        return f"mesh is ready: {self.instances} instance{plural} in {self.seconds:.1f} s"


@dataclass(frozen=True)
class Stopping(Event):
    reason: str

    @property
    def line(self) -> str:
        return f"stopping ({self.reason})"


@dataclass(frozen=True)
class Stopped(Event):
    @property
    def line(self) -> str:
        return "stopped"


@dataclass(frozen=True)
class Failed(Event):
    """The node gives up: what and where and what to do; nothing is left running."""

    level: ClassVar[str] = "error"
    message: str

    @property
    def line(self) -> str:
        return self.message
