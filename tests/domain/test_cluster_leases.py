"""How long a lease is valid by the holder's clock, and which outcomes count."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from healthprobe.domain.cluster import Lease

times = st.integers(0, 1000).map(float)
lengths = st.integers(1, 100).map(float)


class TestALease:
    @given(times, lengths)
    def test_is_valid_from_its_renewal_to_its_end(self, renewed: float, lasts: float) -> None:
        lease = Lease(acquired_at=0.0, renewed_at=renewed, lasts=lasts)
        assert lease.ends_at == renewed + lasts
        assert lease.is_valid(now=lease.ends_at - 0.001)
        assert not lease.is_valid(now=lease.ends_at)

    @given(times, times, lengths, times, times)
    def test_covers_an_outcome_only_if_it_was_held_all_the_time(
        self, acquired: float, renewed: float, lasts: float, started: float, now: float
    ) -> None:
        lease = Lease(acquired, renewed, lasts)
        assert lease.covers(started, now) == (acquired <= started and now < renewed + lasts)

    @given(times, times, lengths, times)
    def test_keeps_its_start_when_renewed(self, acquired: float, renewed: float, lasts: float, sent: float) -> None:
        lease = Lease(acquired, renewed, lasts).renewed(sent)
        assert (lease.acquired_at, lease.lasts) == (acquired, lasts)

    @given(times, lengths, st.lists(times))
    def test_ends_by_the_renewal_sent_last_in_any_order_of_confirmation(
        self, acquired: float, lasts: float, sent: list[float]
    ) -> None:
        lease = Lease(acquired, acquired, lasts)
        for sent_at in sent:
            lease = lease.renewed(sent_at)
        assert lease.ends_at == max([acquired, *sent]) + lasts


@dataclass
class Lessor:
    """A server that counts from the arrival of a renewal, on its own clock, and then gives the shard away."""

    lasts: float
    renewed_at: float
    refused: list[float] = field(default_factory=list)

    def takes_renewal(self, at: float) -> bool:
        if at >= self.renewed_at + self.lasts:
            self.refused.append(at)
            return False
        self.renewed_at = at
        return True

    @property
    def gives_away_at(self) -> float:
        return self.renewed_at + self.lasts


@given(lengths, st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50), st.booleans()), max_size=20))
def test_the_holder_lets_go_before_the_server_gives_the_shard_away(
    lasts: float, renewals: list[tuple[float, float, bool]]
) -> None:
    now = 0.0
    lease, lessor = Lease(acquired_at=now, renewed_at=now, lasts=lasts), Lessor(lasts, renewed_at=now)
    for pause, way, answered in renewals:
        sent = now + pause
        if not lease.is_valid(sent):
            break
        now = sent + way
        taken = lessor.takes_renewal(now)
        if taken and answered and lease.is_valid(now):
            lease = lease.renewed(sent)
        assert lease.ends_at <= lessor.gives_away_at
