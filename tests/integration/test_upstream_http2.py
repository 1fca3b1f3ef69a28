"""The upstream pool over HTTP/2, with TLS: without it libcurl 7.88.1 cannot use a connection again ("prior knowledge"
ends in an error of the framing layer, in its own command-line tool as well)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import upstream_tool
from upstream_tool import Run, reasons

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "upstream"))
from certificates import Certificates  # noqa: E402
from http2_server import Http2Server  # noqa: E402


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def server(certificates: Certificates) -> Iterator[Http2Server]:
    with Http2Server(certificates.context("good")) as running:
        yield running


def run(server: Http2Server, certificates: Certificates, *orders: dict, **options: object) -> Run:
    return upstream_tool.run(server.url, *orders, http="2", ca_file=certificates.authority, **options)


def test_calls_share_connections_up_to_the_cap_of_streams(server: Http2Server, certificates: Certificates) -> None:
    order = {"behaviour": "answer", "pause_ms": 20}
    done = run(server, certificates, order, streams=4, calls=400, concurrency=40, threads=1)
    assert reasons(done) == [""] * 400
    assert len(server.requests) == 400
    assert 1 < server.widest <= 4


def test_request_has_its_headers(server: Http2Server, certificates: Certificates) -> None:
    run(server, certificates, {})
    headers = server.requests[0][1]
    assert (headers[":method"], headers[":path"]) == ("POST", "/api/v1/chat/completions")
    assert headers["authorization"].startswith("Bearer ")


@pytest.mark.parametrize("behaviour", ["reset", "goaway"])
def test_stream_that_breaks_is_a_broken_stream(server: Http2Server, certificates: Certificates, behaviour: str) -> None:
    result = run(server, certificates, {"behaviour": behaviour}).results[0]
    assert (result["reason"], result["requests_sent"]) == ("stream_broken", 1)


def test_refused_stream_is_sent_again_once_and_counted(server: Http2Server, certificates: Certificates) -> None:
    result = run(server, certificates, {"behaviour": "refused"}).results[0]
    assert result["requests_sent"] == len(server.requests)
    assert (result["reason"], result["requests_sent"]) in {("", 2), ("stream_broken", 1)}


def test_one_broken_stream_leaves_the_others_alone(server: Http2Server, certificates: Certificates) -> None:
    orders = [{"behaviour": "answer", "pause_ms": 50}] * 3 + [{"behaviour": "reset"}]
    done = run(server, certificates, *orders, streams=8, calls=80, concurrency=16, threads=1)
    assert [reason for i, reason in enumerate(reasons(done)) if i % 4 != 3] == [""] * 60
    assert {reason for i, reason in enumerate(reasons(done)) if i % 4 == 3} == {"stream_broken"}


def test_connection_that_goes_silent_fails_its_calls_and_no_others(
    server: Http2Server, certificates: Certificates
) -> None:
    orders = [{}, {"behaviour": "mute"}, {}, {}, {}]
    done = run(server, certificates, *orders, threads=1, first_ms=800)
    assert reasons(done) == ["", "timeout", "", "", ""]
    assert server.connections == 2


def test_slow_call_beside_others_that_are_heard_leaves_the_connection_alone(
    server: Http2Server, certificates: Certificates
) -> None:
    orders = [{"pause_ms": 5000}, *([{"pause_ms": 100}] * 29)]
    done = run(server, certificates, *orders, threads=1, concurrency=2, first_ms=1000)
    assert reasons(done) == ["timeout", *([""] * 29)]
    # Two calls at once found no connection; the later ones share one of the two, which serves to the end.
    assert len({connection for connection, _ in server.requests[2:]}) == 1
    assert server.connections == 2
