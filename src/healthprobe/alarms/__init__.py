"""Alarms: what people are woken by. Follows the log, and gives each alerter the alerts that are open.

    the log ──▶ Incidents.refresh ──▶ domain.alerting.decide ──▶ documents "alert"      what is open, or just resolved
                    ▲                       ▲      │
        Fleet: host and labels       silences,     ▼
        of each listed game          gone games    one AlertRelay an alerter ──▶ Alerter.fire, Alerter.resolve
                                                   documents "alerter:NAME"             what it was sent

It is level-triggered: `decide` returns the alerts that should be open now, an AlertRelay makes up the difference to
what its alerter was sent. Both are kept with the log (DocumentLog), so that another instance, or the next run, goes on.
An AlertRelay that fails or hangs delays no other. It imports worker, ports, domain and _util.

Where other parts come in (all of them are arguments of `Alarms`, given in `app/alarm_stage.py`):

- `is_silenced(game_id, host, labels, now) -> bool`: a silence, that of `Silences` in `silences.py`. It holds back what
  was not sent yet; an alert that was sent stays until its games answer again. It is asked at every look, once a second,
  so an ended silence needs no call; `Alarms.wake()` looks at once.
- `is_gone(game_id) -> bool`: the game is in none of the last complete listings. Its alert is resolved because it "no
  longer runs". If the game is listed again and its incident is still open, the same alert fires again. A game that is
  not listed and not gone yet gets no new alert, and keeps the one it has.
- `observer`: the games of which nothing is known, that of `WorkerObserver` in `not_observed.py`. After ten intervals
  such a game has an alert "EngineNotObserved"; three or more of one prober have one together, whatever `rule` says. It
  lasts until its games are observed again, also over a restart. Alerts of this kind are decided by the same `decide` as
  others, from incidents that are no events (`DecidedAlert.is_not_observed`).
- `listing() -> Sequence[RuntimeRecord]`: the last complete listing, all shards; the same object while nothing changes.
  () before the first.
- `alerters`: each by its name, which is shown and names its documents. `Adapters.alerters(url)` in `app/urls.py` makes
  them: a line `scheme: maker` in ALERTERS there, whose maker returns alerters by name, one for each receiver that is to
  be tried again by itself. An entry point `healthprobe.alerters` is one alerter a URL.
- An alerter whose every `fire` is a message to people has `takes_updates = False` (ports.MessageAlerter): it is fired
  once an alert, not again when games join or leave the group.
- `routes`: `domain.alert.AlertRoute(url, match, severity)`. `Settings.alerts` is a tuple of them; --alert adds
  one without `match`.
"""
