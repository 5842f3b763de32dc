"""Endpoints: which can be probed, why others cannot, and that credentials never show."""

from __future__ import annotations

from base64 import b64decode
from ipaddress import IPv4Address
from string import ascii_letters, digits
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from healthprobe.domain.endpoint import Endpoint, InvalidEndpoint, masked, parse_endpoint

URL_OF = {
    "http://game-7": "http://game-7",
    "http://game-7:80": "http://game-7",
    "https://game-7:443": "https://game-7",
    "https://game-7:80": "https://game-7:80",
    "HTTP://Game-7:8080": "http://game-7:8080",
    "http://game_7.games.svc.cluster.local.:8080": "http://game_7.games.svc.cluster.local.:8080",
    "http://127.0.0.1:1": "http://127.0.0.1:1",
    "http://127.0.0.1:65535": "http://127.0.0.1:65535",
    "http://[::1]:8080": "http://[::1]:8080",
    "http://[0:0:0:0:0:0:0:1]": "http://[::1]",
    "http://[::ffff:127.0.0.1]:8080/engine": "http://[::ffff:7f00:1]:8080/engine",
    "http://münchen.example:8080": "http://xn--mnchen-3ya.example:8080",
    "http://faß.example": "http://xn--fa-hia.example",
    "http://Straße.DE.:8080": "http://xn--strae-oqa.de.:8080",
    "http://ẞ.example": "http://xn--zca.example",
    "http://xn--fa-hia.example": "http://xn--fa-hia.example",
    "http://βόλος.example": "http://xn--nxasmm1c.example",
    "http://☃.example": "http://xn--n3h.example",
    "http://ä_b.example": "http://xn--_b-uia.example",
    "http://日本語。example": "http://xn--wgv71a119e.example",
    "http://\uff11\uff12\uff17.0.0.1": "http://127.0.0.1",
    "http://例え.テスト": "http://xn--r8jz45g.xn--zckzah",
    "http://game-7/engine": "http://game-7/engine",
    "http://game-7/a/b;c=1,d/e%2Ff": "http://game-7/a/b;c=1,d/e%2Ff",
    "http://game-7/größe": "http://game-7/gr%C3%B6%C3%9Fe",
    'http://game-7/"<^>"': "http://game-7/%22%3C%5E%3E%22",
}

REFUSED = {
    "": "empty",
    "game-7:8080": "scheme",
    "//game-7:8080": "scheme",
    "://game-7:8080": "scheme",
    "http:game-7": "scheme",
    "1http://game-7": "scheme",
    "ftp://game-7": "scheme ftp",
    "tcp://engine:8080": "scheme tcp",
    "http://": "host",
    "http:///engine": "host",
    "http://:8080": "host",
    "http://user:secret@": "host",
    "http://a..b": "host",
    "http://game%2d7": "host",
    "http://game;7": "host",
    f"http://{'a' * 64}.example": "host",
    f"http://{'a.' * 127}example": "host",
    "http://127.0.0.256": "IPv4",
    "http://127.1": "IPv4",
    "http://2130706433": "IPv4",
    "http://ümlaut..example": "host",
    "http://a\u0628.example": "international",
    "http://-ä.example": "international",
    "http://ä\u200d.example": "international|control",
    f"http://{'ü' * 64}.example": "international",
    "http://evil.example\uff0fx": "host",
    "http://game-7:": "port",
    "http://game-7:0": "port",
    "http://game-7:65536": "port",
    "http://game-7:080000": "port",
    "http://game-7:-1": "port",
    "http://game-7:+80": "port",
    "http://game-7:80a": "port",
    "http://game-7:\uff18\uff10": "port",
    "http://::1": "bracket",
    "http://::1:8080": "bracket",
    "http://[::1": "bracket",
    "http://[::1]8080": "bracket",
    "http://[127.0.0.1]": "IPv6",
    "http://[::g]": "IPv6",
    "http://[fe80::1%25]": "IPv6",
    "http://[fe80::1%25eth0%0d%0aX-Forged:%20yes]": "zone",
    "http://[fe80::1%25%ff]": "zone",
    "http://game-7:1?x=1": "query",
    "http://game-7/engine?x=1": "query",
    "http://game-7:1#f": "fragment",
    "http://game-7/?x=1#f": "fragment",
    "http://game-7 ": "space",
    "http://game 7": "space",
    "http://game-7/a b": "space",
    "http://game-7/a\u00a0b": "space",
    "http://game-7/\u2003": "space",
    "http://game-7\\engine": "backslash",
    "http://game-7\n": "control",
    "http://game-7/\r\nX-Forged: yes": "control",
    "http://game-7/\x7f": "control",
    "http://game-7/\x85": "control",
    "http://game-7/\ud800": "control",
}

