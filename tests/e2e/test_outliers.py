"""Outlier detection: an endpoint that fails is left out for a while, and is asked again after that."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.e2e.conftest import CAPTURES
from tests.support import small
from tests.support.meshes import Mesh, running
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(120)]

BROKEN = tuple(
    small.SERVER.replace("send_response(200)", "send_response(500)") if "http" in one else one for one in small.SERVE
)
WEB = small.joined(
    small.service("web"),
    small.workload("good", app="web"),
    small.workload("broken", BROKEN, app="web"),
    small.workload("client"),
)
DETECTION = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec:
  host: web
  trafficPolicy:
    loadBalancer: {simple: ROUND_ROBIN}
    outlierDetection:
      consecutive5xxErrors: 3
      interval: 1s
      baseEjectionTime: 2s
      maxEjectionPercent: 100
"""


@pytest.fixture(scope="module", params=CAPTURES)
def mesh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    file = tmp_path_factory.mktemp("outliers") / "mesh.yaml"
    file.write_text(WEB)
    with running(file, capture=request.param) as running_mesh:
        yield running_mesh


def test_an_endpoint_that_fails_is_left_out_for_a_while(mesh: Mesh) -> None:
    assert mesh.send("client", "http://web/", 40)["statuses"]["500"] > 5
    mesh.apply_text(DETECTION)
    # The third failure in a row ends it, whatever is in flight then.
    found = mesh.send("client", "http://web/", 60, 100.0)["statuses"]
    assert 3 <= found["500"] <= 5, found
    assert mesh.send("client", "http://web/", 20, 200.0)["statuses"] == {"200": 20}
    eventually(lambda: "500" in mesh.send("client", "http://web/", 4)["statuses"], "it is asked again after a while")
