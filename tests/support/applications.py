"""What runs in the containers of tests: Bookinfo, and small servers of which there may be hundreds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support import images
from tests.support.containers import Container, Engine
from tests.support.polling import eventually

PORT = 9080
HEALTH = f"wget -q -O /dev/null http://127.0.0.1:{PORT}/health"
# Each container has the name of the workload that it is in examples/bookinfo, and its service's as an alias.
BOOKINFO: Mapping[str, Mapping[str, str]] = {
    "productpage-v1": {},
    "details-v1": {},
    "ratings-v1": {},
    "reviews-v1": {"SERVICE_VERSION": "v1"},
    "reviews-v2": {"SERVICE_VERSION": "v2", "ENABLE_RATINGS": "true"},
    "reviews-v3": {"SERVICE_VERSION": "v3", "ENABLE_RATINGS": "true", "STAR_COLOR": "red"},
}


def bookinfo_image(engine: Engine) -> str:
    """Builds examples/compose/Containerfile on an image that exposes nothing; returns the image's name."""
    engine.import_image(images.TOOLS, images.TOOLS_CONFIGURATION, images.base_archive())
    file = images.EXAMPLES / "compose" / "Containerfile"
    options = ("--quiet", "--build-arg", f"BASE={images.TOOLS}", "--tag", images.BOOKINFO, "--file", str(file))
    engine.podman("build", *options, str(images.EXAMPLES))
    return images.BOOKINFO


def bookinfo_containers(engine: Engine, network: str = "bookinfo", *, health: bool = False) -> tuple[str, ...]:
    """Starts Bookinfo, which finds itself by the engine's names alone, in a network that is made; returns the names.

    All six listen when this returns; with ``health`` each has a health check, which has passed once. The page is
    published at port 9080 of the host. Labels are those that Compose sets, and there are no others.
    """
    image = bookinfo_image(engine)
    engine.network(network)
    engine.run_all(_bookinfo(name, env, image, network, HEALTH if health else "") for name, env in BOOKINFO.items())
    eventually(lambda: all(engine.listens(name, PORT) for name in BOOKINFO), "all of Bookinfo listens")
    if health:
        checked = {name: engine.check_health(name) for name in BOOKINFO}
        assert all(checked.values()), checked
    return tuple(BOOKINFO)


def _bookinfo(name: str, env: Mapping[str, str], image: str, network: str, health: str) -> Container:
    service = name.rpartition("-")[0]
    return Container(
        name,
        image,
        ("python3", "-m", f"services.{service}", "--host", "0.0.0.0", "--port", str(PORT)),
        network,
        aliases=(service,),
        labels=compose_labels("bookinfo", name),
        env=env,
        ports={PORT: PORT} if service == "productpage" else {},
        health=health,
    )


def compose_labels(project: str, service: str, number: int = 1) -> dict[str, str]:
    """The labels by which Compose, whoever's, knows its containers again."""
    return {
        "com.docker.compose.project": project,
        "com.docker.compose.service": service,
        "com.docker.compose.container-number": str(number),
        "com.docker.compose.oneoff": "False",
    }


def small(name: str, network: str, **fields: Any) -> Container:
    """A container that answers every request at port 8080 with its name, and ends at once when told; to run."""
    return Container(name, network=network, **fields)


def small_container(engine: Engine, name: str, network: str, **fields: Any) -> str:
    """Starts a small container; returns its id when it listens. For many at once there is `Engine.run_all`."""
    made = engine.run(small(name, network, **fields))
    eventually(lambda: engine.listens(made, images.SMALL_PORT), f"{name} listens")
    return made
