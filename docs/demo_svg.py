# ruff: noqa: INP001 - a script beside the picture that it makes
"""Makes docs/demo.svg, the picture of the demo's terminal: `.venv/bin/python docs/demo_svg.py`."""

import io
import os
import pty
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COMMAND = ("demo", "--for", "20s")
COLUMNS = "80"


def recorded(*command: str) -> str:
    """What `healthprobe` writes in a terminal."""
    written = bytearray()

    def read(descriptor: int) -> bytes:
        data = os.read(descriptor, 65536)
        written.extend(data)
        return data

    os.environ.update(COLUMNS=COLUMNS, TERM="xterm-256color")
    pty.spawn([sys.executable, "-m", "healthprobe", *command], read)
    return written.decode().replace("\r", "")


def main() -> None:
    console = Console(record=True, width=int(COLUMNS), file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "dim"), f"healthprobe {' '.join(COMMAND)}"))
    console.print(Text.from_ansi(recorded(*COMMAND)))
    picture = console.export_svg(title="healthprobe")
    # Whoever looks at the picture fetches no font for it.
    picture = re.sub(r"\s*@font-face \{.*?\}", "", picture, flags=re.DOTALL).replace("Fira Code", "ui-monospace")
    Path(__file__).with_name("demo.svg").write_text(picture)


if __name__ == "__main__":
    main()
