"""The units of packaging/systemd, under a real systemd: started, killed, stopped."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import small
from tests.support.meshes import MIZZEN, ROOT
from tests.support.polling import eventually
from tests.support.runs import SERVER
from tests.support.systemd import Systemd, booted

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.systemd, pytest.mark.timeout(400)]

# Where users other than root reach it, unlike a test's own folder.
SERVER_FILE = "/run/server"
PACKAGED = ROOT / "packaging" / "systemd"
# A unit that there was before Mizzen, and the drop-in that puts it into the mesh, as docs/systemd.md has it.
SHOP = """
[Service]
User=daemon
ExecStart={server} 8081
Restart=on-failure
"""
IN_THE_MESH = """
[Unit]
After=mizzen.service
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart=
ExecStart=!{mizzen} run --user daemon --service shop --port http:8081 -- {server} 8081
Environment=MIZZEN_STATE_DIR=/var/lib/mizzen
KillMode=mixed
RestartSec=1
SuccessExitStatus=129 130 143
TimeoutStopSec=60
"""


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged units, with the Mizzen of this environment, and one that is not Mizzen's."""
    folder = tmp_path_factory.mktemp("systemd")
    (folder / "units" / "shop.service.d").mkdir(parents=True)
    for unit in PACKAGED.iterdir():
        text = unit.read_text().replace("/opt/mizzen/bin/mizzen", str(MIZZEN))
        (folder / "units" / unit.name).write_text(text)
    (folder / "units" / "shop.service").write_text(SHOP.format(server=SERVER_FILE))
    (folder / "units" / "shop.service.d" / "mizzen.conf").write_text(
        IN_THE_MESH.format(mizzen=MIZZEN, server=SERVER_FILE)
    )
    return folder / "units"


@pytest.fixture(scope="module")
def systemd(units: Path) -> Iterator[Systemd]:
    """A host on which the mesh has started, and a command and a unit are in it."""
    with booted(units) as made:
        made.run("mkdir", "-p", "/etc/mizzen/run")
        for name, text in {
            SERVER_FILE: f"#!/usr/bin/python3\n{SERVER}",
            "/etc/default/mizzen": 'OPTIONS="--capture transparent"\n',
            "/etc/mizzen/mesh.yaml": small.joined(small.service("client"), small.workload("client")),
            "/etc/mizzen/run/web.env": f"OPTIONS=--service web --port http:8080\nCOMMAND={SERVER_FILE} $(PORT)\n",
        }.items():
            made.run("sh", "-c", f"cat > {name} <<'END'\n{text}\nEND")
        made.run("chmod", "755", SERVER_FILE)
        made.systemctl("start", "mizzen")
        made.systemctl("start", "mizzen-run@web", "shop")
        yield made


def answered(systemd: Systemd, url: str) -> str:
    """What the mesh's client gets, as a user of the host sees it."""
    return systemd.run(str(MIZZEN), "exec", "client", "--", "curl", "-s", url, check=False).stdout


def await_both(systemd: Systemd) -> None:
    """Waits until the mesh's client reaches the command and the unit."""

    def reached() -> bool:
        return (answered(systemd, "http://web:8080/"), answered(systemd, "http://shop:8081/")) == (
            "web-r0",
            "server-r0",
        )

    try:
        eventually(reached, "both are in the mesh", 120)
    except AssertionError as error:
        status = systemd.systemctl("status", "--no-pager", "mizzen", "mizzen-run@web", "shop", check=False).stdout
        raise AssertionError(f"{error}\n{status}\n{systemd.log.read_text()[-10000:]}") from error


def test_units_are_valid(units: Path) -> None:
    files = [str(file) for file in units.glob("*.service")]
    done = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.privileged
def test_a_unit_is_active_when_it_serves(systemd: Systemd) -> None:
    assert systemd.says("mizzen", "ActiveState") == "active"
    assert systemd.says("mizzen", "StatusText").startswith(
        ("shop-r0 is ready", "web-r0 is ready", "server-r0 is ready")
    )
    assert answered(systemd, "http://web:8080/") == "web-r0"
    assert answered(systemd, "http://shop:8081/") == "server-r0"
    user = systemd.run("sh", "-c", "ps -o user= -p $(pgrep -f 'server 8081$' | tail -1)").stdout.strip()
    assert user == "daemon"


@pytest.mark.privileged
def test_a_mesh_that_is_killed_comes_back_and_all_that_was_in_it(systemd: Systemd) -> None:
    before = int(systemd.says("mizzen", "NRestarts"))
    systemd.systemctl("kill", "--kill-who=main", "--signal=KILL", "mizzen")
    eventually(lambda: int(systemd.says("mizzen", "NRestarts")) > before, "it is started again")
    await_both(systemd)


@pytest.mark.privileged
def test_a_command_that_is_stopped_has_not_failed(systemd: Systemd) -> None:
    systemd.systemctl("stop", "mizzen-run@web")
    assert systemd.says("mizzen-run@web", "ActiveState") == "inactive"
    systemd.systemctl("start", "mizzen-run@web")
    assert answered(systemd, "http://web:8080/") == "web-r0"


@pytest.mark.privileged
def test_a_mesh_that_is_stopped_leaves_nothing_behind(systemd: Systemd) -> None:
    systemd.systemctl("stop", "mizzen")
    tried = int(systemd.says("shop", "NRestarts"))
    eventually(lambda: int(systemd.says("shop", "NRestarts")) > tried + 1, "the unit is tried again and again", 120)
    assert (systemd.says("mizzen", "ActiveState"), systemd.says("mizzen", "Result")) == ("inactive", "success")
    assert "envoy" not in systemd.run("ps", "-e").stdout
    assert systemd.run("nft", "list", "tables").stdout == ""
    systemd.systemctl("start", "mizzen")
    await_both(systemd)
