"""Each probe gets its own answer in any conversation, over any number of connections."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.probing.peers import OK, Connection, Peer, response
from tests.probing.probes import target_at

from healthprobe.domain.outcome import HEALTHY, ProbeOutcome, judge_status
from healthprobe.probing.http import HTTPProber

UNASKED_PAUSE = 0.002


@dataclass(frozen=True)
class Turn:
    """How the engine answers one request: with what status and body, in how many pieces, and what it does then."""

    status: int
    chunked: bool = False
    pieces: int = 1
    then: str = "stay"

    @property
    def verdict(self) -> ProbeOutcome:
        return HEALTHY if self.status == 200 else judge_status(self.status)

    async def play(self, connection: Connection) -> bool:
        """Answers, and returns whether the connection stays open."""
        answer = response(self.status)
        if self.chunked:
            answer = response(self.status, "Transfer-Encoding: chunked", body=None) + b"2\r\nok\r\n0\r\n\r\n"
        if self.then == "answers twice":
            answer += OK
        size = -(-len(answer) // self.pieces)
        await connection.drip([answer[at : at + size] for at in range(0, len(answer), size)], pause=0)
        if self.then == "answers again":
            await asyncio.sleep(UNASKED_PAUSE)
            await connection.send(OK)
        elif self.then == "resets":
            connection.reset()
        return self.then in {"stay", "answers twice", "answers again"}


turns = st.builds(
    Turn,
    status=st.just(200) | st.integers(201, 299) | st.integers(400, 999),
    chunked=st.booleans(),
    pieces=st.integers(1, 5),
    then=st.sampled_from(["stay", "stay", "closes", "resets", "answers twice", "answers again"]),
)


@given(plan=st.lists(turns, min_size=1, max_size=8), keep_connections=st.booleans())
@example(plan=[Turn(200, then="answers twice"), Turn(503)], keep_connections=True)
@example(plan=[Turn(200, then="answers again"), Turn(503)], keep_connections=True)
@example(plan=[Turn(200, then="resets"), Turn(200, then="closes"), Turn(500), Turn(200)], keep_connections=True)
@settings(max_examples=60, deadline=None)
async def test_each_probe_gets_its_own_answer_after_any_conversation(
    *, plan: list[Turn], keep_connections: bool
) -> None:
    played = [asyncio.Event() for _ in plan]

    async def script(connection: Connection) -> None:
        goes_on = True
        while goes_on:
            await connection.request()
            number = len(engine.requests) - 1
            try:
                goes_on = await plan[number].play(connection)
            finally:
                played[number].set()

    async with Peer(script) as engine, HTTPProber(keep_connections=keep_connections) as prober:
        target = target_at(engine.url())
        for turn, ended in zip(plan, played, strict=True):
            assert await prober.probe(target) == turn.verdict
            if turn.then in {"answers twice", "answers again"}:  # as in the worker, it arrives between two probes
                await ended.wait()
                await asyncio.sleep(UNASKED_PAUSE)
        assert len(engine.requests) == len(plan)
