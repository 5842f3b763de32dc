"""The public interface is what tests/api.txt says. After a change that is meant, write it anew:

.venv/bin/python tests/test_api.py > tests/api.txt
"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

import healthprobe

WRITTEN = Path(__file__).with_name("api.txt")
HEAVY = ("asyncio", "httptools", "structlog", "sqlalchemy", "uvloop", "msgspec")


def interface() -> Iterator[str]:
    """Yields a line for each public name, and for each public attribute of a class."""
    for name in sorted(healthprobe.__all__):
        if name == "__version__":
            continue
        value = getattr(healthprobe, name)
        if not inspect.isclass(value):
            yield f"{name} = {re.sub(r'healthprobe[a-z_.]+', '', str(value))}"
        elif issubclass(value, Enum):
            yield f"{name}: {', '.join(member.value for member in value)}"
        else:
            bases = [base.__name__ for base in value.__bases__ if base is not object]
            yield f"{name}{signature_of(value)}" + (f": {', '.join(bases)}" if bases else "")
            yield from attributes_of(name, value)


def attributes_of(name: str, value: type) -> Iterator[str]:
    for attribute in sorted({*vars(value), *(each for base in value.__mro__[1:-1] for each in methods_of(base))}):
        if attribute.startswith("_"):
            continue
        found = inspect.getattr_static(value, attribute)
        if isinstance(found, property):
            yield f"    {name}.{attribute}: {inspect.signature(found.fget).return_annotation}"  # type: ignore[arg-type]
        elif inspect.isfunction(found):
            kind = "async " if inspect.iscoroutinefunction(found) else ""
            yield f"    {kind}{name}.{attribute}{signature_of(found)}"


def methods_of(base: type) -> Iterator[str]:
    return (name for name, value in vars(base).items() if base.__module__.startswith("healthprobe") and callable(value))


def signature_of(value: Any) -> str:
    if getattr(value, "_is_protocol", False):
        return ""
    signature = inspect.signature(value)
    parameters = [
        parameter.replace(
            annotation=Plain(parameter.annotation) if isinstance(parameter.annotation, str) else parameter.annotation,
            default=Plain(parameter.default.__name__) if inspect.isfunction(parameter.default) else parameter.default,
        )
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    returned = signature.return_annotation
    returns = "" if returned in {inspect.Signature.empty, "None", None} else f" -> {returned}"
    return f"{signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)}{returns}"


class Plain(str):
    """Text whose representation is itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def test_the_public_interface_is_as_written() -> None:
    assert list(interface()) == WRITTEN.read_text().splitlines()


def test_every_public_name_can_be_imported_and_no_other() -> None:
    names: dict[str, object] = {}
    exec("from healthprobe import *", names)
    assert set(healthprobe.__all__) <= set(names)
    assert dir(healthprobe) == sorted(healthprobe.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Wrker'"):
        healthprobe.Wrker  # type: ignore[attr-defined]  # noqa: B018  a name that is not public


def test_an_import_of_the_package_imports_nothing_else() -> None:
    program = f"import sys, healthprobe; print([name for name in {HEAVY} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert printed == "[]\n"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in interface())
