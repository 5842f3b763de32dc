"""The agenda of a tick: each game is taken once, when it is due, however its list changes in the middle."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.policy import Thresholds
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.target import parse_target
from healthprobe.worker.target_set import WatchedGame
from healthprobe.worker.tick import DueGames

BEGAN = 128.0
A_GAME = 1 / 8
"""Seconds from one game to the next: like all that is added here, binary fractions have no rounding errors."""


def watched(game_id: str, phase: float) -> WatchedGame:
    record = RuntimeRecord(game_id, "c", "http://h")
    return WatchedGame(record, parse_target(record, 2.0), phase, 0, Thresholds(3))


GAMES = [watched(f"g{number}", number * A_GAME) for number in range(1, 9)]


def agenda_of(games: Sequence[WatchedGame]) -> DueGames:
    return DueGames(games, phases_of(games), BEGAN)


def phases_of(games: Sequence[WatchedGame]) -> list[float]:
    return [game.phase for game in games]


def all_due(agenda: DueGames, at: float) -> list[WatchedGame]:
    """What is taken `at` so many seconds after the begin, in order."""
    taken = []
    while (game := agenda.take(BEGAN + at)) is not None:
        taken.append(game)
    return taken


def test_a_game_is_taken_once_and_not_before_it_is_due() -> None:
    agenda = agenda_of(GAMES)
    assert all_due(agenda, 3 * A_GAME) == GAMES[:3]
    assert all_due(agenda, 3 * A_GAME) == []
    assert all_due(agenda, 9.0) == GAMES[3:]
    assert agenda.is_done


def test_those_that_come_late_are_taken_before_the_others_and_once() -> None:
    agenda = agenda_of(GAMES[::2])
    all_due(agenda, 5.5 * A_GAME)
    agenda.replace(GAMES, phases_of(GAMES), late=GAMES[1::2])
    assert not agenda.is_done
    assert all_due(agenda, 6.5 * A_GAME) == [GAMES[1], GAMES[3], GAMES[5]]
    assert all_due(agenda, 9.0) == [GAMES[6], GAMES[7]]


def test_those_that_come_without_being_late_wait_for_the_next_tick() -> None:
    agenda = agenda_of(GAMES[::2])
    all_due(agenda, 5.5 * A_GAME)
    agenda.replace(GAMES, phases_of(GAMES), late=[GAMES[3]])
    assert all_due(agenda, 9.0) == [GAMES[3], *GAMES[5:]]


def test_one_that_was_late_and_has_left_before_its_turn_is_not_taken() -> None:
    agenda = agenda_of(GAMES[4:5])
    all_due(agenda, 5.5 * A_GAME)
    agenda.replace(GAMES, phases_of(GAMES), late=GAMES[:4])
    agenda.replace(GAMES[1:], phases_of(GAMES[1:]))
    assert all_due(agenda, 5.5 * A_GAME) == GAMES[1:4]


def test_one_that_is_late_and_was_asked_just_now_is_passed_over() -> None:
    asked = watched("asked", A_GAME)
    asked.not_before = BEGAN + 1.0
    agenda = agenda_of(GAMES[4:5])
    all_due(agenda, 5.5 * A_GAME)
    agenda.replace([asked, GAMES[4]], [A_GAME, 5 * A_GAME], late=[asked])
    assert all_due(agenda, 5.5 * A_GAME) == []
    assert agenda.is_done


@given(
    st.lists(st.sets(st.sampled_from(range(len(GAMES)))), min_size=1, max_size=5),
    st.lists(st.integers(0, 20).map(lambda halves: halves / 2 * A_GAME), min_size=5, max_size=5),
)
def test_however_the_games_change_the_number_waiting_and_the_next_due_time_are_right(
    lists: list[set[int]], moments: list[float]
) -> None:
    agenda, taken, there = agenda_of([]), [], set[int]()
    for listed, at in zip(lists, sorted(moments), strict=False):
        games = [GAMES[number] for number in sorted(listed)]
        late = [GAMES[number] for number in sorted(listed - there) if GAMES[number] not in taken]
        agenda.replace(games, phases_of(games), late)
        there = listed
        waiting = agenda.count_due(BEGAN + at)
        if not agenda.ends_with(waiting):
            next_phase = min(game.phase for game in games if game.phase > at)
            assert agenda.until_next(BEGAN + at, beyond=waiting) == next_phase - at
        due = all_due(agenda, at)
        assert len(due) == waiting
        assert set(due) <= set(games)
        taken += due
        assert all(game in taken for game in games if game.phase <= at), "no game that is due waits"
    assert len(taken) == len(set(taken))
