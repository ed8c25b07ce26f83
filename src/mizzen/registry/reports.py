"""What the control plane and a node tell each other, as plain data.

The conversation is level-triggered, so either side may restart at any time: the control plane streams all that should
run (:class:`Desired`), the node puts all that does run (:class:`Report`), and each replaces the last.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mizzen.registry.proxy_settings import ProxySettings, StartResource


class GatewaySocket(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A port of Gateways on which a gateway is to listen, and with ``local`` the port that its host gave it.

    ``bind`` is an address that Gateways ask for, or "" for the gateway's own. ``scheme`` is what clients speak there:
    ``http``, ``https``, ``tls`` or ``tcp``.
    """

    number: int
    scheme: str
    bind: str = ""
    local: int = 0


class FileSecret(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A secret that is read from files: a certificate and its key, or ``roots`` that certify others, with the list of what they
    have revoked, if there is one; such a list alone goes with the roots of the operating system.

    Files that are not ``watched`` never change. ``problem`` says why there are none.
    """

    name: str
    certificate: str = ""
    key: str = ""
    roots: str = ""
    crl: str = ""
    watched: bool = True
    problem: str = ""


class DesiredWorkload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A Workload resource that this node should run; ``spec`` is the resource's spec in its YAML form (camelCase).

    ``digest`` changes when a running instance must be replaced; ``restarts`` counts the restarts that users asked for.
    ``sockets`` are those of a gateway; they change while it runs. ``proxy`` is for an Envoy of its own; to others the node
    applies what :class:`Desired` says of starts.
    """

    namespace: str
    name: str
    digest: str
    spec: dict[str, Any]
    labels: dict[str, str] = {}
    restarts: int = 0
    sockets: tuple[GatewaySocket, ...] = ()
    proxy: ProxySettings = ProxySettings()


class ServiceName(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A service that applications may call by name: its host (FQDN), its virtual address, its ports.

    ``port_names`` go with ``ports``, one by one; "" is that of a port without a name. ``aliases`` are other names by which
    its namespace calls it. ``export_to`` are the namespaces that may call it, () for all.
    """

    host: str
    name: str
    namespace: str
    address: str
    ports: tuple[int, ...]
    port_names: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    export_to: tuple[str, ...] = ()


class EgressNames(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which services instances of one namespace may call by name, because they obey a Sidecar.

    ``hosts`` are those of its egress listeners, each with the port that it is for, or 0.
    """

    namespace: str
    instances: tuple[str, ...]
    hosts: tuple[tuple[int, tuple[str, ...]], ...]


class InstanceSecrets(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The secrets of instances of one namespace, beside the certificates of their own identities."""

    namespace: str
    instances: tuple[str, ...]
    secrets: tuple[FileSecret, ...]


class WrittenResource(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A resource as users wrote it: its kind, namespace and name in words, a ``digest`` of what it says, and the
    watched ``file`` that holds it, or "" for one that was applied.
    """

    resource: str
    digest: str
    file: str = ""


class Attachment(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which containers are members of the mesh: those that ``target`` means (``*``, a Compose project, a container).

    ``proxy`` is ``sidecar``, ``node``, "" if nobody has chosen, or ``none`` for containers that stay outside. Of several
    that mean a container the most exact decides: a container's name, then its project, then ``*``. Where that has not
    chosen a proxy the next does, in the end what the container's label says, and what the mesh prefers.
    """

    target: str
    proxy: str = ""


class Desired(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All that a node needs to know: what to run, and which names to answer.

    ``egress`` is about instances that may not call all of them, ``secrets`` about those that have some. ``problems`` are what
    is wrong with watched files or was rejected by Envoy, in words: the node tells them where the mesh was started, since
    nobody gave a command that could answer with them. ``written`` are all resources, for the same reason: the node tells which
    edits of watched files have come into force. ``attachments_version`` counts the changes of ``attachments``. ``look`` grows
    with each time that a user asks which containers there are. ``dismissed`` are services, by namespace and name, that runs
    offered which have ended, and that users do not want any more. ``starts`` say how Envoys are started that no Workload asks
    for; those of ``root_namespace`` are for all.
    """

    version: int
    trust_domain: str
    workloads: tuple[DesiredWorkload, ...] = ()
    services: tuple[ServiceName, ...] = ()
    egress: tuple[EgressNames, ...] = ()
    secrets: tuple[InstanceSecrets, ...] = ()
    problems: tuple[str, ...] = ()
    written: tuple[WrittenResource, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    attachments_version: int = 0
    look: int = 0
    dismissed: tuple[tuple[str, str], ...] = ()
    starts: tuple[StartResource, ...] = ()
    root_namespace: str = ""


class InstancePort(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One declared port of an instance.

    ``number`` is the port that the Workload declares; ``application`` the port on loopback where the application
    listens; ``inbound`` the port where the sidecar takes other proxies' connections (equal to ``number`` when capture
    is transparent). ``published`` says that the engine of a container has opened it to the outside of its networks.
    """

    number: int
    application: int
    inbound: int
    name: str = ""
    app_protocol: str = ""
    published: bool = False


class OutboundPort(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A loopback port of the sidecar that leads to one port of one service (explicit capture)."""

    host: str
    port: int
    local: int


class Instance(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One replica of a workload and its proxy, as it is now.

    ``phase`` is one of Pending, Starting, Running, Draining, Stopped, Backoff; only a Running instance that is
    ``ready`` is an endpoint. ``name`` is unique in its namespace (``reviews-v1-0``); ``uid`` tells it from those that had
    the name before. ``admin`` is the path of its Envoy's administration socket. ``http_proxy`` is the loopback port of its
    sidecar's forward proxy, or 0.

    ``proxies`` names the proxies that serve it: itself (``<name>.<namespace>``) for a sidecar, which is what none means,
    or the proxy of its node; both while it changes from one to the other. ``closing`` is the one of them that is to go: it
    takes nothing new, and finishes what it has. ``bypassed`` says that it is reached past its proxy, in plaintext: it was not a
    member before it was ready, or is one no more. ``netns`` is the path of its network namespace, for a proxy that is outside
    it. Whose ``capture`` is ``none`` is outside the mesh, has no proxy and speaks plaintext. ``networks`` are the subnets from
    which other members of the mesh call it, in CIDR form, where calls from elsewhere may reach its published ports;
    ``gateways`` are addresses in them that stand for such callers. A ``gateway`` has no application, and listens on
    ``sockets``; members of the mesh call it at ``mesh_address``. ``locality`` is where it is (``region/zone/subzone``), "" if
    its node does not know. ``started_with`` are the digests of the ProxyConfigs and EnvoyFilters with which the Envoy of its own
    was started, None while none runs.
    """

    name: str
    namespace: str
    workload: str
    digest: str
    phase: str
    uid: str = ""
    labels: dict[str, str] = {}
    service_account: str = "default"
    ready: bool = False
    message: str = ""
    address: str = "127.0.0.1"
    capture: str = "explicit"
    ports: tuple[InstancePort, ...] = ()
    outbound: tuple[OutboundPort, ...] = ()
    http_proxy: int = 0
    admin: str = ""
    pid: int = 0
    proxy_pid: int = 0
    restarts: int = 0
    proxy_restarts: int = 0
    started: float = 0.0
    proxies: tuple[str, ...] = ()
    closing: str = ""
    bypassed: bool = False
    netns: str = ""
    networks: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    gateway: bool = False
    sockets: tuple[GatewaySocket, ...] = ()
    locality: str = ""
    mesh_address: str = ""
    started_with: tuple[str, ...] | None = None


class ExecContext(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How to run a command where an instance runs: with its environment and folder, inside its network namespace."""

    instance: str
    namespace: str
    env: dict[str, str]
    working_dir: str
    netns: str = ""
    resolv_conf: str = ""


class FoundPort(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A port of a service that was found, with what says its protocol (as in a Kubernetes Service)."""

    number: int
    name: str = ""
    app_protocol: str = ""


class FoundService(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A service that nobody wrote: the node found it among the containers of its engine, or, ``of_run``, `mizzen run`
    offers it.

    ``selector`` picks its instances by their labels. ``accounts`` are the service accounts of all containers behind it,
    those that do not run included: a container that stops must not change who is believed to be the service. ``aliases``
    are names by which it is called that no resource can have, such as ``my_db``.
    """

    name: str
    namespace: str
    ports: tuple[FoundPort, ...]
    selector: dict[str, str]
    accounts: tuple[str, ...] = ()
    of_run: bool = False
    aliases: tuple[str, ...] = ()


class ContainerState(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A container on a node, and how it stands to the mesh.

    ``state`` is Outside, Attaching, Attached, Detaching or Refused, or Stopped for one that does not run; ``reason`` says
    why it is not attached, or what keeps it. ``instance`` and ``namespace`` are what it is called as an instance.
    ``proxy`` is what is to serve a member, ``sidecar`` or ``node``, and ``by`` the target that makes it a member or keeps it
    outside, "" where only its label does. ``warnings`` are what it does not agree about with other containers, in words.
    """

    id: str
    name: str
    state: str
    project: str = ""
    instance: str = ""
    namespace: str = ""
    reason: str = ""
    proxy: str = ""
    by: str = ""
    warnings: tuple[str, ...] = ()


class Look(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a node saw when it was asked which containers there are, beside those of its report: the ``number`` of the
    question (see :class:`Desired`), and why it saw none, or "".
    """

    number: int = 0
    containers: tuple[ContainerState, ...] = ()
    problem: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All that runs on a node, and the services that its registry has found.

    ``node_proxy`` names the proxy that serves all who have no sidecar (``<node>.<namespace>``), or is "" if there is none;
    ``node_proxy_started_with`` is of it what ``started_with`` is of an instance's.
    ``containers`` are those that run, as soon as something is attached; ``look`` has all others that a user asked for.
    ``attachments_version`` is that of the attachments which ``containers`` tells of. ``problems`` are what the user should
    mend on this node, in words, such as an engine that does not answer; what is wrong with a container stands there.
    """

    node: str
    instances: tuple[Instance, ...] = ()
    exec_contexts: tuple[ExecContext, ...] = ()
    services: tuple[FoundService, ...] = ()
    node_proxy: str = ""
    node_proxy_started_with: tuple[str, ...] | None = None
    containers: tuple[ContainerState, ...] = ()
    look: Look = Look()
    attachments_version: int = 0
    problems: tuple[str, ...] = ()


class CertificateRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A node asks for a certificate for a key that it made; ``csr`` is PEM."""

    csr: str
    namespace: str
    service_account: str


class IssuedCertificate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A certificate chain and the roots to trust, in PEM; ``not_before`` and ``not_after`` are Unix times in seconds."""

    chain: str
    roots: str
    not_before: float
    not_after: float
