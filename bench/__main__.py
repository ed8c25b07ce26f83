"""``python -m bench``: measures, says what it found, and writes docs/benchmarks.md.

What is not measured this time stays in the document as it was, with its own date.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from bench import machine, report
from bench.measures import MEASURES
from bench.quiet import await_quiet

_PATIENCE = 120.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="Measure Mizzen, and write docs/benchmarks.md.")
    parser.add_argument("measure", nargs="*", choices=[*MEASURES, []], help="what to measure; everything by default")
    parser.add_argument("--quick", action="store_true", help="only see that it works: numbers without meaning")
    parser.add_argument("--no-write", action="store_true", help="print the results, and leave the document alone")
    options = parser.parse_args()
    if options.quick and not options.no_write:
        parser.error("--quick goes with --no-write: its numbers mean nothing")
    results = {}
    for name in options.measure or MEASURES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        busy = 0.0 if options.quick else await_quiet(_PATIENCE)
        started, about = time.monotonic(), {**machine.describe(), "busy": busy, "load": os.getloadavg()[0]}
        found = MEASURES[name](quick=options.quick)
        results[name] = {"machine": about, "seconds": round(time.monotonic() - started), "result": found}
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        if not options.no_write:
            report.keep({name: results[name]})
    print(report.to_json(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
