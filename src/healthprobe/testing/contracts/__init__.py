"""Contract suites: subclass one, give its fixtures, and pytest proves that an adapter keeps its port's promises."""

import pytest

pytest.register_assert_rewrite(
    *(f"{__name__}.{suite}" for suite in ("dead_letters", "log", "prober", "publisher", "records"))
)

from healthprobe.testing.contracts.log import HealthEventLogContract  # noqa: E402 -- after the rewriting is asked for
from healthprobe.testing.contracts.prober import ProberContract  # noqa: E402
from healthprobe.testing.contracts.publisher import PublisherContract  # noqa: E402
from healthprobe.testing.contracts.records import RecordSettingsContract, RecordStoreContract  # noqa: E402

__all__ = [
    "HealthEventLogContract",
    "ProberContract",
    "PublisherContract",
    "RecordSettingsContract",
    "RecordStoreContract",
]
