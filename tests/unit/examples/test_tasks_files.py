"""The files of examples/tasks: they fit together, and the READMEs name what is there. tests/e2e/test_istio_tasks.py runs them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from tests.unit.examples.bookinfo_shop import BOOKINFO

from mizzen.resources.loading import load_paths
from mizzen.resources.problems import errors
from mizzen.resources.references import check_references

TASKS = BOOKINFO.parent / "tasks"
ROOT = TASKS.parent.parent
FILES = sorted(TASKS.glob("*/*.yaml"))
TABLE = re.findall(
    r"^\| (.+) \| \[.+\]\((.+)/README\.md\) \| `mizzen apply --wait -f (.+)` \| `(.+)` \|$",
    (TASKS / "README.md").read_text(),
    re.MULTILINE,
)
# What must be in force before a file; the others need only the mesh.
BEFORE = {
    "mirroring/mirror-to-v2": ["mirroring/all-to-v1"],
    "tcp-traffic-shifting/tcp-echo-20-v2": ["tcp-traffic-shifting/tcp-echo-all-v1"],
    "egress-control/timeout": ["egress-control/httpbin-ext"],
    "egress-gateway-tls-origination/mutual-tls": ["egress-gateway-tls-origination/nginx"],
    "egress-tls-origination/mutual-tls": ["egress-tls-origination/nginx"],
    "wildcard-egress-hosts/any-server": ["wildcard-egress-hosts/gateway"],
}
BOOKINFO_FILES = [BOOKINFO / "bookinfo.yaml", BOOKINFO / "networking" / "destination-rule-all.yaml"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_file_is_right_by_itself_and_beside_the_mesh(file: Path) -> None:
    before = [TASKS / f"{name}.yaml" for name in BEFORE.get(f"{file.parent.name}/{file.stem}", [])]
    loaded = load_paths([file])
    assert loaded.problems == ()
    assert len(loaded.resources) == len(list(yaml.safe_load_all(file.read_text())))
    others = load_paths([TASKS / "mesh.yaml", *BOOKINFO_FILES, *before])
    assert others.problems == ()
    written = {one.key: one for one in (*others.resources, *loaded.resources)}
    assert errors(check_references(written.values())) == []


def test_every_task_is_in_the_table_with_what_there_is() -> None:
    assert len(TABLE) == 16
    for task, folder, named, test in TABLE:
        assert (TASKS / folder / "README.md").is_file(), task
        files = [(ROOT / file).resolve() for file in named.split(" -f ")]
        assert all(file.is_file() and file.is_relative_to((TASKS / folder).resolve()) for file in files), task
        assert (ROOT / test).is_file(), task
        folders = [BOOKINFO / "bookinfo.yaml"] if folder.startswith("..") else [TASKS / "mesh.yaml", *BOOKINFO_FILES]
        written = {one.key: one for one in load_paths([*folders, *files]).resources}
        assert errors(check_references(written.values())) == [], task
    own = {folder for _, folder, _, _ in TABLE if not folder.startswith("..")}
    assert own == {file.parent.name for file in FILES}


@pytest.mark.parametrize("folder", sorted({file.parent for file in FILES}), ids=lambda folder: folder.name)
def test_a_readme_applies_every_file_of_its_task(folder: Path) -> None:
    applied = re.findall(r"^    mizzen apply --wait -f (\S+)", (folder / "README.md").read_text(), re.MULTILINE)
    assert [name for name in applied if not (ROOT / name).is_file()] == []
    assert {ROOT / name for name in applied} >= set(folder.glob("*.yaml"))


def test_every_file_is_applied_by_the_test() -> None:
    test = (ROOT / "tests" / "e2e" / "test_istio_tasks.py").read_text()
    assert [
        file for file in FILES if f'"{file.stem}.yaml"' not in test and f"{file.parent.name}/{file.stem}" not in test
    ] == []
