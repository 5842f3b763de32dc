"""Any history of engines, outages, lost acknowledgements and restarts: the log stays true, and catches up at last."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from healthprobe.domain.event import ProbeRecoveredDetails
from healthprobe.domain.outcome import HEALTHY, Inconclusive
from healthprobe.domain.target import ProbeTarget
from healthprobe.testing.clock import VirtualTimeLoop
from healthprobe.testing.memory import InMemoryPublisher
from healthprobe.testing.prober import UNAVAILABLE, Answer
from healthprobe.testing.stage import Stage, game
from healthprobe.worker.relay import Relay
from healthprobe.worker.worker import Worker

THRESHOLD = 2
GAMES = ["a", "b", "c"]

engines = st.dictionaries(st.sampled_from(GAMES), st.sampled_from([UNAVAILABLE, HEALTHY, Inconclusive("none of ours")]))
SWITCHES = {
    "the log goes away": ("log", "unavailable", True),
    "the log comes back": ("log", "unavailable", False),
    "acknowledgements get lost": ("log", "lose_acknowledgement", True),
    "acknowledgements arrive again": ("log", "lose_acknowledgement", False),
    "the store goes away": ("records", "unavailable", True),
    "the store comes back": ("records", "unavailable", False),
    "telemetry breaks": ("telemetry", "broken", True),
}
changes = st.sampled_from(
    [
        *SWITCHES,
        "the publisher goes away",
        "the publisher comes back",
        "game a leaves",
        "game a comes back",
        "game b restarts",
        "the worker is killed",
    ]
)
Step = tuple[dict[str, Answer], str | None]
histories = st.lists(st.tuples(engines, st.none() | changes), max_size=30)


@dataclass
class Play:
    """One worker after the other over one stage, and every outcome that each game had, in order."""

    stage: Stage
    publisher: InMemoryPublisher
    answers: dict[str, Answer] = field(default_factory=lambda: defaultdict(lambda: HEALTHY))
    seen: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    containers: int = 0

    def __post_init__(self) -> None:
        for game_id in GAMES:
            self.stage.prober.script(game_id, self._answer)
        self.begin()

    def begin(self) -> None:
        self.relay = Relay(log=self.stage.log, publisher=self.publisher, name="bus", poll_interval=0.5)
        arguments = self.stage.arguments(failures_threshold=THRESHOLD, on_commit=self.relay.wake)
        self.tasks = [asyncio.ensure_future(Worker(**arguments).run()), asyncio.ensure_future(self.relay.run())]

    async def kill(self) -> None:
        """Nothing is offered any more: the log is out of reach in the moment of the end."""
        away, self.stage.log.unavailable = self.stage.log.unavailable, True
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.stage.log.unavailable = away

    async def happens(self, change: str | None) -> None:
        if change in SWITCHES:
            collaborator, switch, on = SWITCHES[change]
            setattr(getattr(self.stage, collaborator), switch, on)
        match change:
            case "the publisher goes away" | "the publisher comes back":
                self.publisher.unavailable = change.endswith("away")
            case "game a leaves":
                self.stage.records.remove("a")
            case "game a comes back":
                self.stage.records.put(game("a"))
            case "game b restarts":
                self.containers += 1
                self.stage.records.put(game("b", container=f"c{self.containers}"))
            case "the worker is killed":
                await self.kill()
                self.begin()

    def all_is_well_again(self) -> None:
        self.stage.log.unavailable = self.stage.log.lose_acknowledgement = False
        self.stage.records.unavailable = self.publisher.unavailable = False

    def _answer(self, target: ProbeTarget) -> Answer:
        answer = self.answers[target.game_id]
        self.seen[target.game_id].append(answer)
        return answer


async def played(history: Sequence[Step], finally_: Answer) -> Play:
    play = Play(Stage(**dict.fromkeys(GAMES, HEALTHY)), InMemoryPublisher())
    for answers, change in history:
        play.answers.update(answers)
        await play.happens(change)
        await asyncio.sleep(5.0)
    play.all_is_well_again()
    play.answers.update(dict.fromkeys(GAMES, finally_))
    await asyncio.sleep(60.0)
    await play.kill()
    return play


def play(history: Sequence[Step], finally_: Answer) -> Play:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(played(history, finally_))


@settings(max_examples=60, deadline=None)
@given(histories)
def test_each_games_events_alternate_without_a_gap_and_reach_the_publisher_in_order(history: list[Step]) -> None:
    result = play(history, HEALTHY)
    for game_id in GAMES:
        events = result.stage.log.events_of(game_id)
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert [event.event_type for event in events] == [
            ["probe_failed", "probe_recovered"][at % 2] for at in range(len(events))
        ]
    assert result.publisher.delivered == result.stage.log.events


@settings(max_examples=40, deadline=None)
@given(histories)
def test_when_all_is_well_again_every_incident_of_a_running_game_is_closed(history: list[Step]) -> None:
    stage = play(history, HEALTHY).stage
    running = {record.game_id for record in asyncio.run(stage.records.list_by_status("running"))}
    for game_id in running:
        events = stage.log.events_of(game_id)
        assert not events or isinstance(events[-1].details, ProbeRecoveredDetails)


@settings(max_examples=40, deadline=None)
@given(histories)
def test_when_all_engines_are_down_in_the_end_every_running_game_is_in_an_incident(history: list[Step]) -> None:
    stage = play(history, UNAVAILABLE).stage
    for record in asyncio.run(stage.records.list_by_status("running")):
        assert stage.log.events_of(record.game_id)[-1].event_type == "probe_failed"


@settings(max_examples=40, deadline=None)
@given(histories)
def test_no_game_fails_that_never_failed_twice_in_a_row(history: list[Step]) -> None:
    result = play(history, HEALTHY)
    for game_id in GAMES:
        reported = [outcome for outcome in result.seen[game_id] if not isinstance(outcome, Inconclusive)]
        twice = sum(pair == (UNAVAILABLE, UNAVAILABLE) for pair in pairwise(reported))
        failed = sum(event.event_type == "probe_failed" for event in result.stage.log.events_of(game_id))
        assert failed <= twice
