"""The command line of the demo; run it from the root of the repository.

python -m cluster_demo [--for 40s]
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.servers.nats import NatsCluster

from cluster_demo.acts import scripts
from cluster_demo.instance import EndedUnexpectedly
from cluster_demo.output import Output
from cluster_demo.show import performed
from healthprobe._util.duration import Duration, parse_duration
from healthprobe.ports import HealthprobeError
from healthprobe.testing.fleet import FleetProcess

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    arguments = _parser().parse_args()
    for ending in _ENDINGS:
        signal.signal(ending, signal.default_int_handler)
    try:
        with (
            TemporaryDirectory(prefix="healthprobe-cluster-demo-") as folder,
            NatsCluster(sync="always") as cluster,
            FleetProcess(scripts()) as fleet,
        ):
            holds = asyncio.run(_performed(cluster, fleet, Path(folder), arguments.seconds))
    except KeyboardInterrupt:
        holds = True
    except (HealthprobeError, EndedUnexpectedly) as error:
        sys.exit(f"cluster-demo: {error}")
    sys.exit(0 if holds else 1)


async def _performed(cluster: NatsCluster, fleet: FleetProcess, folder: Path, seconds: float) -> bool:
    ended = asyncio.Event()
    for ending in _ENDINGS:
        asyncio.get_running_loop().add_signal_handler(ending, ended.set)
    return await performed(cluster, fleet, folder, Output(), seconds=seconds, ended=ended)


def _duration(text: str) -> Duration:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cluster_demo", description="A cluster in trouble, on loopback.")
    parser.add_argument(
        "--for",
        dest="seconds",
        metavar="DURATION",
        type=_duration,
        default=Duration(40),
        help="how long, as in 60s",
    )
    return parser


if __name__ == "__main__":
    main()
