"""The table of detection times in docs/verdict.md is computed. HEALTHPROBE_WRITE_DOCS=1 rewrites it."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.detection_times import Detection

PAGE = Path(__file__).parents[2] / "docs" / "verdict.md"
BEGIN, END = "<!-- detection: begin -->\n", "<!-- detection: end -->"
COLUMNS = (
    *("interval", "failures", "confirm", "refused: worst", "mean", "hangs: worst", "mean"),
    *("false alarms a day, p = 0.1%", "p = 1%", "p = 5%", "harmless outage"),
)
WAYS = [
    (interval, failures, confirm)
    for interval, failures in ((5.0, 3), (1.0, 3), (10.0, 2), (30.0, 3))
    for confirm in (None, 0.25)
]


def table() -> str:
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        "| --- " * len(COLUMNS) + "|",
    ]
    for interval, failures, confirm in WAYS:
        refused, hangs = (Detection(interval, failures, confirm, silence) for silence in (0.0, min(2.0, interval / 2)))
        times = (refused.worst, refused.mean, hangs.worst, hangs.mean)
        cells = [
            f"{interval:g} s",
            f"{failures}",
            "at the next ticks" if confirm is None else f"{confirm * 1000:g} ms",
            *(f"{time:.2f} s" for time in times),
            *(f"{refused.false_alarms(loss):.1e}" for loss in (0.001, 0.01, 0.05)),
            f"{refused.longest_harmless_outage:g} s",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def test_the_table_of_detection_times_is_up_to_date() -> None:
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    shown, end, after = rest.partition(END)
    if os.environ.get("HEALTHPROBE_WRITE_DOCS"):
        PAGE.write_text(f"{before}{BEGIN}{table()}{END}{after}")
        return
    assert end
    assert shown == table()
