"""Measures of Mizzen: ``python -m bench [--quick] [MEASURE...]``, such as latency, push or attach (see measures.py).

Each measure is a module that starts what it measures (a real mesh, hand-configured Envoys, a control plane with real
streams), measures it, and returns plain data. ``report`` keeps the data as JSON and writes docs/benchmarks.md from it.
Machines differ and so does one machine from hour to hour, so what is compared is measured in turns in the same run, and
what counts is the ratio. Speed is never asserted in a test; tests/e2e/test_bench.py only sees that all of this runs.
"""
