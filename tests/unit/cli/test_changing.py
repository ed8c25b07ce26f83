from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.fakes import FakeApi, StartMesh, out, run

from mizzen.cli.client import AwayError

RESULT = {"kind": "VirtualService", "namespace": "default", "name": "reviews"}
CHANGED = {"version": 12, "results": [RESULT | {"action": "configured"}], "warnings": []}
SYNCED = {"version": 12, "synced": ["reviews-v1-0.default", "ratings-v1-0.default"], "pending": [], "rejected": []}


@pytest.fixture
def file() -> Path:
    path = Path.cwd() / "reviews.yaml"
    path.write_text("kind: VirtualService\nmetadata: {name: reviews}\n")
    return path


def test_apply_prints_what_kubectl_prints_and_sends_absolute_names(api: FakeApi, file: Path) -> None:
    api.on("POST /v1/resources/apply", CHANGED)
    assert out("apply", "-f", "reviews.yaml") == "virtualservice.networking.istio.io/reviews configured\n"
    assert api.bodies("POST /v1/resources/apply") == [
        {
            "files": [{"name": str(file), "text": file.read_text()}],
            "namespace": "default",
            "dryRun": False,
            "force": False,
        }
    ]


def test_apply_may_be_forced(api: FakeApi, file: Path) -> None:
    api.on("POST /v1/resources/apply", CHANGED)
    out("apply", "-f", "reviews.yaml", "--force")
    assert api.bodies("POST /v1/resources/apply")[0]["force"] is True


def test_what_names_no_namespace_may_be_given_one(api: FakeApi, file: Path) -> None:
    api.on("POST /v1/resources/apply", CHANGED)
    out("apply", "-n", "shop", "-f", "reviews.yaml")
    assert api.bodies("POST /v1/resources/apply")[0]["namespace"] == "shop"


def test_a_folder_is_read_as_kubectl_reads_it(api: FakeApi, file: Path) -> None:
    (Path.cwd() / "notes.txt").write_text("no")
    (Path.cwd() / "deep").mkdir()
    (Path.cwd() / "deep" / "more.yml").write_text("a: 1")
    api.on("POST /v1/resources/apply", CHANGED)
    out("apply", "-f", ".")
    out("apply", "-R", "-f", ".")
    sent = [[each["name"] for each in body["files"]] for body in api.bodies("POST /v1/resources/apply")]
    assert sent == [[str(file)], [str(Path.cwd() / "deep" / "more.yml"), str(file)]]


def test_standard_input(api: FakeApi) -> None:
    api.on("POST /v1/resources/apply", CHANGED)
    out("apply", "-f", "-", stdin="kind: Service")
    assert api.bodies("POST /v1/resources/apply")[0]["files"] == [
        {"name": str(Path.cwd() / "<stdin>"), "text": "kind: Service"}
    ]


def test_dry_run_changes_nothing_and_waits_for_nothing(api: FakeApi, file: Path) -> None:
    api.on("POST /v1/resources/apply", CHANGED)
    printed = out("apply", "-f", "reviews.yaml", "--dry-run", "--wait")
    assert printed == "virtualservice.networking.istio.io/reviews configured (dry run)\n"
    assert api.bodies("POST /v1/resources/apply")[0]["dryRun"] is True


def test_refused_files_are_listed_with_their_places(api: FakeApi, file: Path) -> None:
    problem = {
        "code": "UnknownField",
        "level": "error",
        "message": "unknown field",
        "position": {"file": str(file), "line": 2, "column": 3},
        "resource": RESULT,
        "path": "spec.htp",
        "hint": "did you mean http?",
    }
    api.on("POST /v1/resources/apply", {"problems": [problem]}, 422)
    result = run("apply", "-f", "reviews.yaml")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "reviews.yaml:2:3: error: VirtualService default/reviews: spec.htp: unknown field (did you mean http?)"
        " [UnknownField]\n"
    )


def test_warnings_go_to_stderr(api: FakeApi, file: Path) -> None:
    warning = {"level": "warning", "message": "no such host", "code": "IST0101", "position": None, "resource": None}
    api.on("POST /v1/resources/apply", CHANGED | {"warnings": [warning]})
    result = run("apply", "-f", "reviews.yaml")
    assert result.stdout == "virtualservice.networking.istio.io/reviews configured\n"
    assert result.stderr == "warning: no such host [IST0101]\n"


