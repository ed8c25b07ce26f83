from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from mizzen.node.capture.claims import claim, claimed, name_of
from mizzen.settings import Settings


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("/var/lib/mizzen/shop", "(state directory /var/lib/mizzen/shop)"),
        (f"/srv/{'deep/' * 30}shop", "deep/deep/shop)"),
        (f"/srv/{'é' * 60}", "éééééééé)"),
        (f"/srv/x{'é' * 60}", "éééééééé)"),
    ],
)
def test_a_mesh_is_called_by_its_name_and_folder(folder: str, said: str) -> None:
    mesh = name_of(Settings(name="shop", state_dir=Path(folder)))
    assert mesh.startswith("shop (state directory ")
    assert mesh.endswith(said)
    with closing(claim(mesh)):
        assert claimed() == mesh
    assert claimed() == ""


def test_a_claim_that_an_application_has_made_before_does_no_harm() -> None:
    mesh = "shop (state directory /srv)"
    with closing(claim(mesh)), closing(claim(mesh)):
        assert claimed() == mesh
