"""The worker while its wall clock is set: calls that run do not notice, chats that come are measured by the new clock.

The worker's own code sees another wall clock (chaos/crash_points.c), its libraries do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import harness
import pytest
from harness import BUILD, chat, judge, read_replies, until

HOUR_S, DAY_S = 3600, 86400


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[harness.Standin]:
    """So slow that a step finds calls under way."""
    with harness.standin(tmp_path, "--latency", "1000", "--keepalive", "0") as standin:
        yield standin


def set_clock(file: Path, offset_s: int) -> None:
    """Not one moment without a whole file."""
    fresh = file.with_suffix(".new")
    fresh.write_text(str(offset_s))
    fresh.rename(file)


def outcomes(replies: harness.Replies, name: str) -> Counter[str]:
    """Outcome, or the reason why there is no answer."""
    found = [each.body for each in replies.all if each.body["request_id"].startswith(name)]
    return Counter(body["error"]["reason"] if body["error"] else body["outcome"] for body in found)


def chats(name: str) -> list[dict[str, object]]:
    return [chat(f"{name}{i}", f"c-{name}{i}", "Hello") for i in range(20)]


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S, 30 * DAY_S, -30 * DAY_S])
def test_worker_whose_wall_clock_is_set_keeps_its_calls_and_its_partitions(
        step_s, make_worker, upstream, tmp_path, producer, replies, site):
    clock = tmp_path / "clock"
    set_clock(clock, 0)
    worker = make_worker(upstream.url, openrouter__first_token_timeout_ms=8000)
    worker.program = BUILD / "tests/chaos/chat-worker-crash"
    worker.environment = {"CHAT_CLOCK": str(clock)}
    worker.start().wait_ready()
    sent = producer.send_all(chats("before"))
    until("all are called for", lambda: len(upstream.calls()) == 20)
    set_clock(clock, step_s)
    replies.wait(20)
    assert outcomes(replies, "before") == {"answered": 20}
    until("it has noticed", lambda: "the wall clock was set" in worker.tail())

    sent += producer.send_all(chats("while"))
    replies.wait(40)
    # By a clock that is ahead they have waited for longer than their deadline; one that is behind gives all their time.
    assert outcomes(replies, "while") == ({"deadline": 20} if step_s > 0 else {"answered": 20})

    set_clock(clock, 0)
    sent += producer.send_all(chats("after"))
    replies.wait(60)
    assert outcomes(replies, "after") == {"answered": 20}
    judge(sent, read_replies(site)).assert_clean()
    assert worker.process.poll() is None
    assert worker.metric("chat_worker_rebalances_total", type="lost") == 0
