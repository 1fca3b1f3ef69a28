"""The upstream pool over TLS: whom it trusts, and that connections and buffers behave as over plain HTTP."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

import pytest
from upstream_tool import reasons, run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "upstream"))
from certificates import BAD_NAMES, Certificates  # noqa: E402
from scripted_server import ScriptedServer  # noqa: E402


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def test_certificate_of_a_trusted_authority_is_accepted(certificates: Certificates) -> None:
    with ScriptedServer(tls=certificates.context("good")) as server:
        done = run(server.url, {}, {"behaviour": "plain"}, ca_file=certificates.authority, calls=20, threads=1)
        assert reasons(done) == [""] * 20
        assert server.connections == 1


@pytest.mark.parametrize("name", BAD_NAMES)
def test_certificate_that_is_not_good_is_refused_before_anything_is_sent(
    certificates: Certificates, name: str
) -> None:
    with ScriptedServer(tls=certificates.context(name)) as server:
        result = run(server.url, {}, ca_file=certificates.authority).results[0]
        assert (result["reason"], result["requests_sent"], result["maybe_sent"]) == ("tls", 0, False)
        assert server.requests == []


def test_authority_of_our_own_is_not_trusted_by_default(certificates: Certificates) -> None:
    with ScriptedServer(tls=certificates.context("good")) as server:
        assert reasons(run(server.url, {})) == ["tls"]
        assert server.requests == []


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_version_of_tls_is_refused(certificates: Certificates) -> None:
    context = certificates.context("good")
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with ScriptedServer(tls=context) as server:
        assert reasons(run(server.url, {}, ca_file=certificates.authority)) == ["tls"]


def test_handshake_that_hangs_ends_at_the_connect_clock() -> None:
    # A server that speaks no TLS waits for the end of a header, the client for the server's greeting.
    with ScriptedServer() as server:
        result = run(server.url.replace("http:", "https:"), {}, connect_ms=300).results[0]
        assert (result["reason"], result["requests_sent"], result["maybe_sent"]) == ("connect", 0, False)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_large_bodies_and_many_calls_get_through(certificates: Certificates, version: ssl.TLSVersion) -> None:
    context = certificates.context("good", minimum_version=version, maximum_version=version)
    with ScriptedServer(tls=context) as server:
        orders = [{"behaviour": "normal"}, {"behaviour": "normal", "separate": True}, {"behaviour": "plain"}]
        done = run(server.url, *orders, ca_file=certificates.authority, calls=90, concurrency=10, body_size=100_000)
        assert reasons(done) == [""] * 90
        assert server.connections <= 45


def test_failures_are_the_same_as_over_plain_http(certificates: Certificates) -> None:
    orders = [
        {"behaviour": "cut", "at": 500},
        {"behaviour": "cut", "at": 500, "reset": True},
        {"behaviour": "held"},
        {"behaviour": "trickle"},
        {"behaviour": "never_ends"},
        {"behaviour": "plain", "status": 429, "body": {}},
    ]
    with ScriptedServer(tls=certificates.context("good")) as server:
        done = run(server.url, *orders, ca_file=certificates.authority, first_ms=500)
        assert reasons(done) == ["stream_broken", "stream_broken", "timeout", "timeout", "", "rate_limited"]
