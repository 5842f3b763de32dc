"""The shipped cluster as a fixture. A module takes it by an assignment, and has a cluster of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.deploy.shipped import ShippedNats


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShippedNats]:
    with ShippedNats(tmp_path_factory.mktemp("nats")) as nats:
        nats.wait_until_healthy()
        yield nats
