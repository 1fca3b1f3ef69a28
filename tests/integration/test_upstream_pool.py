"""The upstream pool against a server that misbehaves on purpose: tests/tools/upstream_tool on one side,
tests/upstream/scripted_server on the other. Clocks are set short where one has to run out, and long where nothing may.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import upstream_tool
from upstream_tool import Run, reasons, run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "upstream"))
from scripted_server import ScriptedServer, delta  # noqa: E402

ANSWERED = ""
KEY = "sk-or-v1-SECRET0123456789"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


def one(server: ScriptedServer, **order: object) -> dict:
    """The result of one call that is told to behave like this."""
    return run(server.url, order).results[0]


def connections_used(server: ScriptedServer) -> list[int]:
    return [request.connection for request in server.requests]


# What is sent


def test_request_has_method_path_and_headers_of_a_chat(server: ScriptedServer) -> None:
    order = {"behaviour": "normal"}
    run(server.url, order, app_title="My App", environment={"UPSTREAM_TOOL_KEY": KEY})
    request = server.requests[0]
    assert (request.method, request.path) == ("POST", "/api/v1/chat/completions")
    assert json.loads(request.body) == order
    expected = {
        "host": f"127.0.0.1:{server.port}",
        "authorization": f"Bearer {KEY}",
        "content-type": "application/json",
        "accept": "text/event-stream",
        "x-openrouter-title": "My App",
        "content-length": str(len(request.body)),
    }
    agent = request.headers.pop("user-agent")
    assert agent.startswith("chat-worker/")
    assert request.headers == expected


def test_key_is_in_no_output(server: ScriptedServer) -> None:
    orders = [{"behaviour": "normal"}, {"behaviour": "cut"}, {"behaviour": "plain", "status": 401, "body": {}}]
    done = run(server.url, *orders, environment={"UPSTREAM_TOOL_KEY": KEY})
    assert KEY not in done.stdout + done.stderr


@pytest.mark.parametrize("size", [0, 1000, 70_000, 3_000_000])
def test_body_of_any_size_arrives_whole_without_expect(server: ScriptedServer, size: int) -> None:
    done = run(server.url, {"behaviour": "normal"}, body_size=size, calls=2, threads=1)
    assert reasons(done) == [ANSWERED] * 2
    assert [len(request.body) >= size for request in server.requests] == [True, True]
    assert "expect" not in server.requests[0].headers
    assert connections_used(server) == [1, 1]


# Answers


@pytest.mark.parametrize(
    "order",
    [
        {"behaviour": "normal"},
        {"behaviour": "normal", "separate": True},
        {"behaviour": "plain"},
        {"behaviour": "drip"},
        {"behaviour": "until_close"},
        {"behaviour": "not_done"},
        {"behaviour": "interim"},
        {"behaviour": "trailers"},
        {"behaviour": "farewell"},
        {"behaviour": "slow"},
    ],
    ids=lambda order: "-".join(map(str, order.values())),
)
def test_good_response_in_any_shape_is_an_answer(server: ScriptedServer, order: dict) -> None:
    result = one(server, **order)
    assert result["reason"] == ANSWERED
    assert result["content_bytes"] > 0
    assert result["requests_sent"] == 1


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"behaviour": "cut", "at": 0}, "stream_broken"),
        ({"behaviour": "cut", "at": 20}, "stream_broken"),
        ({"behaviour": "cut", "at": 400}, "stream_broken"),
        ({"behaviour": "cut", "at": 0, "reset": True}, "stream_broken"),
        ({"behaviour": "cut", "at": 1500, "reset": True}, "stream_broken"),
        ({"behaviour": "short"}, "stream_broken"),
        ({"behaviour": "until_close", "ending": "nothing"}, "stream_broken"),
        ({"behaviour": "not_done", "finish": False}, "stream_broken"),
        ({"behaviour": "garbage"}, "stream_broken"),
        ({"behaviour": "large"}, "upstream_invalid"),
        ({"behaviour": "large", "line": True}, "upstream_invalid"),
        ({"behaviour": "large_headers"}, "upstream_invalid"),
        ({"behaviour": "large_headers", "lines": 1, "size": 1 << 20}, "upstream_invalid"),
        ({"behaviour": "error_event", "code": 502}, "upstream_error"),
        ({"behaviour": "error_event", "code": 429}, "rate_limited"),
        ({"behaviour": "plain", "body": {"error": {"code": 502, "message": "no"}}}, "upstream_error"),
        ({"behaviour": "plain", "body": "<html>sorry</html>"}, "upstream_invalid"),
        ({"behaviour": "plain", "body": "   "}, "upstream_invalid"),
        ({"behaviour": "plain", "status": 401, "body": {}}, "auth"),
        ({"behaviour": "plain", "status": 402, "body": {}}, "credits"),
        ({"behaviour": "plain", "status": 429, "body": {}}, "rate_limited"),
        ({"behaviour": "plain", "status": 500, "body": {}}, "upstream_error"),
        ({"behaviour": "plain", "status": 503, "body": {}}, "overloaded"),
        ({"behaviour": "plain", "status": 302, "body": {}}, "upstream_invalid"),
    ],
    ids=lambda part: "-".join(map(str, part.values())) if isinstance(part, dict) else part,
)
def test_bad_response_has_its_reason(server: ScriptedServer, order: dict, reason: str) -> None:
    result = one(server, **order)
    assert result["reason"] == reason
    assert result["requests_sent"] == 1
    assert result["maybe_sent"] is True
    assert len(server.requests) == 1


def test_retry_after_is_told(server: ScriptedServer) -> None:
    result = one(server, behaviour="plain", status=429, body={}, headers={"retry-after": "7"})
    assert result["retry_after_ms"] == 7000


def test_redirect_is_not_followed(server: ScriptedServer) -> None:
    with ScriptedServer() as other:
        headers = {"location": other.url + "/chat/completions"}
        result = one(server, behaviour="plain", status=302, headers=headers, body={})
        assert result["reason"] == "upstream_invalid"
        assert (other.connections, len(other.requests)) == (0, 0)


# Clocks


def test_silence_ends_at_the_first_content_clock(server: ScriptedServer) -> None:
    result = run(server.url, {"behaviour": "held"}, first_ms=200).results[0]
    assert (result["reason"], result["content_ms"], result["requests_sent"]) == ("timeout", -1, 1)


@pytest.mark.parametrize("piece", [" ", "\n", ": OPENROUTER PROCESSING\n\n", ": \n\n"])
def test_what_is_not_content_resets_no_clock(server: ScriptedServer, piece: str) -> None:
    result = run(server.url, {"behaviour": "trickle", "piece": piece}, first_ms=200).results[0]
    assert (result["reason"], result["content_ms"]) == ("timeout", -1)


@pytest.mark.parametrize("order", [{"behaviour": "stalled"}, {"behaviour": "trickle", "piece": ": \n\n", "deltas": 2}])
def test_content_that_has_begun_is_told_once_before_the_end(server: ScriptedServer, order: dict) -> None:
    told = [result["told"] for result in run(server.url, order, calls=20, concurrency=20, stall_ms=200, tells=True).results]
    assert told == [1] * 20


@pytest.mark.parametrize("order", [{"behaviour": "held"}, {"behaviour": "trickle"}, {"behaviour": "plain", "status": 401}])
def test_content_that_has_not_begun_is_not_told(server: ScriptedServer, order: dict) -> None:
    assert run(server.url, order, first_ms=200, tells=True).results[0]["told"] == 0


@pytest.mark.parametrize("order", [{"behaviour": "stalled"}, {"behaviour": "trickle", "piece": ": \n\n", "deltas": 2}])
def test_stream_that_stalls_after_content_ends_at_the_stall_clock(server: ScriptedServer, order: dict) -> None:
    result = run(server.url, order, stall_ms=200).results[0]
    assert result["reason"] == "timeout"
    assert result["content_ms"] >= 0


def test_content_puts_the_stall_clock_off_but_not_the_deadline(server: ScriptedServer) -> None:
    order = {"behaviour": "trickle", "piece": delta("word "), "pause_ms": 10}
    result = run(server.url, order, first_ms=5000, stall_ms=800, deadline_ms=1600).results[0]
    assert result["reason"] == "timeout"
    assert result["total_ms"] >= 1600


def test_deadline_in_the_past_sends_nothing(server: ScriptedServer) -> None:
    result = run(server.url, {}, deadline_ms=0).results[0]
    assert (result["reason"], result["requests_sent"], result["maybe_sent"]) == ("timeout", 0, False)
    assert server.connections == 0


# Connections


def test_calls_one_after_another_share_a_connection(server: ScriptedServer) -> None:
    done = run(server.url, {"behaviour": "normal"}, calls=50, threads=1)
    assert reasons(done) == [ANSWERED] * 50
    assert server.connections == 1


def test_calls_at_once_need_hardly_more_connections_than_there_are_calls(server: ScriptedServer) -> None:
    done = run(server.url, {"behaviour": "normal", "separate": True}, calls=2000, concurrency=200)
    assert reasons(done) == [ANSWERED] * 2000
    # A few more, since a busy server may be late with its last chunk, and multi handles do not share connections.
    assert server.connections <= 500


def test_last_chunk_after_done_keeps_the_connection(server: ScriptedServer) -> None:
    orders = [
        {"behaviour": "late_end", "pause_ms": 30},
        {"behaviour": "until_close", "pause_ms": 300},
        {"behaviour": "normal"},
    ]
    assert reasons(run(server.url, *orders, threads=1)) == [ANSWERED] * 3
    assert connections_used(server) == [1, 2, 1]


@pytest.mark.parametrize("rubbish", [0, 200_000])
def test_stream_that_goes_on_after_done_is_an_answer_at_once_and_dropped_soon(
    server: ScriptedServer, rubbish: int
) -> None:
    orders = [{"behaviour": "never_ends", "rubbish": rubbish}, {"behaviour": "slow", "pause_ms": 500}, {}]
    assert reasons(run(server.url, *orders, threads=1, first_ms=5000)) == [ANSWERED] * 3
    # The first connection is closed while the second call waits, if not before.
    assert server.requests[2].gone_before == 1


def test_answer_before_the_request_was_read_drops_the_connection(server: ScriptedServer) -> None:
    url = server.url.replace("/api/v1", "/early/v1")
    done = run(url, {}, body_size=16_000_000, calls=2, threads=1)
    assert reasons(done) == [ANSWERED] * 2
    assert connections_used(server) == [1, 2]


def test_idle_connection_closed_by_the_peer_loses_no_call(server: ScriptedServer) -> None:
    orders = [{"behaviour": "farewell"}, {"behaviour": "slow", "pause_ms": 20}] * 5
    done = run(server.url, *orders, threads=1)
    assert reasons(done) == [ANSWERED] * 10
    assert len(server.requests) == 10
    assert server.connections > 1


@pytest.mark.parametrize("reset", [False, True])
def test_connection_that_dies_on_reuse_at_once_is_repeated_and_counted(server: ScriptedServer, reset: bool) -> None:
    orders = [{"behaviour": "mortal", "reset": reset}, {"behaviour": "normal"}]
    done = run(server.url, *orders, threads=1)
    assert reasons(done) == [ANSWERED] * 2
    assert [result["requests_sent"] for result in done.results] == [1, 2]
    assert connections_used(server) == [1, 1, 2]


@pytest.mark.parametrize("reset", [False, True])
def test_request_that_was_long_with_the_server_is_not_repeated(server: ScriptedServer, reset: bool) -> None:
    orders = [{"behaviour": "mortal", "pause_ms": 600, "reset": reset}, {"behaviour": "normal"}]
    result = run(server.url, *orders, threads=1).results[1]
    assert (result["reason"], result["requests_sent"], result["maybe_sent"]) == ("stream_broken", 1, True)
    assert connections_used(server) == [1, 1]


def test_request_is_repeated_once_at_most(server: ScriptedServer) -> None:
    orders = [{"behaviour": "mortal"}, {"behaviour": "mortal"}, {"behaviour": "slow"}, {"behaviour": "slow"}]
    # The first two open two connections, both of which die under the third call.
    done = run(server.url, *orders, threads=1, concurrency=2)
    assert max(result["requests_sent"] for result in done.results) <= 2
    assert len(server.requests) == sum(result["requests_sent"] for result in done.results)


# Before the request


def test_nobody_listens_is_a_connect_failure_that_sent_nothing() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        result = run(f"http://127.0.0.1:{unused.getsockname()[1]}/v1", {}).results[0]
    assert (result["reason"], result["requests_sent"], result["maybe_sent"]) == ("connect", 0, False)


def test_connect_that_hangs_ends_at_its_own_clock() -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        result = run(f"http://127.0.0.1:{full.getsockname()[1]}/v1", {}, connect_ms=200).results[0]
    assert (result["reason"], result["requests_sent"], result["maybe_sent"]) == ("connect", 0, False)


def test_unknown_host_is_a_dns_failure_that_sent_nothing() -> None:
    result = run("http://host.invalid/v1", {}, insecure=True, connect_ms=20_000, first_ms=30_000, deadline_ms=30_000)
    result = result.results[0]
    assert (result["reason"], result["requests_sent"], result["maybe_sent"]) == ("dns", 0, False)


def test_proxy_of_the_environment_is_not_used(server: ScriptedServer) -> None:
    with ScriptedServer() as proxy:
        there = f"http://127.0.0.1:{proxy.port}"
        names = {name: there for name in ("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY", "HTTPS_PROXY")}
        assert reasons(run(server.url, {}, environment=names)) == [ANSWERED]
        assert proxy.connections == 0


def test_proxy_that_is_set_is_used_whatever_the_environment_excepts(server: ScriptedServer) -> None:
    with ScriptedServer() as proxy:
        there = f"http://127.0.0.1:{proxy.port}"
        done = run(server.url, {}, proxy=there, environment={"no_proxy": "*", "NO_PROXY": "*"})
        assert reasons(done) == [ANSWERED]
        assert proxy.requests[0].path == server.url + "/chat/completions"
    assert server.connections == 0


@pytest.mark.parametrize(
    ("url", "options", "key"),
    [
        ("http://user:word@127.0.0.1:1/v1", {}, KEY),
        ("http://example.org/v1", {}, KEY),
        ("ftp://127.0.0.1/v1", {}, KEY),
        ("file:///etc/passwd", {}, KEY),
        ("127.0.0.1/v1", {}, KEY),
        ("http://127.0.0.1:1/v1?x=1", {}, KEY),
        ("http://127.0.0.1:1/v1#x", {}, KEY),
        ("http://127.0.0.1:1/v1", {"app_title": "a\r\nx-evil: 1"}, KEY),
        ("http://127.0.0.1:1/v1", {}, KEY + "\n"),
        ("http://127.0.0.1:1/v1", {}, KEY + " x"),
        ("http://127.0.0.1:1/v1", {}, ""),
        ("https://127.0.0.1:1/v1", {"ca_file": "/nowhere/at/all.pem"}, KEY),
    ],
)
def test_option_that_could_betray_the_key_is_refused_at_the_start(url: str, options: dict, key: str) -> None:
    code, stdout, stderr = upstream_tool.start(url, {}, environment={"UPSTREAM_TOOL_KEY": key}, **options)
    assert code == 3, stderr
    assert json.loads(stdout) == {"start": "malformed", "fds_left": 0}
    assert KEY not in stdout + stderr


# The pool


def test_calls_of_every_kind_at_once_come_back_once_each(server: ScriptedServer) -> None:
    orders = [
        {"behaviour": "normal"},
        {"behaviour": "held"},
        {"behaviour": "cut", "at": 500, "reset": True},
        {"behaviour": "normal", "separate": True},
        {"behaviour": "never_ends"},
        {"behaviour": "plain", "status": 503, "body": {}},
        {"behaviour": "trickle"},
        {"behaviour": "stalled"},
        {"behaviour": "until_close"},
        {"behaviour": "late_end"},
    ]
    done = run(server.url, *orders, calls=1000, concurrency=200, threads=3, first_ms=1500, stall_ms=300, tells=True)
    assert len(done.results) == 1000
    by_kind = [{done.results[i]["reason"] for i in range(kind, 1000, 10)} for kind in range(10)]
    assert by_kind[1] == by_kind[6] == by_kind[7] == {"timeout"}
    assert (by_kind[2], by_kind[5]) == ({"stream_broken"}, {"overloaded"})
    assert by_kind[0] == by_kind[3] == by_kind[4] == by_kind[8] == by_kind[9] == {ANSWERED}
    told = [{done.results[i]["told"] for i in range(kind, 1000, 10)} for kind in range(10)]
    assert (told[1], told[5], told[6], told[7]) == ({0}, {0}, {0}, {1})


def test_calls_beyond_the_bound_are_refused_and_the_others_go_on(server: ScriptedServer) -> None:
    done = run(server.url, {"behaviour": "slow"}, calls=30, concurrency=20, in_flight_max=8, first_ms=9000)
    assert set(reasons(done)) == {ANSWERED, "full"}
    assert reasons(done).count(ANSWERED) == len(server.requests) >= 8


def test_draining_transfers_give_way_to_new_calls(server: ScriptedServer) -> None:
    done = run(server.url, {"behaviour": "never_ends"}, calls=200, concurrency=2, in_flight_max=2, threads=1)
    assert reasons(done) == [ANSWERED] * 200


@pytest.mark.parametrize("cancel_ms", [0, 50])
@pytest.mark.parametrize("behaviour", ["held", "trickle", "stalled"])
def test_cancelled_call_comes_back_and_its_connection_is_closed(
    server: ScriptedServer, behaviour: str, cancel_ms: int
) -> None:
    done = run(server.url, {"behaviour": behaviour}, calls=20, concurrency=10, cancel_ms=cancel_ms)
    assert len(done.results) == 20
    assert all(result["total_ms"] < 3500 and result["reason"] != ANSWERED for result in done.results)


def test_cancel_that_comes_too_late_changes_nothing(server: ScriptedServer) -> None:
    done = run(server.url, {"behaviour": "normal"}, calls=20, cancel_ms=3000)
    assert reasons(done) == [ANSWERED] * 20


@pytest.mark.parametrize("behaviour", ["held", "stalled", "never_ends", "normal"])
def test_stop_with_calls_inside_leaves_nothing(server: ScriptedServer, behaviour: str) -> None:
    done = run(server.url, {"behaviour": behaviour}, calls=50, concurrency=20, stop_after=0)
    assert done.results == []


def test_stop_in_the_middle_leaves_nothing(server: ScriptedServer) -> None:
    done = run(server.url, {}, {"behaviour": "held"}, calls=50, concurrency=30, stop_after=5)
    assert len(done.results) >= 5


def test_threads_sleep_while_nothing_happens(server: ScriptedServer) -> None:
    done = run(server.url, {"behaviour": "held"}, threads=8, first_ms=2000)
    assert reasons(done) == ["timeout"]
    # Each thread sleeps once; the one with the call a few times more. A loop that ticks would do so hundreds of times.
    assert done.summary["sleeps"] < 60


# Fewer descriptors than calls: with the limit known at the start, and met later


# A limit known at the start is shared among the threads.
LIMITS = pytest.mark.parametrize(
    "limit", [{"files_before": 60}, {"files_after": 40, "threads": 1}], ids=["known", "met later"]
)


@LIMITS
def test_calls_without_a_descriptor_wait_for_one_another(server: ScriptedServer, limit: dict) -> None:
    done = run(server.url, {"behaviour": "slow", "pause_ms": 50}, calls=600, concurrency=150, **limit)
    assert reasons(done) == [ANSWERED] * 600
    assert len(server.requests) == 600
    assert server.connections < 60


@LIMITS
def test_call_that_waits_for_a_descriptor_to_its_deadline_was_never_sent(server: ScriptedServer, limit: dict) -> None:
    done = run(server.url, {"behaviour": "held"}, calls=100, concurrency=100, first_ms=5000, deadline_ms=700, **limit)
    assert set(reasons(done)) == {"timeout", "internal"}
    waited = [result for result in done.results if result["reason"] == "internal"]
    assert all((result["requests_sent"], result["maybe_sent"]) == (0, False) for result in waited)
    assert len(server.requests) == sum(result["requests_sent"] for result in done.results) < 60


@LIMITS
def test_first_content_clock_begins_when_a_call_gets_its_descriptor(server: ScriptedServer, limit: dict) -> None:
    done = run(server.url, {"behaviour": "slow", "pause_ms": 200}, calls=150, concurrency=150, first_ms=1000, **limit)
    assert reasons(done) == [ANSWERED] * 150


@LIMITS
def test_cancel_and_stop_reach_calls_that_wait_for_a_descriptor(server: ScriptedServer, limit: dict) -> None:
    done = run(server.url, {"behaviour": "held"}, calls=100, concurrency=100, cancel_ms=100, **limit)
    assert set(reasons(done)) == {"timeout"}
    run(server.url, {"behaviour": "held"}, calls=100, concurrency=100, stop_after=0, **limit)


# The probe of the key


def test_probe_of_a_good_key_is_no_failure(server: ScriptedServer) -> None:
    done = run(server.url, probe=True, calls=3, environment={"UPSTREAM_TOOL_KEY": KEY})
    assert reasons(done) == [ANSWERED] * 3
    request = server.requests[0]
    assert (request.method, request.path, request.body) == ("GET", "/api/v1/key", b"")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert "content-type" not in request.headers


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"behaviour": "plain", "status": 401, "body": {"error": {"code": 401, "message": "no"}}}, "auth"),
        ({"behaviour": "plain", "status": 402, "body": {}}, "credits"),
        ({"behaviour": "plain", "status": 500, "body": {}}, "upstream_error"),
        ({"behaviour": "held"}, "timeout"),
        ({"behaviour": "cut", "at": 0}, "stream_broken"),
    ],
)
def test_probe_of_a_bad_key_has_its_reason(order: dict, reason: str) -> None:
    with ScriptedServer(key_order=order) as server:
        assert reasons(run(server.url, probe=True, deadline_ms=500)) == [reason]


def test_text_is_put_together(server: ScriptedServer) -> None:
    done: Run = run(server.url, {"behaviour": "normal", "deltas": 4}, text=True)
    assert done.results[0]["content"] == "The quick brown fox "
