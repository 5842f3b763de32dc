"""Contract suites: subclass one and define its fixtures; pytest then checks an adapter against its port."""

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{suite}"
        for suite in ("alerter", "dead_letters", "documents", "incidents", "log", "prober", "publisher", "records")
    )
)

from healthprobe.testing.contracts.alerter import AlerterContract  # noqa: E402 -- after register_assert_rewrite
from healthprobe.testing.contracts.documents import DocumentLogContract  # noqa: E402
from healthprobe.testing.contracts.log import HealthEventLogContract  # noqa: E402
from healthprobe.testing.contracts.prober import ProberContract  # noqa: E402
from healthprobe.testing.contracts.publisher import PublisherContract  # noqa: E402
from healthprobe.testing.contracts.records import RecordSettingsContract, RecordStoreContract  # noqa: E402

__all__ = [
    "AlerterContract",
    "DocumentLogContract",
    "HealthEventLogContract",
    "ProberContract",
    "PublisherContract",
    "RecordSettingsContract",
    "RecordStoreContract",
]
