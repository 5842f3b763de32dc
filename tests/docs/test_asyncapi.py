"""Events look as docs/asyncapi.yaml says."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError

from healthprobe.domain.event import Details, HealthEvent, ProbeEndedDetails, ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.domain.labels import NO_LABELS

CONTRACT = yaml.safe_load((Path(__file__).parents[2] / "docs" / "asyncapi.yaml").read_text())
SEEN = datetime(2026, 11, 23, 17, 0, 0, 123456, tzinfo=UTC)


def validate(document: Any, message: str) -> None:
    """Raises ValidationError unless `document` matches the schema `message` of the contract."""
    schema = {"$ref": f"#/components/schemas/{message}", "components": CONTRACT["components"]}
    Draft202012Validator(schema).validate(document)


def test_every_channel_has_an_operation_and_every_reference_resolves() -> None:
    channels = {operation["channel"]["$ref"].rpartition("/")[2] for operation in CONTRACT["operations"].values()}
    assert channels == set(CONTRACT["channels"])
    for channel in CONTRACT["channels"].values():
        for message in channel["messages"].values():
            payload = resolved(message["$ref"])["payload"]
            Draft202012Validator.check_schema(resolved(payload["$ref"]))


def resolved(reference: str) -> Any:
    """Returns the part of the contract that `reference` points to."""
    place: Any = CONTRACT
    for step in reference.removeprefix("#/").split("/"):
        place = place[step]
    return place


def as_a_consumer_reads_it(details: Details, labels: Mapping[str, str] = NO_LABELS) -> Any:
    event = HealthEvent(3, "game-7", "c0ffee", SEEN, details, labels=labels)
    return msgspec.json.decode(msgspec.json.encode(event.as_document()))


def test_a_probe_failed_matches_the_contract() -> None:
    validate(as_a_consumer_reads_it(ProbeFailedDetails(3, 503, "unexpected status 503")), "probeFailed")


def test_a_probe_recovered_matches_the_contract() -> None:
    validate(as_a_consumer_reads_it(ProbeRecoveredDetails(5)), "probeRecovered")


def test_a_probe_ended_matches_the_contract() -> None:
    validate(as_a_consumer_reads_it(ProbeEndedDetails()), "probeEnded")


@pytest.mark.parametrize("field", CONTRACT["components"]["schemas"]["event"]["required"])
def test_an_event_without_one_of_its_fields_breaks_the_contract(field: str) -> None:
    document = as_a_consumer_reads_it(ProbeRecoveredDetails(5))
    del document[field]
    with pytest.raises(ValidationError):
        validate(document, "probeRecovered")


def test_an_event_has_the_fields_of_the_contract_in_their_order_and_no_others() -> None:
    properties = CONTRACT["components"]["schemas"]["event"]["properties"]
    labelled = as_a_consumer_reads_it(ProbeRecoveredDetails(5), {"team": "eu"})
    assert list(labelled) == list(properties)
    validate(labelled, "probeRecovered")


def test_an_event_without_labels_looks_as_it_did_before_there_were_any() -> None:
    required = CONTRACT["components"]["schemas"]["event"]["required"]
    assert list(as_a_consumer_reads_it(ProbeRecoveredDetails(5))) == required


@pytest.mark.parametrize("labels", [{}, {"te-am": "eu"}, {"team": ""}, {"team": 7}])
def test_labels_that_no_record_can_have_break_the_contract(labels: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        validate({**as_a_consumer_reads_it(ProbeRecoveredDetails(5)), "labels": labels}, "probeRecovered")
