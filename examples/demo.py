"""The whole of Mizzen in one go: Bookinfo in a mesh, a canary, and what to look at (`make demo`).

With ``--check`` it does the same in a state directory of its own, checks every answer, stops, and exits with 0. It uses
nothing but the command line, so whatever it does you can do as well.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = Path(__file__).parent
NETWORKING = EXAMPLES / "bookinfo" / "networking"
MIZZEN = Path(sys.executable).with_name("mizzen")
VERSIONS = 40


class DemoError(Exception):
    """Something is not as it should be."""


@dataclass(frozen=True)
class Demo:
    """A mesh named ``name``, with its state where the environment says."""

    name: str
    env: dict[str, str]
    capture: str

    def run(self, *arguments: str) -> str:
        """Runs a command of the command line and returns what it prints."""
        done = subprocess.run([str(MIZZEN), *arguments], env=self.env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DemoError(f"mizzen {' '.join(arguments)} ended with {done.returncode}\n{done.stderr}")
        return done.stdout

    @contextlib.contextmanager
    def up(self) -> Iterator[subprocess.Popen[str]]:
        """Runs the mesh while the context lasts; it prints its own progress on standard error."""
        command = [str(MIZZEN), "up", str(EXAMPLES / "bookinfo"), "--capture", self.capture]
        mesh = subprocess.Popen(command, env=self.env, stdout=subprocess.PIPE, text=True, process_group=0)
        try:
            self._await_ready(mesh)
            yield mesh
        finally:
            if mesh.poll() is None:
                mesh.send_signal(signal.SIGINT)
            mesh.communicate()
        if mesh.returncode:
            raise DemoError(f"mizzen up ended with {mesh.returncode}")

    def _await_ready(self, mesh: subprocess.Popen[str]) -> None:
        assert mesh.stdout
        for line in mesh.stdout:
            if line.startswith("Running in mesh"):
                return
        raise DemoError("the mesh did not start; the lines above say why")

    @contextlib.contextmanager
    def forward(self) -> Iterator[str]:
        """Opens a local port to productpage while the context lasts; returns its address."""
        command = [str(MIZZEN), "port-forward", "productpage-v1", ":9080"]
        forward = subprocess.Popen(command, env=self.env, stdout=subprocess.PIPE, text=True, process_group=0)
        try:
            assert forward.stdout
            for line in forward.stdout:
                if found := re.search(r"http://\S+?:\d+", line):
                    yield found[0]
                    break
            else:
                raise DemoError("port-forward gave no address")
        finally:
            forward.terminate()
            forward.communicate()


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as response:
        body: bytes = response.read()
        return body.decode()


def reviews_versions(url: str, count: int) -> Counter[str]:
    """Asks for the reviews through productpage, and counts which version wrote the answers."""
    found: Counter[str] = Counter()
    for _ in range(count):
        written = json.loads(fetch(f"{url}/api/v1/products/0/reviews"))["reviews"]
        color = written[0].get("rating", {}).get("color", "no stars")
        found[{"no stars": "v1", "black": "v2", "red": "v3"}[color]] += 1
    return found


def shown(found: Counter[str]) -> str:
    return ", ".join(f"{version} {count}" for version, count in sorted(found.items()))


def expect(found: Counter[str], versions: set[str]) -> None:
    if set(found) != versions:
        raise DemoError(f"answers came from {shown(found)}, and should come from {', '.join(sorted(versions))}")


def traffic(demo: Demo, url: str) -> None:
    """Sends a little traffic, before and after routing rules, and checks where it goes."""
    if "Comedy of Errors" not in fetch(f"{url}/productpage"):
        raise DemoError("the page is not Bookinfo's")
    print(f"\nNo rules: {VERSIONS} requests for reviews are spread over all versions")
    found = reviews_versions(url, VERSIONS)
    print(f"  {shown(found)}")
    expect(found, {"v1", "v2", "v3"})
    for title, name, versions in (
        ("All to v1", "virtual-service-all-v1", {"v1"}),
        ("A canary: half to v3", "virtual-service-reviews-50-v3", {"v1", "v3"}),
    ):
        print(f"\n{title}: {name}.yaml, as Istio publishes it")
        files = ("destination-rule-all", name)
        demo.run("apply", "--wait", *(part for file in files for part in ("-f", str(NETWORKING / f"{file}.yaml"))))
        found = reviews_versions(url, VERSIONS)
        print(f"  {shown(found)}")
        expect(found, versions)


def guide(demo: Demo, url: str) -> str:
    mizzen = os.path.relpath(MIZZEN)
    return f"""
Open          {url}/productpage

Then, in another terminal:
  {mizzen} -m {demo.name} status
  {mizzen} -m {demo.name} apply -f {os.path.relpath(NETWORKING / "virtual-service-reviews-v3.yaml")}
  {mizzen} -m {demo.name} proxy routes productpage-v1
  {mizzen} -m {demo.name} exec productpage-v1 -- curl -s http://reviews:9080/reviews/0

Ctrl-C stops it.
"""


def settings(*, check: bool, folder: str) -> tuple[str, dict[str, str]]:
    """Returns the mesh's name and environment: a check is by itself, also when several run at once."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MIZZEN_")}
    if check:
        return "demo-check", env | {"MIZZEN_NAME": "demo-check", "XDG_STATE_HOME": folder}
    # Other commands find it by its name; its state is new each time, so that no rule of an earlier demo is in force.
    return "demo", env | {"MIZZEN_NAME": "demo", "MIZZEN_STATE_DIR": f"{folder}/state"}


def main() -> int:
    parser = argparse.ArgumentParser(description="Run Bookinfo in a mesh.")
    parser.add_argument("--check", action="store_true", help="check the answers, stop, and exit with 0")
    parser.add_argument("--capture", default="auto", choices=["auto", "explicit", "transparent"])
    options = parser.parse_args()
    # Ctrl-C goes to this process alone, which then stops the others in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="mizzen-demo-") as folder:
        demo = Demo(*settings(check=options.check, folder=folder), options.capture)
        started = time.monotonic()
        try:
            with demo.up() as mesh, demo.forward() as url:
                print(f"  first answer {first_answer(url, started):.1f} s after the start")
                traffic(demo, url)
                if not options.check:
                    print(guide(demo, url), flush=True)
                    mesh.wait()
        except KeyboardInterrupt:
            return 0
        except DemoError as error:
            print(f"demo: {error}", file=sys.stderr)
            return 1
    print("The demo works." if options.check else "The mesh has stopped.")
    return 0


def first_answer(url: str, started: float) -> float:
    fetch(f"{url}/productpage")
    return time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())
