"""The settings of a run, validated before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from healthprobe._util.duration import Duration
from healthprobe.app.url_names import NOTIFY, alerter_name, notification_name, publisher_name, records_name
from healthprobe.domain.alarms.alert import AlertRoute
from healthprobe.domain.alarms.alerting import GroupRule
from healthprobe.domain.policy import REFERENCE, Policy
from healthprobe.domain.probe.probe_settings import PLAIN, ProbeSettings
from healthprobe.domain.schedule import AutoLanes
from healthprobe.domain.shard import Slice
from healthprobe.ports import ConfigurationError
from healthprobe.web.listen_address import ListenAddress

if TYPE_CHECKING:
    from healthprobe.worker.config import WorkerConfig

DEFAULT_DATABASE = "sqlite:healthprobe.db"
"""The embedded store and log: one file in the working directory."""

TOKEN = "HEALTHPROBE_TOKEN"  # noqa: S105 - the variable's name
"""The environment variable with the token that a reader of the API must send."""

DEFAULT_AT = "http://127.0.0.1:8600"
"""The address of the API that commands ask by default."""

WEBHOOK_SECRET = "HEALTHPROBE_WEBHOOK_SECRET"  # noqa: S105 - the variable's name
"""The environment variable with the secret that signs webhooks. A command line is visible to other users."""

DEFAULT_INTERVAL = Duration(5)
DEFAULT_TIMEOUT = Duration(2)
DEFAULT_FAILURES = 3
DEFAULT_LEASE = Duration(5)
DEFAULT_MAX_AGE = Duration(300)
DEFAULT_HEARTBEAT = Duration(60)
DEFAULT_ALERT_GROUP = "host"
DEFAULT_ALERT_WAIT = Duration(10)
NO_GROUP = "none"
"""The value of --alert-group with which each game has an alert of its own."""
_SHORTEST_LEASE = 1.0
_SHORTEST_HEARTBEAT = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of `run` and `demo`. Raises ConfigurationError for settings that contradict each other.

    `max_concurrency` None is automatic: as many probes in flight as a tick needs if every engine hangs. `retain` None
    keeps events for ever. `cluster` is the URL of a NATS cluster whose JetStream holds the log and the leases; `shard`
    is a fixed slice of the fleet instead. `records`, `log`, `publish`, `notify`, `canaries`, `otlp` and `heartbeat`
    are URLs; the last is often a secret. With `ended_events` a `probe_ended` is written after the incident of a game
    that is gone. `probe` is how games are probed whose records say nothing else. `alerts` are the routes to alerters,
    `alert_group` is the label by which alerts are grouped, or `none`. `page_url` is where people reach the page.
    `metric_label` is a label of the games by whose values they are counted in the metrics.
    """

    records: str = DEFAULT_DATABASE
    log: str = DEFAULT_DATABASE
    records_query: str | None = None
    publish: tuple[str, ...] = ("stdout:",)
    notify: tuple[str, ...] = ()
    alerts: tuple[AlertRoute, ...] = ()
    alert_group: str = DEFAULT_ALERT_GROUP
    alert_wait: Duration = DEFAULT_ALERT_WAIT
    page_url: str | None = None
    source: str | None = None
    webhook_secret: str | None = field(default=None, repr=False)
    retain: Duration | None = None
    ended_events: bool = False
    interval: Duration = DEFAULT_INTERVAL
    timeout: Duration = DEFAULT_TIMEOUT
    failures: int = DEFAULT_FAILURES
    policy: Policy = REFERENCE
    probe: ProbeSettings = PLAIN
    canaries: tuple[str, ...] = ()
    identity_header: str | None = None
    allow_networks: tuple[str, ...] = ()
    deny_networks: tuple[str, ...] = ()
    max_concurrency: int | None = None
    keep_connections: bool = True
    keep_alive_max_age: Duration = DEFAULT_MAX_AGE
    cluster: str | None = None
    lease: Duration | None = None
    shard: Slice | None = None
    listen: ListenAddress | None = None
    token: str | None = field(default=None, repr=False)
    otlp: str | None = None
    metric_label: str | None = None
    heartbeat: str | None = field(default=None, repr=False)
    heartbeat_every: Duration = DEFAULT_HEARTBEAT

    def __post_init__(self) -> None:
        if self.timeout >= self.interval:
            raise ConfigurationError(
                f"--timeout {self.timeout} is not shorter than --interval {self.interval}: "
                "a tick could not end before the next begins; shorten the timeout or lengthen the interval"
            )
        if self.failures < 1:
            raise ConfigurationError(f"--failures {self.failures} is below 1: write how many in a row, such as 3")
        confirm = self.policy.confirm
        if confirm is not None and confirm >= self.interval:
            raise ConfigurationError(
                f"--confirm {Duration(confirm)} is not shorter than --interval {self.interval}: "
                "the next tick would come first; write a shorter one, such as 250ms"
            )
        if self.max_concurrency is not None and self.max_concurrency < 1:
            raise ConfigurationError(f"--max-concurrency {self.max_concurrency} is below 1: write a number or auto")
        if self.listen is not None and not self.listen.is_loopback and not self.token:
            raise ConfigurationError(
                f"--listen {self.listen} can be reached from other machines: set {TOKEN} to a long random word, "
                "which readers must send, or listen on 127.0.0.1"
            )
        if self.heartbeat_every < _SHORTEST_HEARTBEAT:
            raise ConfigurationError(
                f"--heartbeat-every {self.heartbeat_every} is shorter than 1s: write one such as 1m"
            )
        if self.cluster is not None:
            self._check_cluster(self.cluster)
        elif self.lease is not None:
            raise ConfigurationError("--lease is for a cluster: leave it out, or add --cluster")

    def worker_config(self, max_concurrency: int | AutoLanes) -> WorkerConfig:
        """Returns the configuration of the worker."""
        from healthprobe.worker.config import WorkerConfig

        return WorkerConfig(
            interval=float(self.interval),
            probe_timeout=float(self.timeout),
            failures_threshold=self.failures,
            max_concurrency=max_concurrency,
            policy=self.policy,
            probe=self.probe,
        )

    @property
    def page(self) -> str | None:
        """The URL of the page for links: as it was given, or that at which it listens, where that is one address."""
        if self.page_url is not None or self.listen is None:
            return self.page_url
        has_url = self.listen.host not in {"", "::", "0.0.0.0"} and self.listen.port  # noqa: S104  compared, not bound
        return self.listen.url if has_url else None

    @property
    def routes(self) -> tuple[AlertRoute, ...]:
        """The routes to alerters, and to those who are notified: these take what no route with `match` does."""
        return (*self.alerts, *(AlertRoute(NOTIFY + url) for url in dict.fromkeys(self.notify)))

    @property
    def group_rule(self) -> GroupRule:
        """How alerts are grouped."""
        return GroupRule(None if self.alert_group == NO_GROUP else self.alert_group, timedelta(seconds=self.alert_wait))

    @property
    def rule(self) -> str:
        """The settings that all instances of a cluster must have in common, as options, without secrets.

        If they differ, a game may be in no instance's list, and its verdict depends on the instance that probes it.

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
            "config [probe]": None if self.probe == PLAIN else sha256(repr(self._probe_rule).encode()).hexdigest()[:8],
            "source": self.source,
            "ended-events": "on" if self.ended_events else None,
            "publish": ",".join(sorted(map(publisher_name, self.publish))),
            "notify": ",".join(sorted(map(notification_name, self.notify))) or None,
            "alert": ",".join(sorted({alerter_name(route.url) for route in self.alerts})) or None,
            "alert-group": self.alert_group if self.routes and self.alert_group != DEFAULT_ALERT_GROUP else None,
            "alert-wait": self.alert_wait if self.routes and self.alert_wait != DEFAULT_ALERT_WAIT else None,
        }
        return " ".join(f"--{name} {value}" for name, value in options.items() if value is not None)

    @property
    def _probe_rule(self) -> tuple[object, ...]:
        """The probe defaults with their headers, which the text of the settings does not have."""
        return self.probe, self.probe.headers

    def _check_cluster(self, cluster: str) -> None:
        if not cluster.startswith(("nats:", "tls:")):
            raise ConfigurationError(
                "--cluster names no NATS cluster: write one such as nats://USER:PASSWORD@HOST,HOST,HOST"
            )
        if self.log != cluster:
            raise ConfigurationError("--log: the log of a cluster is in its JetStream; leave out --log or --cluster")
        if self.shard is not None:
            raise ConfigurationError("--shard: a cluster shares its shards by itself; leave out --shard or --cluster")
        if self.lease is not None and self.lease < _SHORTEST_LEASE:
            raise ConfigurationError(f"--lease {self.lease} is shorter than 1s: a short network delay would lose it")
