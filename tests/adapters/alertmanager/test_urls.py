"""URLs of Alertmanagers: each host an alerter of its own, and secrets by their place alone."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.adapters.alertmanager.managers import refused, scripted

from healthprobe.adapters.alertmanager import AlertmanagerAlerter
from healthprobe.adapters.alertmanager.address import parse_alertmanagers
from healthprobe.ports import ConfigurationError
from healthprobe.testing.contracts.samples import alert_of


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("s3cr3t\n")
    path.chmod(0o600)
    return path


def names(url: str) -> list[str]:
    return list(parse_alertmanagers(url).addresses)


def test_each_host_has_a_name_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert names("alertmanager+http://am-1:9093") == ["alertmanager+http://am-1:9093"]
    assert names("alertmanager+https://probe@am-1,am-2:9093,[::1]:9093/ops/?password=env:PW") == [
        "alertmanager+https://am-1/ops",
        "alertmanager+https://am-2:9093/ops",
        "alertmanager+https://[::1]:9093/ops",
    ]


def test_a_host_that_is_written_twice_is_one_alerter() -> None:
    assert names("alertmanager+http://am-1,am-1:80") == ["alertmanager+http://am-1"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("alertmanager://am", "names no Alertmanager: write alertmanager+https://"),
        ("alertmanager+http:am", "names no Alertmanager"),
        ("alertmanager+http://", "has an empty host"),
        ("alertmanager+http://am-1,,am-2", "has an empty host"),
        ("alertmanager+http://am:port", "its port is not a number"),
        ("alertmanager+http://am/#/alerts", "has a fragment"),
        ("alertmanager+http://am?timeout=5s", "has an unknown parameter: use password, token, ca"),
        ("alertmanager+http://am?token=", "has token without a value"),
        ("alertmanager+http://am?token=env:A&token=env:B", "has token twice"),
        ("alertmanager+http://am?password=env:A", "a password but no user: add USER@"),
        ("alertmanager+http://probe@am", "a user but no password: add ?password=env:NAME"),
        ("alertmanager+http://probe@am?password=env:A&token=env:B", "a password and a token: leave one out"),
        ("alertmanager+http://am?ca=/etc/ca.pem", "has a ca, which is for TLS: write alertmanager+https"),
        ("alertmanager+https://am?ca=/no/such.pem", "the CA file /no/such.pem cannot be read: no such file"),
    ],
)
def test_a_url_that_cannot_be_used_says_what_to_change(url: str, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=r"\A[^\n]+\Z") as raised:
        parse_alertmanagers(url)
    assert expected in str(raised.value)


@given(rest=st.text(alphabet=st.sampled_from("am,:@/?&=#%[]. \n\0é\udcff9") | st.characters(), max_size=60))
def test_any_other_text_is_refused_in_one_line(rest: str) -> None:
    refusals = []
    for url in (
        rest,
        f"alertmanager+http://{rest}",
        f"alertmanager+https://am?{rest}",
        f"alertmanager+http://am?{rest}",
    ):
        try:
            parse_alertmanagers(url).login.headers()
        except ConfigurationError as error:
            refusals.append(str(error))
    assert all(refusal.isprintable() for refusal in refusals)


@pytest.mark.proves("alert-secret-in-url")
@pytest.mark.parametrize(
    "url",
    [
        "alertmanager+http://probe:s3cr3t@am",
        "alertmanager+http://am?token=s3cr3t",
        "alertmanager+http://probe@am?password=s3cr3t",
        "alertmanager+http://am/?s3cr3t=1",
        "alertmanager://probe:s3cr3t@am",
    ],
)
def test_a_secret_in_the_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        AlertmanagerAlerter.of_each_host(url)
    assert "s3cr3t" not in str(raised.value)


def test_a_ca_file_that_is_no_pem_is_refused(token_file: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not a PEM with certificates") as raised:
        AlertmanagerAlerter.of_each_host(f"alertmanager+https://am?ca={token_file}")
    assert "s3cr3t" not in str(raised.value)
    trustme.CA().cert_pem.write_to_path(str(token_file))
    assert AlertmanagerAlerter.of_each_host(f"alertmanager+https://am?ca={token_file}")


async def test_a_token_of_a_file_is_sent_and_a_new_one_at_once(token_file: Path) -> None:
    async with scripted(rest=f"?token=file:{token_file}") as (server, alerter):
        await alerter.fire([alert_of("game-7")])
        token_file.write_text("the-next-one\n")  # noqa: ASYNC240  a small file
        await alerter.fire([alert_of("game-7")])
    assert [asked.headers["Authorization"] for asked in server.asked] == ["Bearer s3cr3t", "Bearer the-next-one"]


async def test_user_and_password_are_sent_as_basic_authorization(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AM_PASSWORD", "päss:word")
    async with scripted() as (server, _):
        [alerter] = AlertmanagerAlerter.of_each_host(
            f"alertmanager+http://probe@127.0.0.1:{server.port}?password=env:AM_PASSWORD"
        ).values()
        await alerter.fire([alert_of("game-7")])
        await alerter.aclose()
    assert server.asked[0].headers["Authorization"] == f"Basic {b64encode('probe:päss:word'.encode()).decode()}"


async def test_a_secret_that_has_gone_is_an_error_that_is_retried(token_file: Path) -> None:
    async with scripted(rest=f"?token=file:{token_file}") as (server, alerter):
        token_file.unlink()  # noqa: ASYNC240
        error = await refused(alerter)
        assert (error.permanent, error.delivered, error.code) == (False, 0, "secret")
        assert str(token_file) in str(error)
        assert not server.asked


def test_a_secret_that_is_missing_at_the_start_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="the variable NO_SUCH_NAME is not set"):
        AlertmanagerAlerter.of_each_host("alertmanager+http://am?token=env:NO_SUCH_NAME")


@pytest.mark.proves("alert-secret-file")
def test_a_secret_file_with_wide_permissions_is_warned_of_once(token_file: Path) -> None:
    url = f"alertmanager+http://am-1,am-2,am-3?token=file:{token_file}"
    with capture_logs() as logs:
        AlertmanagerAlerter.of_each_host(url)
        assert not logs
        token_file.chmod(0o644)
        AlertmanagerAlerter.of_each_host(url)
    [line] = logs
    assert line["log_level"] == "warning"
    assert f"the secret file {token_file} is open to others (mode 0644): chmod 600" in line["event"]
