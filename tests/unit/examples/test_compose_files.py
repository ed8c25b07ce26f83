"""The files of examples/compose: Bookinfo as a Compose file that knows of no mesh, and the rules for a canary."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.examples.bookinfo_shop import BOOKINFO
from tests.unit.examples.test_bookinfo_files import PUBLISHED

from mizzen.resources.loading import load

COMPOSE = BOOKINFO.parent / "compose"
ROOT = COMPOSE.parent.parent
RULES = sorted((COMPOSE / "networking").iterdir())


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]
    return found


def workload_environment(name: str) -> dict[str, str]:
    """What examples/bookinfo sets for the workload that a service of the Compose file is."""
    documents = yaml.safe_load_all((BOOKINFO / "bookinfo.yaml").read_text())
    names = {name, f"{name}-v1"}
    spec = next(item["spec"] for item in documents if item["kind"] == "Workload" and item["metadata"]["name"] in names)
    return {entry["name"]: entry["value"] for entry in spec["env"]}


def test_the_services_are_those_of_bookinfo() -> None:
    assert list(services()) == ["productpage", "details", "ratings", "reviews-v1", "reviews-v2", "reviews-v3"]
    for name, service in services().items():
        program = name.partition("-")[0]
        assert (BOOKINFO / "services" / f"{program}.py").is_file()
        assert service["command"] == ["python3", "-m", f"services.{program}", "--host", "0.0.0.0", "--port", "9080"]
        # Without the variable a service is v1.
        assert {"SERVICE_VERSION": "v1"} | service.get("environment", {}) == workload_environment(name)


def test_the_versions_of_reviews_share_a_name() -> None:
    aliases = {name: service["networks"]["default"] for name, service in services().items() if "networks" in service}
    assert aliases == {f"reviews-v{version}": {"aliases": ["reviews"]} for version in (1, 2, 3)}


def test_only_the_page_is_published() -> None:
    assert {name: service["ports"] for name, service in services().items() if "ports" in service} == {
        "productpage": ["9080:9080"]
    }


def test_nothing_is_said_to_a_mesh() -> None:
    """The file is what anybody's is: no labels, and no name of ours but in prose."""
    text = (COMPOSE / "compose.yaml").read_text() + (COMPOSE / "Containerfile").read_text()
    assert "mizzen" not in text.lower()
    assert "labels" not in text


def test_every_service_is_built_from_the_containerfile() -> None:
    for service in services().values():
        context = (COMPOSE / service["build"]["context"]).resolve()
        file = context / service["build"]["dockerfile"]
        assert file == COMPOSE / "Containerfile"
        copied = re.findall(r"^COPY (\S+)", file.read_text(), re.MULTILINE)
        assert [(context / source).is_dir() for source in copied] == [True]


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_mizzen_reads_the_rules(path: Path) -> None:
    loaded = load(path.read_text(), str(path))
    assert loaded.problems == ()
    assert [resource.key.name for resource in loaded.resources] == ["reviews"]


def test_the_rules_are_istios() -> None:
    found = {path.stem: yaml.safe_load(path.read_text()) for path in RULES}
    assert found == {
        "reviews-versions": PUBLISHED["destination-rule-all"][1],
        "reviews-90-10": PUBLISHED["virtual-service-reviews-90-10"][0],
        "reviews-50-v3": PUBLISHED["virtual-service-reviews-50-v3"][0],
    }


def test_the_walk_through_names_files_that_are_there() -> None:
    text = (COMPOSE / "README.md").read_text()
    named = set(re.findall(r"examples/compose/[\w./-]+", text))
    assert named >= {f"examples/compose/networking/{path.name}" for path in RULES}
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert [name for name in re.findall(r"\]\(([^)]+)\)", text) if not (COMPOSE / name).exists()] == []