def test_wait_returns_when_every_proxy_has_acknowledged(api: FakeApi, file: Path) -> None:
    api.on("POST /v1/resources/apply", CHANGED)
    api.on("GET /v1/versions/12", SYNCED)
    result = run("apply", "-f", "reviews.yaml", "--wait", "--timeout", "1m")
    assert result.exit_code == 0
    assert re.fullmatch(r"live on 2 proxies after \d+ ms\n", result.stderr)
    assert api.queries("GET /v1/versions/12") == [{"timeout": "60"}]


def test_on_a_terminal_the_wait_is_watched(api: FakeApi, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("options", "waiting"):
        monkeypatch.setattr(f"mizzen.cli.{module}.on_terminal", lambda: True)
    pending = SYNCED | {"synced": [], "pending": [{"proxy": "ratings-v1-0.default", "types": ["RDS"]}]}
    steps = iter([pending, pending, SYNCED])
    api.on("POST /v1/resources/apply", CHANGED)
    api.on("GET /v1/versions/12", lambda _query, _body: next(steps))
    result = run("apply", "-f", "reviews.yaml")
    assert result.exit_code == 0
    assert "live on 2 proxies after" in result.stderr
    assert api.queries("GET /v1/versions/12") == [{"timeout": "0.5"}] * 3


def test_a_change_that_is_made_is_told_where_nobody_answers_afterwards(
    api: FakeApi, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise AwayError("the control plane is away", hint="try again")

    monkeypatch.setattr("mizzen.cli.waiting.wait", gone)
    api.on("POST /v1/resources/apply", CHANGED)
    result = run("apply", "-f", "reviews.yaml", "--wait")
    assert (result.exit_code, result.stdout) == (1, "virtualservice.networking.istio.io/reviews configured\n")
    assert result.stderr == (
        "error: the change is made; which proxies have it is not known: the control plane is away\n  try again\n"
    )


def test_wait_with_no_proxy_says_so(api: FakeApi, file: Path) -> None:
    api.on("POST /v1/resources/apply", CHANGED)
    api.on("GET /v1/versions/12", SYNCED | {"synced": []})
    result = run("apply", "-f", "reviews.yaml", "--wait")
    assert result.stderr == "accepted; no proxy is connected that it concerns\n"


def test_wait_lists_who_has_not_acknowledged(api: FakeApi, file: Path) -> None:
    api.on("POST /v1/resources/apply", CHANGED)
    pending = [{"proxy": "ratings-v1-0.default", "types": ["RDS", "CDS"]}]
    api.on("GET /v1/versions/12", SYNCED | {"synced": ["reviews-v1-0.default"], "pending": pending})
    result = run("apply", "-f", "reviews.yaml", "--wait", "--timeout", "2s")
    assert result.exit_code == 1
    assert result.stderr == (
        "waiting: ratings-v1-0.default (RDS, CDS)\n"
        "error: 1 of 2 proxies did not acknowledge within 2 s\n"
        "  See: mizzen status\n"
    )


def test_wait_repeats_envoys_words_with_the_line_that_they_are_about(api: FakeApi, file: Path) -> None:
    api.on("POST /v1/resources/apply", CHANGED)
    rejected = [
        {
            "proxy": f"reviews-v{number}-0.default",
            "type": "RDS",
            "message": "no argument for repetition operator: *",
            "resource": "VirtualService default/reviews",
            "position": f"{file}:6:9",
        }
        for number in (1, 2, 3, 4)
    ]
    api.on("GET /v1/versions/12", SYNCED | {"rejected": rejected})
    result = run("apply", "-f", "reviews.yaml", "--wait")
    assert result.exit_code == 1
    assert result.stderr == (
        "reviews.yaml:6:9: error: VirtualService default/reviews: Envoy refused it (RDS, reviews-v1-0.default,"
        " reviews-v2-0.default and 2 more): no argument for repetition operator: *\n"
        "error: Envoy refused the change; what was in force before stays in force\n"
        "  See: mizzen status\n"
    )


def test_delete_by_name(api: FakeApi) -> None:
    api.on("POST /v1/resources/delete", {"version": 13, "results": [RESULT | {"action": "deleted"}]})
    expected = 'virtualservice.networking.istio.io "reviews" deleted\n'
    assert out("delete", "vs", "reviews") == expected
    assert out("delete", "vs/reviews") == expected
    assert api.bodies("POST /v1/resources/delete") == [{"keys": [RESULT], "force": False}] * 2
    out("delete", "vs/reviews", "--force")
    assert api.bodies("POST /v1/resources/delete")[-1] == {"keys": [RESULT], "force": True}


def test_delete_by_file_needs_no_valid_resource(api: FakeApi, file: Path) -> None:
    api.on("POST /v1/resources/delete", {"version": 13, "results": [RESULT | {"action": "deleted"}]})
    file.write_text(
        f"{file.read_text()}spec: {{nonsense: 1}}\n---\n---\nkind: Service\nmetadata: {{name: a, namespace: b}}\n"
    )
    out("delete", "-f", "reviews.yaml")
    assert api.bodies("POST /v1/resources/delete") == [
        {"keys": [RESULT, {"kind": "Service", "namespace": "b", "name": "a"}], "force": False}
    ]


def test_delete_of_what_is_not_there_deletes_nothing(api: FakeApi) -> None:
    missing = {"code": "NotFound", "message": "not found", "resource": RESULT | {"name": "gone"}}
    api.on("POST /v1/resources/delete", {"problems": [missing]}, 404)
    result = run("delete", "vs", "reviews", "gone")
    gone = "error: VirtualService default/gone: not found [NotFound]\n"
    assert (result.exit_code, result.stderr) == (1, f"{gone}error: nothing was deleted\n")
    assert run("delete", "vs", "gone").stderr == gone


def test_ignore_not_found_deletes_the_rest(api: FakeApi) -> None:
    missing = {"code": "NotFound", "message": "not found", "resource": RESULT | {"name": "gone"}}

    def answer(_query: Any, body: Any) -> Any:
        if len(body["keys"]) == 2:
            return {"problems": [missing]}, 404
        return {"version": 13, "results": [RESULT | {"action": "deleted"}]}

    api.on("POST /v1/resources/delete", answer)
    assert "deleted" in out("delete", "vs", "reviews", "gone", "--ignore-not-found")


@pytest.mark.parametrize(
    "arguments",
    [
        ["delete"],
        ["delete", "vs"],
        ["delete", "vs", "a", "-f", "x.yaml"],
        ["delete", "vs/a", "b"],
        ["apply"],
        ["apply", "-f", "x.yaml", "--timeout", "soon"],
    ],
)
def test_wrong_usage_is_exit_code_2(api: FakeApi, arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.yaml", None, "error: gone.yaml: No such file or directory\n"),
        ("latin.yaml", b"a: 1\nb: \xe9", "error: latin.yaml:2: not UTF-8 text; save it as UTF-8\n"),
        (
            "https://example.com/a.yaml",
            None,
            """error: https://example.com/a.yaml is not a file; addresses are not read
  Try: curl -sSf https://example.com/a.yaml | mizzen apply -f -
""",
        ),
    ],
)
def test_files_that_cannot_be_read(api: FakeApi, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (Path.cwd() / name).write_bytes(content)
    result = run("apply", "-f", name)
    assert (result.exit_code, result.stderr) == (1, message)
    assert api.asked == []


def test_the_mesh_that_is_changed_is_named_where_nobody_said_it(
    api: FakeApi, file: Path, start_mesh: StartMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.on("POST /v1/resources/apply", CHANGED)
    api.on("POST /v1/resources/delete", CHANGED)
    # Another mesh that does not run may be the one that is meant.
    (start_mesh("shop") / "lock").unlink()
    told = "mesh default (the only one that runs; --name says which)\n"
    for command in (("apply", "-f", "reviews.yaml"), ("delete", "vs", "reviews")):
        result = run(*command)
        assert (result.exit_code, result.stderr) == (0, told)
        assert result.stdout.startswith("virtualservice.networking.istio.io/reviews ")
        assert out(*command, "--name", "default")
    monkeypatch.setenv("MIZZEN_NAME", "default")
    assert out("apply", "-f", "reviews.yaml")


def test_delete_reads_lists_as_apply_does(api: FakeApi) -> None:
    api.on("POST /v1/resources/delete", CHANGED)
    items = "- {kind: VirtualService, metadata: {name: a}}\n- {kind: VirtualService, metadata: {name: b}}\n"
    out("delete", "-f", "-", stdin=f"kind: List\nitems:\n{items}")
    out("delete", "-f", "-", stdin="kind: VirtualServiceList\nitems:\n- metadata: {name: c}\n")
    sent = [[key["name"] for key in body["keys"]] for body in api.bodies("POST /v1/resources/delete")]
    assert sent == [["a", "b"], ["c"]]


@pytest.mark.parametrize("text", ["kind: List\nitems: [a]\n", "a: [\n"])
def test_delete_says_where_a_file_is_wrong(api: FakeApi, text: str) -> None:
    result = run("delete", "-f", "-", stdin=text)
    assert result.exit_code == 1
    assert re.match(r"\S+:\d:\d: error: ", result.stderr)
    assert result.stderr.endswith("error: nothing was deleted\n")
