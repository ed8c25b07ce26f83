"""Containers, nodes and the way between them fail, and namespaces are left as they were or it is said that they are not."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from tests.e2e.capture.played_container import Container, container, udp_socket
from tests.e2e.capture.played_host import LOOKUP, run, target

from mizzen.node.capture import nft, refusals, rules
from mizzen.node.capture.attaching import Attachments, clean_up_foreign
from mizzen.node.capture.nameserver import Names
from mizzen.node.capturing import CaptureError, TakenError

pytestmark = [pytest.mark.privileged, pytest.mark.usefixtures("unchanged")]

HOLDER = """
import asyncio, sys
from pathlib import Path
from mizzen.node.capture.attaching import Attachments
from mizzen.node.capture.foreign import ForeignNamespace
from mizzen.node.capture.nameserver import Names
from mizzen.node.capture.rules import Stage

async def hold():
    async with Attachments(Names(), Path(sys.argv[1]), sys.argv[2]) as attachments:
        print((await attachments.attach(ForeignNamespace("default", "reviews", *sys.argv[3:]))).netns, flush=True)
        await asyncio.Event().wait()

asyncio.run(hold())
"""

OTHER = "other (state directory /var/lib/mizzen/the other)"


@pytest.fixture
def internal() -> bool:
    """So that every kind of change is made, a route among them."""
    return True


async def test_a_container_that_ends_without_warning(attachments: Attachments, tmp_path: Path) -> None:
    with container(tmp_path, "10.89.5") as gone:
        place = await attachments.attach(gone.foreign(9080))
        name = target(Path(gone.netns))
        subprocess.run(["ip", "link", "del", f"c{gone.descriptor}-0"], check=True)
        os.close(gone.descriptor)
        # Another one gets the number that it had.
        os.dup2(os.open("/dev/null", os.O_RDONLY), gone.descriptor)
        await attachments.withdraw(place)
        await attachments.detach(place)
        assert name not in [target(file) for file in Path("/proc/self/fd").iterdir()]
        os.close(gone.descriptor)


@asynccontextmanager
async def holder(reviews: Container, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another mesh's node, attached to the container."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLDER, folder, OTHER, reviews.netns, reviews.address),
        stdout=asyncio.subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def killed(reviews: Container, folder: Path) -> None:
    async with holder(reviews, folder) as process:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    assert rules.ATTACHED_TABLE in reviews.command("nft", "list", "ruleset")
    assert "proto 109" in reviews.command("ip", "route")
    reviews.inside(lambda: refusals.refuse([IPv4Address("10.89.0.9")]))


async def test_attach_works_over_what_a_killed_node_left(
    attachments: Attachments, reviews: Container, tmp_path: Path
) -> None:
    before = reviews.state()
    await killed(reviews, tmp_path / "other")
    place = await attachments.attach(reviews.foreign(9080))
    assert "unreachable" not in reviews.command("ip", "route")
    assert await run(replace(place, resolv_conf=str(reviews.resolv_conf)), LOOKUP, "reviews") == "['240.240.0.1']"
    await attachments.detach(place)
    assert reviews.state() == before


async def test_what_a_killed_node_left_can_be_removed(reviews: Container, tmp_path: Path) -> None:
    before = reviews.state()
    await killed(reviews, tmp_path / "netns")
    assert list((tmp_path / "netns").iterdir())
    assert await clean_up_foreign(reviews.netns) is True
    assert reviews.state() == before
    assert await clean_up_foreign(reviews.netns) is True
    async with Attachments(Names(), tmp_path / "netns"):
        assert not list((tmp_path / "netns").iterdir())


async def test_two_meshes_cannot_have_one_container(
    attachments: Attachments, reviews: Container, tmp_path: Path
) -> None:
    async with holder(reviews, tmp_path / "other") as process:
        with pytest.raises(TakenError) as raised:
            await attachments.attach(reviews.foreign(9080))
        assert raised.value.mesh == OTHER
        assert str(raised.value) == f"it is a member of mesh {OTHER} already, and is taken in when it has left that"
        assert await clean_up_foreign(reviews.netns) is False
        assert rules.ATTACHED_TABLE in reviews.command("nft", "list", "ruleset")
        process.kill()
    assert await clean_up_foreign(reviews.netns) is True


async def test_a_port_of_ours_may_be_an_applications(attachments: Attachments, reviews: Container) -> None:
    taken = reviews.inside(lambda: udp_socket(("127.0.0.1", rules.DNS_PORT)))
    refusal = pytest.raises(CaptureError, match="reviews cannot be attached: port 15053 is taken in its network")
    with contextlib.closing(taken), refusal:
        await attachments.attach(reviews.foreign(9080))


@pytest.mark.parametrize(
    ("netns", "reason"),
    [
        ("/proc/self/ns/net", "it shares the network of its host"),
        ("/proc/self/ns/mnt", "is no network namespace"),
        ("/dev/null", "is no network namespace"),
        ("/run/netns/none", "cannot be opened: No such file or directory"),
    ],
)
async def test_what_is_no_containers_namespace(
    attachments: Attachments, reviews: Container, netns: str, reason: str
) -> None:
    with pytest.raises(CaptureError, match=f"reviews cannot be attached: .*{reason}"):
        await attachments.attach(replace(reviews.foreign(9080), netns=netns))


async def test_a_namespace_that_is_another_containers(attachments: Attachments, reviews: Container) -> None:
    """Where a process has got the number of one that has ended."""
    before = reviews.state()
    with pytest.raises(CaptureError, match=r"has not the address 10\.89\.0\.3: has it ended\?"):
        await attachments.attach(replace(reviews.foreign(9080), address="10.89.0.3"))
    assert reviews.state() == before


async def test_a_namespace_of_another_user_namespace(attachments: Attachments, reviews: Container) -> None:
    process = await asyncio.create_subprocess_exec("unshare", "--user", "--net", "--fork", "cat", stdin=-1, stdout=-1)
    assert process.stdin is not None
    assert process.stdout is not None
    # It has unshared when the program that it becomes answers.
    process.stdin.write(b"x\n")
    assert await process.stdout.readline() == b"x\n"
    try:
        with pytest.raises(CaptureError, match="it has a user namespace of its own"):
            await attachments.attach(replace(reviews.foreign(9080), netns=f"/proc/{process.pid}/ns/net"))
    finally:
        process.stdin.close()
        await process.wait()


async def test_what_cannot_be_done_is_said(attachments: Attachments, reviews: Container) -> None:
    with pytest.raises(
        CaptureError, match=r"declares a port that its proxy needs \(15001\): .* leave it out of the mesh"
    ):
        await attachments.attach(reviews.foreign(15001))
    for address in ("", "fd00::2"):
        with pytest.raises(CaptureError, match="reviews cannot be attached: it has no IPv4 address"):
            await attachments.attach(replace(reviews.foreign(9080), address=address))
    reviews.resolv_conf.write_text("nameserver fd00::53\n")
    with pytest.raises(CaptureError, match="names DNS servers with IPv6 addresses only"):
        await attachments.attach(reviews.foreign(9080))


async def test_a_failure_on_the_way_leaves_nothing(
    attachments: Attachments, reviews: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = reviews.state()
    monkeypatch.setattr(rules, "attached_rules", lambda *_, **__: "table ip nonsense { what }\n")
    with pytest.raises(CaptureError, match=r"reviews cannot be attached: nft -f -: .*unexpected string"):
        await attachments.attach(reviews.foreign(9080))
    assert reviews.state() == before


async def test_what_cannot_be_put_back_is_said_and_the_rest_is_done(
    attachments: Attachments, reviews: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = await attachments.attach(reviews.foreign(9080))

    def fail(_: str) -> None:
        raise nft.NftError("no")

    with monkeypatch.context() as patched:
        patched.setattr(nft, "apply", fail)
        with pytest.raises(CaptureError, match="may be left in the network of reviews: no; restart it"):
            await attachments.detach(place)
    assert "109" not in reviews.command("ip", "route")
    assert await clean_up_foreign(reviews.netns) is True
