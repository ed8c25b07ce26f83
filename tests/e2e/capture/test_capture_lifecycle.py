"""Places and meshes come and go, at once, half-way and killed, and leave the host as it was."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest
from tests.e2e.capture.played_host import CLIENT, HTTP, link_names, run, serving, target

from mizzen.node.capture import host, nft, rules, sysctls
from mizzen.node.capture.entering import connect_in, in_namespace, new_namespace
from mizzen.node.capture.transparent import TransparentCapture, clean_up
from mizzen.node.capturing import CaptureError, DeclaredPort
from mizzen.node.launching import launch_command
from mizzen.settings import Settings

pytestmark = [pytest.mark.privileged, pytest.mark.usefixtures("unchanged")]

HOLDER = """
import asyncio, sys
from pathlib import Path
from mizzen.node.capture import host
from mizzen.node.capture.transparent import TransparentCapture
from mizzen.settings import Settings

host.RUN_DIR = Path(sys.argv[2])

async def hold():
    async with TransparentCapture(Settings(name="held", state_dir=Path(sys.argv[1]))) as capture:
        places = [await capture.open("default", f"w-{n}", ()) for n in range(2)]
        print(*(place.address for place in places), flush=True)
        await asyncio.Event().wait()

asyncio.run(hold())
"""


async def test_a_place_is_complete(capture: TransparentCapture) -> None:
    place = await capture.open("shop", "ratings-v1-0", (DeclaredPort(9080, "http"), DeclaredPort(9081)))
    assert capture.mode == place.capture == "transparent"
    assert [(port.number, port.application, port.inbound, port.name) for port in place.ports] == [
        (9080, 9080, 9080, "http"),
        (9081, 9081, 9081, ""),
    ]
    assert (place.http_proxy, place.envoy_gid, capture.outbound(place)) == (0, 1337, ())
    assert Path(place.resolv_conf).read_text().splitlines()[1].startswith("search shop.svc.cluster.local ")
    await capture.close(place)
    await capture.close(place)
    assert not Path(place.resolv_conf).exists()
    assert not Path(place.netns).exists()
    after = await capture.open("shop", "ratings-v1-0", ())
    assert after.address != place.address


async def test_a_port_of_the_proxy_cannot_be_declared(capture: TransparentCapture) -> None:
    with pytest.raises(CaptureError, match=r"ratings-v1-0 declares a port that its proxy needs \(15001, 15021\)"):
        await capture.open("shop", "ratings-v1-0", [DeclaredPort(port) for port in (15021, 9080, 15001)])


async def test_many_open_and_close_at_once(capture: TransparentCapture) -> None:
    places = await asyncio.gather(*(capture.open("default", f"w-{number}", HTTP) for number in range(12)))
    assert len({place.address for place in places}) == 12
    await asyncio.gather(*(capture.close(place) for place in places[:6]))
    # The others are closed with the capture.


async def test_a_cancelled_open_leaves_nothing(capture: TransparentCapture) -> None:
    before = link_names()
    for delay in (0.0, 0.004, 0.008, 0.012):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(delay):
                await capture.open("default", "w-0", HTTP)
        assert link_names() == before


async def test_a_place_that_cannot_be_furnished_leaves_nothing(
    capture: TransparentCapture, capture_settings: Settings
) -> None:
    before = link_names()
    (capture_settings.state_dir / "resolv").write_text("a file where the folder should be")
    with pytest.raises(CaptureError, match="no network namespace can be made for w-0"):
        await capture.open("default", "w-0", HTTP)
    assert link_names() == before


async def test_meshes_that_start_at_once_have_subnets_of_their_own(tmp_path: Path) -> None:
    captures = [TransparentCapture(Settings(name="same", state_dir=tmp_path / str(n))) for n in range(4)]
    await asyncio.gather(*(capture.__aenter__() for capture in captures))
    places = [await capture.open("default", "w-0", ()) for capture in captures]
    assert len({capture.network for capture in captures}) == 4
    async with serving(places[0].netns, 15006):
        (await connect_in("", places[0].address, 80)).close()
        impatient = CLIENT.replace("timeout=3", "timeout=0.3")
        assert "timed out" in await run(places[1], impatient, places[0].address, 80, gid=rules.ENVOY_GROUP)
    for capture in captures:
        await capture.__aexit__(None, None, None)


async def test_a_mesh_that_runs_cannot_be_started_again(
    capture: TransparentCapture, capture_settings: Settings
) -> None:
    with pytest.raises(CaptureError, match="running already"):
        await TransparentCapture(capture_settings).__aenter__()
    assert await clean_up(capture_settings) is False
    assert await capture.open("default", "w-0", ())


@asynccontextmanager
async def held(folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, set[str]]]:
    """A process that holds two instances, and the names of their links on the host."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, folder, host.RUN_DIR, stdout=asyncio.subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        lines = [(await process.stdout.readline()).decode() for _ in range(2)]
        addresses = lines[-1].split()
        assert len(addresses) == 2, lines
        yield process, {f"mv{int(IPv4Address(address)):08x}" for address in addresses}
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def eventually(condition: Callable[[], bool]) -> None:
    """The kernel removes namespaces when it finds time, and tells nobody."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.02)


async def killed(folder: Path) -> Settings:
    """A mesh whose node was killed, with two instances."""
    async with held(folder) as (process, outer):
        assert outer <= link_names("mv")
        process.kill()
        await process.wait()
        await eventually(lambda: not outer & link_names("mv"))
    settings = Settings(name="held", state_dir=folder)
    assert host.identify(settings).bridge in link_names("mz-")
    return settings


async def test_namespaces_end_with_the_process_and_clean_up_removes_the_rest(tmp_path: Path) -> None:
    assert await clean_up(await killed(tmp_path)) is True


async def test_the_next_start_removes_what_a_killed_mesh_left(tmp_path: Path) -> None:
    left = await killed(tmp_path)
    async with TransparentCapture(left) as capture:
        assert await capture.open("default", "w-0", ())


async def test_any_mesh_removes_what_another_left(tmp_path: Path, capture_settings: Settings) -> None:
    left = await killed(tmp_path / "other")
    async with TransparentCapture(capture_settings):
        assert host.identify(left).bridge not in link_names("mz-")


async def test_a_survivor_in_a_namespace_does_not_keep_its_link(tmp_path: Path) -> None:
    async with held(tmp_path) as (process, outer):
        files = Path(f"/proc/{process.pid}/fd").iterdir()
        inside = next(file for file in files if target(file).startswith("net:"))
        survivor = await asyncio.create_subprocess_exec(*launch_command(["sleep", "60"], netns=str(inside)))
        try:
            # It has entered when its namespace is another one.
            own, other = Path("/proc/self/ns/net"), Path(f"/proc/{survivor.pid}/ns/net")
            await eventually(lambda: target(own) != target(other))
            process.kill()
            await process.wait()
            assert await clean_up(Settings(name="held", state_dir=tmp_path))
            assert not outer & link_names("mv")
        finally:
            survivor.kill()
            await survivor.wait()


def test_the_kernel_takes_every_rule() -> None:
    namespace = new_namespace(sysctls.disable_ipv6_for_new_links)
    try:
        text = rules.namespace_rules(IPv4Interface("10.0.0.1/20").ip)
        in_namespace(namespace, lambda: nft.apply(text))
        listed = in_namespace(namespace, lambda: nft.listed("ruleset"))
    finally:
        os.close(namespace)
    assert len([entry for entry in listed if "rule" in entry]) == 12
