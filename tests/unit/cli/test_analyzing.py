from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.cli.fakes import FakeApi, run

CART = """\
apiVersion: v1
kind: Service
metadata: {name: cart}
spec: {selector: {app: cart}, ports: [{name: http, port: 80}]}
"""
ROUTE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart}
spec:
  hosts: [cart]
  http:
  - route:
    - destination: {host: %s}
"""
RETRY = ROUTE % "cart" + "    retries: {attempts: 2, retryOn: 5xx}\n"
UNKNOWN = (
    "Error [IST0101] (VirtualService default/cart route.yaml:8) the host 'crt', which means"
    " crt.default.svc.cluster.local, is no Service and in no ServiceEntry;"
    " did you mean cart.default.svc.cluster.local?\n"
)
ALONE = ("analyze", "-k=false")


@pytest.fixture
def folder() -> Path:
    (Path.cwd() / "cart.yaml").write_text(CART)
    (Path.cwd() / "route.yaml").write_text(ROUTE % "crt")
    return Path.cwd()


def test_a_line_and_an_exit_code_are_istioctls(folder: Path) -> None:
    result = run(*ALONE, "cart.yaml", "route.yaml")
    assert (result.exit_code, result.stdout) == (79, UNKNOWN)
    assert "found issues in namespace default" in result.stderr


def test_nothing_wrong_is_said_on_stderr(folder: Path) -> None:
    result = run(*ALONE, "cart.yaml")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "✔ No issues found in cart.yaml.\n"


@pytest.mark.parametrize(
    ("options", "code", "lines"),
    [
        ((), 0, 1),
        (("--failure-threshold", "Warning"), 79, 1),
        (("--failure-threshold", "Error"), 0, 1),
        (("--failure-threshold", "info"), 79, 1),
        (("--output-threshold", "Error"), 0, 0),
        (("--output-threshold", "Error", "--failure-threshold=Warning"), 79, 0),
        (("-S", "MZN0004=VirtualService cart.default", "--failure-threshold", "Info"), 0, 0),
        (("--suppress=MZN0004=VirtualService *", "--failure-threshold", "Info"), 0, 0),
        (("--analyzer", "service.PortNameAnalyzer", "--failure-threshold", "Info"), 0, 0),
        (("-n", "ops", "--failure-threshold", "Info"), 79, 1),
        (("-A", "--failure-threshold", "Info"), 79, 1),
    ],
)
def test_thresholds_and_what_is_left_out(folder: Path, options: tuple[str, ...], code: int, lines: int) -> None:
    (folder / "route.yaml").write_text(RETRY)
    result = run(*ALONE, *options, ".")
    assert (result.exit_code, len(result.stdout.splitlines())) == (code, lines)


def test_what_mizzen_lacks_is_no_failure(folder: Path) -> None:
    (folder / "cart.yaml").write_text(CART.replace("spec: {", "spec: {type: LoadBalancer, "))
    result = run(*ALONE, "cart.yaml", "--failure-threshold", "Info")
    assert (result.exit_code, result.stdout[:14]) == (0, "Info [MZN0001]")


def test_json_and_yaml_are_istioctls_and_end_with_0(folder: Path) -> None:
    result = run(*ALONE, ".", "-o", "json")
    (message,) = json.loads(result.stdout)
    assert result.exit_code == 0
    assert list(message) == ["code", "documentationUrl", "level", "message", "origin", "reference"]
    assert message["origin"] == "VirtualService default/cart"
    assert message["reference"] == "route.yaml:8"
    assert message["level"] == "Error"
    result = run(*ALONE, ".", "-o", "yaml")
    assert yaml.safe_load(result.stdout) == [message]
    assert run(*ALONE, "cart.yaml", "-o", "json").stdout == "[]\n"


def test_other_namespaces_are_counted(folder: Path) -> None:
    (folder / "route.yaml").write_text(RETRY.replace("name: cart}", "name: cart, namespace: ops}"))
    result = run(*ALONE, ".")
    assert result.stdout == ""
    assert "2 messages about other namespaces: -A shows all" in result.stderr
    assert len(run(*ALONE, "-A", ".").stdout.splitlines()) == 2


def test_a_namespace_is_for_what_names_none(folder: Path) -> None:
    assert "(VirtualService ops/cart route.yaml:8)" in run(*ALONE, "-n", "ops", ".").stdout


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [
        ("a: [\n", (), 65),
        ("replicas: 3\n", (), 65),
        ("replicas: 3\n", ("--ignore-unknown",), 0),
        ("apiVersion: example.com/v1\nkind: Other\nmetadata: {name: a}\n", (), 0),
        (ROUTE % "crt" + "---\na: [\n", (), 79),
        ("a: [\n", ("-o", "json"), 0),
    ],
)
def test_what_is_no_resource(folder: Path, text: str, options: tuple[str, ...], code: int) -> None:
    (folder / "route.yaml").write_text(text)
    result = run(*ALONE, ".", *options)
    assert result.exit_code == code
    assert ("Cannot be read: route.yaml:" in result.stderr) == (code != 0 or options == ("-o", "json"))


def test_text_that_is_not_utf_8_cannot_be_read(folder: Path) -> None:
    (folder / "route.yaml").write_bytes(b"\xff\xfe")
    assert run(*ALONE, ".").exit_code == 65


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--bogus",), 64),
        (("-o", "xml"), 64),
        (("-k=perhaps", "cart.yaml"), 64),
        (("--failure-threshold", "Fatal", "cart.yaml"), 64),
        (("-S", "IST0101", "cart.yaml"), 64),
        (("--analyzer", "none", "cart.yaml"), 64),
        (("-k=false",), 64),
        (("-k=false", "missing.yaml"), 1),
        ((), 1),
    ],
)
def test_wrong_usage_has_istioctls_exit_code(folder: Path, arguments: tuple[str, ...], code: int) -> None:
    assert run("analyze", *arguments).exit_code == code


def test_an_unknown_code_is_suppressed_with_a_warning(folder: Path) -> None:
    result = run(*ALONE, "-S", "IST9999=Pod *", "cart.yaml")
    assert (result.exit_code, "no message IST9999" in result.stderr) == (0, True)


def test_folders_and_other_files(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "route.yaml").rename(folder / "deep" / "route.yml")
    (folder / "notes.txt").write_text("?")
    result = run(*ALONE, ".")
    assert (result.exit_code, "Skipping notes.txt" in result.stderr) == (0, True)
    result = run(*ALONE, "-R", ".")
    assert (result.exit_code, "deep/route.yml:8" in result.stdout) == (79, True)


def test_standard_input(folder: Path) -> None:
    result = run(*ALONE, "cart.yaml", "-", stdin=ROUTE % "crt")
    assert result.exit_code == 79
    assert "(VirtualService default/cart -:8)" in result.stdout


def test_a_mesh_config(folder: Path) -> None:
    (folder / "logs.yaml").write_text(
        "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: logs}\nspec: {accessLogging: [{}]}\n"
    )
    (folder / "mesh.txt").write_text("defaultProviders: {accessLogging: [envoy]}\n")
    arguments = (*ALONE, "--analyzer", "telemetry.ProviderAnalyzer", "logs.yaml")
    assert "IST0157" in run(*arguments).stdout
    assert run(*arguments, "--meshConfigFile", "mesh.txt").stdout == ""


def test_analyzers_are_listed() -> None:
    lines = run("analyze", "-L").stdout.splitlines()
    assert "* virtualservice.DestinationHostAnalyzer:" in lines
    assert "    hosts and ports of routes" in lines


def test_options_without_a_meaning_here_are_accepted(folder: Path) -> None:
    result = run(*ALONE, "--timeout", "5s", "--revision", "default", "--color=false", "-v", "cart.yaml")
    assert result.exit_code == 0
    assert "virtualservice.DestinationHostAnalyzer" in result.stderr


def test_colours_on_request(folder: Path) -> None:
    assert run(*ALONE, ".", "--color").stdout.startswith("\x1b[31m\x1b[1mError\x1b[0m [IST0101]")


def documents(*texts: str) -> dict[str, list[dict[str, Any]]]:
    items = [yaml.safe_load(text) for text in texts]
    for item in items:
        item["metadata"].setdefault("namespace", "default")
    return {"items": items}


def test_without_a_mesh_files_are_analyzed_alone(folder: Path) -> None:
    result = run("analyze", "cart.yaml")
    assert result.stderr.startswith("No mesh is running: the files are analyzed alone.\n")


def test_files_on_top_of_a_running_mesh(folder: Path, api: FakeApi) -> None:
    api.on("GET /v1/resources", documents(CART, ROUTE % "gone"))
    (folder / "route.yaml").write_text(ROUTE % "cart")
    result = run("analyze", "route.yaml")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("Analyzed on top of the 2 resources of mesh default; -k=false takes")
    result = run("analyze", "-k=false", "route.yaml")
    assert (result.exit_code, api.queries("GET /v1/resources")) == (0, [{}])


def test_a_running_mesh_by_itself(folder: Path, api: FakeApi) -> None:
    api.on("GET /v1/resources", documents(CART, ROUTE % "gone"))
    result = run("analyze")
    assert result.exit_code == 79
    assert result.stdout.startswith("Error [IST0101] (VirtualService default/cart) the host 'gone'")
    assert run("analyze", "-k").exit_code == 79


def test_a_resource_of_a_running_mesh_is_named_with_the_file_that_it_was_applied_from(
    folder: Path, api: FakeApi
) -> None:
    answer = documents(CART, ROUTE % "gone")
    source = {"file": str(folder / "route.yaml"), "line": 3, "text": ROUTE % "gone"}
    api.on("GET /v1/resources", {"items": [item | {"source": source} for item in answer["items"]]})
    printed = run("analyze").stdout
    assert printed.startswith("Error [IST0101] (VirtualService default/cart route.yaml:")


def test_what_cannot_be_read_has_no_issues_of_which_anything_is_known(folder: Path) -> None:
    (folder / "latin.yaml").write_bytes(b"a: 1\nb: \xe9\n")
    result = run(*ALONE, "latin.yaml")
    assert (result.exit_code, result.stdout) == (65, "")
    assert result.stderr.startswith("Cannot be read: latin.yaml:2: not UTF-8 text; save it as UTF-8\n")
    assert "No issues" not in result.stderr


def test_a_running_mesh_is_wanted_and_there_is_none(folder: Path) -> None:
    result = run("analyze", "-k", "cart.yaml")
    assert (result.exit_code, "no mesh is running" in result.stderr) == (1, True)
