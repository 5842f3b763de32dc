"""A reader: all that a browser with the page open, and a Prometheus ask of a run; without drawing it.

python -m benchmarks.reader http://127.0.0.1:PORT/
Reads until its standard input ends, then prints what it has read as a line of JSON.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from urllib.request import urlopen

_SCRAPE_EVERY = 5.0
_AGAIN_AFTER = 0.2

_bytes: Counter[str] = Counter()
_first_cells: list[float] = []


def main() -> None:
    address = sys.argv[1]
    for follow in (_follow_cells, _follow_events, _scrape):
        threading.Thread(target=_for_ever, args=(follow, address), daemon=True).start()
    for line in sys.stdin:
        if line.strip() == "report":
            print(json.dumps({"bytes": dict(_bytes), "cells_s": _first_cells}), flush=True)


def _for_ever(follow: Callable[[str], None], address: str) -> None:
    while True:
        try:
            follow(address)
        except OSError:
            time.sleep(_AGAIN_AFTER)


def _follow_cells(address: str) -> None:
    began = time.monotonic()
    with urlopen(f"{address}api/cells", timeout=30) as answer:
        packed = answer.read()
    _first_cells.append(time.monotonic() - began)
    _bytes["cells"] = len(packed)
    version = json.loads(gzip.decompress(packed))["version"]
    _count(f"{address}api/cells/stream?after={version}", "stream")


def _follow_events(address: str) -> None:
    _count(f"{address}api/events/stream", "stream")


def _count(url: str, name: str) -> None:
    with urlopen(url, timeout=60) as stream:
        for line in stream:
            _bytes[name] += len(line)


def _scrape(address: str) -> None:
    while True:
        with urlopen(f"{address}metrics", timeout=10) as answer:
            _bytes["metrics"] = len(answer.read())
        time.sleep(_SCRAPE_EVERY)


if __name__ == "__main__":
    main()
