import socket
from pathlib import Path

import pytest

from mizzen.node.capture import attaching
from mizzen.node.capture.attaching import Attachments, Prepared, _resolver_inside, _servers
from mizzen.node.capture.foreign import ForeignNamespace, Held
from mizzen.node.capture.nameserver import DnsSockets, Names
from mizzen.node.capture.upstream import Resolvers
from mizzen.node.capturing import CaptureError, DeclaredPort


def resolvers(folder: Path, *servers: str) -> Resolvers:
    file = folder / "resolv.conf"
    file.write_text("".join(f"nameserver {server}\n" for server in servers))
    return Resolvers(file)


@pytest.mark.parametrize(
    ("servers", "inside"),
    [
        (["10.89.0.1", "192.0.2.53"], False),  # Podman's
        (["127.0.0.11"], True),  # Docker's
        (["10.89.0.1", "127.0.0.1"], True),
        ([], True),  # where a C library asks the loopback
        (["10.89.0.1", "::1"], False),
    ],
)
def test_a_resolver_with_a_loopback_address_is_inside(tmp_path: Path, servers: list[str], inside: bool) -> None:
    assert _resolver_inside(resolvers(tmp_path, *servers)) == inside


def test_without_a_resolver_of_ipv4_a_container_cannot_be_attached(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="names DNS servers with IPv6 addresses only"):
        _resolver_inside(resolvers(tmp_path, "fd00::1", "fe80::1%eth0"))


def test_the_servers_that_are_asked_are_those_of_ipv4_in_their_order(tmp_path: Path) -> None:
    found = _servers(resolvers(tmp_path, "fe80::1%eth0", "10.89.0.1", "fd00::1", "192.0.2.53"))
    assert found == [("10.89.0.1", 53), ("192.0.2.53", 53)]


async def test_what_a_killed_run_had_attached_is_known_to_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "netns"
    folder.mkdir()
    (folder / "web-1.shop-0a1b2c3d-4026532345").symlink_to("/proc/1/fd/99")
    async with Attachments(Names(), folder) as attachments:
        assert attachments.is_orphan("shop", "web-1")
        assert not attachments.is_orphan("default", "web-1")
        assert not list(folder.iterdir())
    assert not folder.exists()


async def test_what_cannot_be_attached_and_not_be_put_back_either_is_an_error_of_capture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any other would end the node."""

    def fail(_: object) -> None:
        raise OSError("nft does not answer")

    netns = tmp_path / "netns-of-web"
    netns.touch()
    wanted = ForeignNamespace("default", "web", str(netns), "10.89.0.2", ports=(DeclaredPort(15001, "reserved"),))
    monkeypatch.setattr(attaching, "_discard", fail)
    async with Attachments(Names(), tmp_path / "netns") as attachments:
        number = netns.stat().st_ino
        attachments._prepared[number] = Prepared(number, (Held(-1), DnsSockets(*(socket.socket() for _ in range(4)))))
        made = attachments._prepared[number].made
        with pytest.raises(CaptureError, match="web cannot be attached: nft does not answer"):
            await attachments.attach(wanted)
        for opened in made[1]:
            opened.close()
