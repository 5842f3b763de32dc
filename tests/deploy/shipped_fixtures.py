"""The shipped cluster for the modules of this room, which take it by an assignment; each has one of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.deploy.shipped import ShippedNats


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShippedNats]:
    with ShippedNats(tmp_path_factory.mktemp("nats")) as nats:
        nats.wait_until_healthy()
        yield nats