SHAPES = (
    "http://{}@game-7:8080/engine",
    "https://{}@[::1]:8443",
    "http://{}@game-7:0",
    "http://{}@game-7?x=1",
    "http://{}@game-7#f",
    "http://{}@game 7",
    "http://{}@",
    "http://{}@[::1",
    "http://{}@ümlaut..example",
    "ftp://{}@game-7",
    "://{}@game-7",
    "http://nobody@{}@game-7",
)

labels = st.text(ascii_letters + digits, min_size=1, max_size=12)
passwords = (
    st.text(min_size=8, max_size=40)
    .map(lambda text: quote(text, safe="!$&'()*+,;="))
    .filter(lambda text: len(text) > 7)
)
pieces = st.sampled_from(
    ["http", "https", "://", "//", "/", "@", ":", "[", "]", "::1", "%", "%25", "?", "#", "80", "ü", "a", ".", "。"]
)
urlish = st.lists(pieces | st.text(max_size=3), max_size=16).map("".join)


@pytest.mark.parametrize(("text", "url"), URL_OF.items())
def test_the_url_of_an_endpoint_is_in_canonical_form(text: str, url: str) -> None:
    assert parse_endpoint(text).url == url


@pytest.mark.parametrize("url", URL_OF.values())
def test_the_canonical_form_parses_to_the_same_endpoint(url: str) -> None:
    assert parse_endpoint(url).url == url


@pytest.mark.proves("endpoint-refused")
@pytest.mark.parametrize(("text", "reason"), REFUSED.items())
def test_an_endpoint_that_cannot_be_probed_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidEndpoint, match=reason):
        parse_endpoint(text)


@pytest.mark.parametrize("slashes", ["", "/", "//", "////"])
@pytest.mark.parametrize(
    ("prefix", "path"), [("", "/healthz"), ("/engine", "/engine/healthz"), ("/a//b", "/a//b/healthz")]
)
def test_trailing_slashes_are_ignored(prefix: str, path: str, slashes: str) -> None:
    assert parse_endpoint(f"http://game-7:8080{prefix}{slashes}").healthz_path == path


