"""The pages: docs/benchmarks.md and docs/scale.md, whose sections are each written by the command that they show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

PAGE = Path("docs/benchmarks.md")

_OPENING = """\
# What a probe costs

Measured, not promised: each section below was written by the command that it shows, with `--write`. Figures of one
section come from one run on one machine and are to be compared with each other only; figures of another machine, or of
another day, are another section.
"""

SECTIONS = ("costs", "caution", "alerts", "detection", "lateness", "mass-failure", "listing", "seeing")

SCALE = Path("docs/scale.md")
"""Where tables stand among the prose that draws conclusions from them."""

SECTIONS_OF_SCALE = ("units", "forecast", "simulation", "cluster")


def page_of(section: str) -> Path:
    """Where a section, of SECTIONS or SECTIONS_OF_SCALE, is written."""
    return SCALE if section in SECTIONS_OF_SCALE else PAGE


def write_table(name: str, text: str, page: Path = SCALE) -> None:
    """Put `text` in place of the section `name`, one of SECTIONS_OF_SCALE; all that stands around it stays as it is.

    Raises ValueError where the page has no place for it.
    """
    begin, end = _marks(name)
    before, found, rest = page.read_text().partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"{page} has no place for {name}: write {begin} and {end} there")
    page.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}")


def write_section(
    name: str, text: str, page: Path = PAGE, *, opening: str = _OPENING, sections: Sequence[str] = SECTIONS
) -> None:
    """Put `text` in place of the section `name`, one of `sections`; the others stay as they are."""
    present = {section: _section_of(page, section) for section in sections}
    present[name] = text.strip()
    parts = [opening, *(_marked(section, present[section]) for section in sections if present[section])]
    page.parent.mkdir(exist_ok=True)
    page.write_text("\n".join(parts))


def preamble(command: str, facts: dict[str, str]) -> str:
    """Returns the lines of a section that say where its figures come from."""
    lines = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    return f"    {command}\n\n{lines}"


def _section_of(page: Path, name: str) -> str:
    if not page.exists():
        return ""
    begin, end = _marks(name)
    _, _, after = page.read_text().partition(begin)
    return after.partition(end)[0].strip()


def _marked(name: str, text: str) -> str:
    begin, end = _marks(name)
    return f"{begin}\n\n{text}\n\n{end}\n"


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
