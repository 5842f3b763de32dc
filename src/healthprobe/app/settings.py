"""Settings: what a run was asked to do, validated once, before anything is opened."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from healthprobe._util.duration import Duration, parse_duration
from healthprobe.app.url_names import notification_name, publisher_name, records_name
from healthprobe.domain.policy import REFERENCE, FlapRule, Policy
from healthprobe.domain.schedule import AutoLanes
from healthprobe.domain.shard import Slice
from healthprobe.ports import ConfigurationError
from healthprobe.web.listen_address import ListenAddress
from healthprobe.worker.config import WorkerConfig

_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3})?)%")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_FEWEST_TO_FLAP = 3


def parse_count(text: str | int) -> int:
    """A number of times. Raises ValueError."""
    if isinstance(text, str) and not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{text!r} is not a whole number: write one such as 2")
    if int(text) < 1:
        raise ValueError(f"{text!r} is below 1: write how many in a row, such as 2")
    return int(text)


def parse_share(text: str | float) -> float:
    """A share of a fleet, as `50%`. Raises ValueError.

    >>> parse_share("50%")
    0.5
    """
    if isinstance(text, float):
        return text
    share = _SHARE.fullmatch(text)
    if share is None or not 0 < float(share[1]) < 100:
        raise ValueError(f"{text!r} is no share of a fleet: write one above 0% and below 100%, such as 50%")
    return float(share[1]) / 100


def parse_header_name(text: str) -> str:
    """The name of a header. Raises ValueError."""
    if not _HEADER_NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a header: write one such as X-Game-ID")
    return text


def parse_flap(text: str | FlapRule) -> FlapRule:
    """So many transitions in a time, as `6/1h`. Raises ValueError.

    >>> parse_flap("6/1h")
    FlapRule(transitions=6, within=3600.0)
    """
    if isinstance(text, FlapRule):
        return text
    transitions, slash, within = text.partition("/")
    if not slash or not (transitions.isascii() and transitions.isdecimal()):
        raise ValueError(f"{text!r} is no rule for flapping: write so many transitions in a time, such as 6/1h")
    if int(transitions) < _FEWEST_TO_FLAP:
        raise ValueError(f"{text!r}: two transitions are one incident; write {_FEWEST_TO_FLAP} or more, such as 6/1h")
    return FlapRule(int(transitions), float(parse_duration(within)))


DEFAULT_DATABASE = "sqlite:healthprobe.db"
"""The embedded store and log: one file in the working directory."""

TOKEN = "HEALTHPROBE_TOKEN"  # noqa: S105 - the variable's name
"""The environment variable of what a reader of the API must know."""

DEFAULT_AT = "http://127.0.0.1:8600"
"""Where a run is asked unless told otherwise."""

WEBHOOK_SECRET = "HEALTHPROBE_WEBHOOK_SECRET"  # noqa: S105 - the variable's name
"""The environment variable with the secret that webhooks are signed with: command lines are seen by everybody."""

DEFAULT_INTERVAL = Duration(5)
DEFAULT_TIMEOUT = Duration(2)
DEFAULT_FAILURES = 3
DEFAULT_LEASE = Duration(5)
_SHORTEST_LEASE = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of `run` and `demo`. Raises ConfigurationError where they cannot work together.

    `interval`, `timeout` and `retain` are in seconds. `max_concurrency` None means automatic: as many probes in flight
    as a tick needs when every engine hangs. `retain` None keeps events for ever. With `cluster`, the URL of a NATS
    cluster whose JetStream has the log, this run shares the fleet with others, each shard by a `lease` of so many
    seconds; with `shard` it watches a part of the fleet that never changes. With `listen` it can be seen over HTTP, by
    whoever knows `token` where there is one; `otlp` is where metrics and spans go. `policy` is what is asked of
    outcomes besides `failures`; `canaries` are the URLs of what always answers. Nothing is sent to addresses outside
    `allow_networks`, where there are any, or within `deny_networks`.
    """

    records: str = DEFAULT_DATABASE
    log: str = DEFAULT_DATABASE
    records_query: str | None = None
    publish: tuple[str, ...] = ("stdout:",)
    notify: tuple[str, ...] = ()
    webhook_secret: str | None = field(default=None, repr=False)
    retain: Duration | None = None
    interval: Duration = DEFAULT_INTERVAL
    timeout: Duration = DEFAULT_TIMEOUT
    failures: int = DEFAULT_FAILURES
    policy: Policy = REFERENCE
    canaries: tuple[str, ...] = ()
    identity_header: str | None = None
    allow_networks: tuple[str, ...] = ()
    deny_networks: tuple[str, ...] = ()
    max_concurrency: int | None = None
    keep_connections: bool = True
    cluster: str | None = None
    lease: Duration | None = None
    shard: Slice | None = None
    listen: ListenAddress | None = None
    token: str | None = field(default=None, repr=False)
    otlp: str | None = None

    def __post_init__(self) -> None:
        if self.timeout >= self.interval:
            raise ConfigurationError(
                f"--timeout {self.timeout} is not shorter than --interval {self.interval}: "
                "a tick could not end before the next begins; shorten the one or lengthen the other"
            )
        if self.failures < 1:
            raise ConfigurationError(f"--failures {self.failures} is below 1: say after how many an engine has failed")
        confirm = self.policy.confirm
        if confirm is not None and confirm >= self.interval:
            raise ConfigurationError(
                f"--confirm {Duration(confirm)} is not shorter than --interval {self.interval}: "
                "the next tick would come first; write one such as 250ms"
            )
        if self.max_concurrency is not None and self.max_concurrency < 1:
            raise ConfigurationError(f"--max-concurrency {self.max_concurrency} is below 1: write a number or auto")
        if self.listen is not None and not self.listen.is_loopback and not self.token:
            raise ConfigurationError(
                f"--listen {self.listen} can be reached by others: set {TOKEN} to a long random word, "
                "which readers must know, or listen on 127.0.0.1"
            )
        if self.cluster is not None:
            self._check_cluster(self.cluster)
        elif self.lease is not None:
            raise ConfigurationError("--lease: leases are what a cluster is shared by; leave it out, or add --cluster")

    def worker_config(self, max_concurrency: int | AutoLanes) -> WorkerConfig:
        """The rules of the worker, with this many probes in flight at most."""
        return WorkerConfig(
            interval=float(self.interval),
            probe_timeout=float(self.timeout),
            failures_threshold=self.failures,
            max_concurrency=max_concurrency,
            policy=self.policy,
        )

    @property
    def rule(self) -> str:
        """What it watches, by what it judges and whom it tells: the same for all instances of a cluster.

        It is written as options without secrets. Where instances differ, a game may be in nobody's list, a verdict
        depends on who watches, and its way on who delivers.

        >>> Settings().rule
        '--records sqlite:healthprobe.db --interval 5s --timeout 2s --failures 3 --publish stdout:'
        """
        policy, flap = self.policy, self.policy.flap
        options: dict[str, object] = {
            "records": records_name(self.records, self.records_query),
            "interval": self.interval,
            "timeout": self.timeout,
            "failures": self.failures,
            "successes": policy.successes if policy.successes != REFERENCE.successes else None,
            "confirm": None if policy.confirm is None else Duration(policy.confirm),
            "grace": Duration(policy.grace) if policy.grace else None,
            "flap": None if flap is None else f"{flap.transitions}/{Duration(flap.within)}",
            "hold": None if policy.hold is None else f"{100 * policy.hold:g}%",
            "identity-header": self.identity_header,
            "publish": ",".join(sorted(map(publisher_name, self.publish))),
            "notify": ",".join(sorted(map(notification_name, self.notify))) or None,
        }
        return " ".join(f"--{name} {value}" for name, value in options.items() if value is not None)

    def _check_cluster(self, cluster: str) -> None:
        if not cluster.startswith(("nats:", "tls:")):
            raise ConfigurationError(
                "--cluster names no NATS cluster: write one such as nats://USER:PASSWORD@HOST,HOST,HOST"
            )
        if self.log != cluster:
            raise ConfigurationError("--log: the log of a cluster is in its JetStream; leave --log out, or --cluster")
        if self.shard is not None:
            raise ConfigurationError("--shard: the instances of a cluster share out all shards; leave one of them out")
        if self.lease is not None and self.lease < _SHORTEST_LEASE:
            raise ConfigurationError(f"--lease {self.lease} is shorter than 1s: a hiccup of the network would cost it")
