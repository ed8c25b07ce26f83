from pathlib import Path

from mizzen.node.capture.host import Identifier, identify
from mizzen.settings import Settings


def test_names_fit_a_link_and_tell_meshes_apart() -> None:
    settings = [
        Settings(name=name, state_dir=Path(folder))
        for name in ("default", "a-very-long-name-of-a-mesh-" * 5)
        for folder in ("/state/a", "/state/b")
    ]
    identifiers = [identify(each) for each in settings]
    assert len(set(identifiers)) == 4
    assert all(len(identifier.bridge) <= 15 for identifier in identifiers)
    assert identify(settings[0]) == identifiers[0]


def test_names_on_the_host() -> None:
    identifier = Identifier("0123456789")
    assert (identifier.bridge, identifier.table, identifier.claim.name) == (
        "mz-0123456789",
        "mizzen-0123456789",
        "0123456789.claim",
    )
