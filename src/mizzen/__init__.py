"""Mizzen: a service mesh with Istio's API on stock Envoy."""

__version__ = "0.1.0"
