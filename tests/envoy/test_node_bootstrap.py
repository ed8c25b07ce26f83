"""Envoy's own word on the bootstrap that the node writes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mizzen.node.bootstrap import BootstrapView, bootstrap_json
from mizzen.node.envoy import envoy_path

pytestmark = pytest.mark.envoy


def test_envoy_accepts_it_without_a_warning(tmp_path: Path) -> None:
    sidecar = BootstrapView(
        instance="reviews-v1-0",
        namespace="default",
        workload="reviews-v1",
        service_account="bookinfo-reviews",
        address="127.0.0.1",
        capture="explicit",
        version="0.1.0",
        trust_domain="cluster.local",
        mesh="default",
        admin_socket=tmp_path / "admin.sock",
        xds_socket=tmp_path / "xds.sock",
        sds_socket=tmp_path / "sds.sock",
        labels={"app": "reviews", "version": "v1"},
    )
    config = tmp_path / "envoy.json"
    config.write_text(bootstrap_json(sidecar))
    line = [str(envoy_path()), "--mode", "validate", "-c", str(config), "--log-level", "warning"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
