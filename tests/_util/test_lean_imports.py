"""A library is imported without another that it would use."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEGIN = "import sys\nfrom contextlib import suppress\nfrom healthprobe._util.lean_imports import import_without\n"


def printed(program: str) -> str:
    """Returns what a program prints that has imported nothing but `import_without`."""
    command = [sys.executable, "-c", BEGIN + program]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_structlog_is_imported_without_rich() -> None:
    imported = printed("import_without('structlog', 'rich'); print('structlog' in sys.modules, 'rich' in sys.modules)")
    assert imported == "True False"


@pytest.mark.parametrize("library", ["structlog", "no_such_library"])
def test_rich_can_be_imported_afterwards(library: str) -> None:
    tried = f"with suppress(ImportError): import_without('{library}', 'rich')\n"
    assert printed(tried + "import rich; print(rich.__name__)") == "rich"


@pytest.mark.parametrize("first", ["rich", "structlog"])
def test_what_the_program_has_imported_already_stays_as_it_is(first: str) -> None:
    program = f"import {first}; before = sys.modules['rich']; import_without('structlog', 'rich'); import rich\n"
    assert printed(program + "print(rich is before)") == "True"