@pytest.mark.parametrize(
    ("text", "authority"),
    [
        ("http://game-7:80", "game-7"),
        ("http://game-7:443", "game-7:443"),
        ("https://game-7", "game-7"),
        ("http://[::1]", "[::1]"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("http://user:secret@game-7:8080", "game-7:8080"),
    ],
)
def test_the_host_header_has_brackets_around_ipv6_and_a_port_unless_it_is_the_default(
    text: str, authority: str
) -> None:
    assert parse_endpoint(text).authority == authority


def test_the_zone_of_an_ipv6_address_is_not_in_the_host_header() -> None:
    endpoint = parse_endpoint("http://[fe80::1%25eth0]:8080")

    assert endpoint.host == "fe80::1%eth0"
    assert endpoint.authority == "[fe80::1]:8080"


@pytest.mark.parametrize(
    ("credentials", "sent"),
    [
        ("user:secret", b"user:secret"),
        ("user", b"user:"),
        ("user:a:b", b"user:a:b"),
        ("user%40realm:p%3Aw%2Fd%25", b"user@realm:p:w/d%"),
        ("us@er:sec@ret", b"us@er:sec@ret"),
        ("größe:ü", "größe:ü".encode()),
        ("user:%ff%00", b"user:\xff\x00"),
    ],
)
def test_credentials_are_decoded_and_sent_as_basic_authorization(credentials: str, sent: bytes) -> None:
    scheme, _, value = (parse_endpoint(f"http://{credentials}@game-7").authorization or "").partition(" ")

    assert scheme == "Basic"
    assert b64decode(value) == sent


def test_an_endpoint_without_credentials_sends_none() -> None:
    assert parse_endpoint("http://game-7").authorization is None


@given(user=labels, password=passwords)
def test_credentials_never_show_in_a_printed_endpoint(user: str, password: str) -> None:
    endpoint = parse_endpoint(f"http://{user}X:{password}@[::1]:8080")

    for shown in (str(endpoint), repr(endpoint), endpoint.url, endpoint.authority, endpoint.healthz_path):
        assert password not in shown
        assert (endpoint.authorization or "Basic").partition(" ")[2] not in shown


@given(shape=st.sampled_from(SHAPES), user=labels, password=passwords)
def test_credentials_never_show_in_an_error(shape: str, user: str, password: str) -> None:
    text = shape.format(f"{user}:{password}")
    try:
        shown = parse_endpoint(text).url
    except InvalidEndpoint as invalid:
        shown = f"{invalid} {invalid!r} {invalid.__cause__!r}"

    assert password not in shown


@given(shape=st.sampled_from(SHAPES), user=labels, password=passwords)
def test_masked_hides_the_credentials_of_any_endpoint_and_nothing_else(shape: str, user: str, password: str) -> None:
    text = shape.format(f"{user}:{password}")

    shown = masked(text)

    assert password not in shown
    assert shown.partition("***@")[2] == text.rpartition("@")[2]
    assert shown.partition("***@")[0] == shape.partition("{")[0].removesuffix("nobody@")
    assert masked(shown) == shown


@pytest.mark.parametrize("text", ["http://game-7:8080/engine", "", "game-7", "http://[::1]"])
def test_masked_leaves_an_endpoint_without_credentials_as_it_is(text: str) -> None:
    assert masked(text) == text


@given(host=st.from_regex(r"[0-9.]{1,16}|([0-9]{1,3}\.){3}[0-9]{1,3}", fullmatch=True))
@example(host="0.0.0.0")
@example(host="255.255.255.255")
@example(host="127.0.0.01")
@example(host="127.0.0.1.")
def test_a_host_of_digits_is_an_ipv4_address_exactly_if_the_standard_library_accepts_it(host: str) -> None:
    try:
        address: str | None = str(IPv4Address(host))
    except ValueError:
        address = None
    try:
        parsed: str | None = parse_endpoint(f"http://{host}:8080").host
    except InvalidEndpoint:
        parsed = None
    assert parsed == address


@given(text=urlish | st.text() | st.text(st.characters(codec=None)))
@example("http://[fe80::1%25\r\n]")
@example("http://" + "ü" * 100_000)
@example("http://" + "a" * 1_000_000)
def test_any_text_is_an_endpoint_or_invalid(text: str) -> None:
    try:
        endpoint = parse_endpoint(text)
    except InvalidEndpoint:
        return
    assert_fit_for_a_request(endpoint)


def assert_fit_for_a_request(endpoint: Endpoint) -> None:
    assert endpoint.scheme in {"http", "https"}
    assert 1 <= endpoint.port <= 65535
    for sent in (endpoint.host, endpoint.authority, endpoint.healthz_path, endpoint.authorization or "x"):
        assert sent.isascii()
        assert sent.isprintable()
    for word in (endpoint.host, endpoint.authority, endpoint.healthz_path):
        assert word
        assert " " not in word
    assert endpoint.healthz_path.startswith("/")
