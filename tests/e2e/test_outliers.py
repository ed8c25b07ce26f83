"""Outlier detection: an endpoint that fails is left out for a while, and is asked again after that."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.e2e.conftest import RUNTIMES
from tests.support import small
from tests.support.meshes import Mesh
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.timeout(120)]

BROKEN = tuple(
    small.SERVER.replace("send_response(200)", "send_response(500)") if "http" in one else one for one in small.SERVE
)
SERVERS = (
    small.Server("good", app="web"),
    small.Server("broken", app="web", command=BROKEN),
    small.Server("client"),
)
URL = f"http://web:{small.PORT}/"
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
      baseEjectionTime: 6s
      maxEjectionPercent: 100
"""


@pytest.fixture(scope="module", params=RUNTIMES)
def mesh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with small.running_servers(*SERVERS, capture=request.param, folder=tmp_path_factory.mktemp("outliers")) as running:
        yield running


def test_an_endpoint_that_fails_is_left_out_for_a_while(mesh: Mesh) -> None:
    assert mesh.send("client-0", URL, 40)["statuses"]["500"] > 5
    mesh.apply_text(DETECTION + "      outlierDetectionHttpErrorCodes: [404]\n")
    assert mesh.send("client-0", URL, 40)["statuses"]["500"] > 5, "another code is not what fails"
    mesh.apply_text(DETECTION + "      outlierDetectionHttpErrorCodes: [500, 503]\n")
    # The third failure in a row ends it, whatever is in flight then.
    found = mesh.send("client-0", URL, 60, 100.0)["statuses"]
    assert 3 <= found["500"] <= 5, found
    assert mesh.send("client-0", URL, 20, 200.0)["statuses"] == {"200": 20}
    eventually(lambda: "500" in mesh.send("client-0", URL, 4)["statuses"], "it is asked again after a while")
