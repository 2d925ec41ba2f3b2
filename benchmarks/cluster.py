"""Ray on two local nodes: the same report as one process', also when a node is killed.

    python -m benchmarks.cluster

starts two Ray nodes on this machine, measures `embedded:uce` under a protocol (`smoke` by default)
with `--spqr-executor ray`, then once more on an empty store while the second node is killed as soon
as something was made, and compares both reports with that of one process. Needs
`pip install -e '.[ray]'`. Exit code 1 when they differ in anything but what the run cost.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks import suite
from spqr_tests.errors import EvidenceError
from spqr_tests.reports.report import Report

_TARGET = "embedded:uce"
_CPUS = 1
"""Of each node: two nodes are two processes that work."""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--protocol", default="smoke", help="a packaged protocol (default: smoke)")
    asked = parser.parse_args()
    differ = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone = _measured(asked.protocol, folder / "alone", workers=0)
        for how in ("two nodes", "a node is killed"):
            found = _on_nodes(asked.protocol, folder / how, killed=how != "two nodes")
            same = _numbers(found) == _numbers(alone)
            _say(f"{how}: {'equal' if same else 'DIFFERENT'}, {found.cost.seconds:.0f} s")
            differ += [] if same else [how]
    sys.exit(f"Other reports than one process': {', '.join(differ)}." if differ else 0)


def _on_nodes(protocol: str, folder: Path, *, killed: bool) -> Report:
    from ray.cluster_utils import Cluster

    cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": _CPUS})
    try:
        second = cluster.add_node(num_cpus=_CPUS)
        cluster.wait_for_nodes()
        os.environ["RAY_ADDRESS"] = cluster.address
        if killed:
            killer = threading.Thread(target=_kill, args=(cluster, second, folder / "store"))
            killer.start()
        return _measured(protocol, folder, "--spqr-executor=ray", workers=0)
    finally:
        os.environ.pop("RAY_ADDRESS", None)
        cluster.shutdown()


def _kill(cluster: Any, node: Any, store: Path) -> None:
    """Remove a node as soon as images of a variant were made, which takes both at work."""
    while not list(store.glob("v*/finetunes/*/*")):
        time.sleep(0.2)
    cluster.remove_node(node, allow_graceful=False)
    _say("killed the second node")


def _measured(protocol: str, folder: Path, *options: str, workers: int) -> Report:
    try:
        return suite.measure(
            _TARGET, protocol, folder / "store", folder / "report", *options, workers=workers
        )
    except EvidenceError as error:
        sys.exit(str(error))


def _numbers(report: Report) -> dict[str, Any]:
    return report.model_dump(exclude={"cost"})


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
