"""What a hostile model service can make the worker hold: memory by its caps whatever is sent, and nothing at all of
chats that have failed; with fewer descriptors than calls the calls wait."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import harness
import psutil
import pytest
from exchange import Behaviour, Script
from harness import Producer, Replies, Reply, Sent, chat, judge, until
from hostile_http1 import Http1Server
from matrix_http import FIN, HOLD, raw
from responses import (
    DONE, GOOD, RESET, Repeat, failing, json_body, late, page, respond, silent, typed, whole, word, words,
)  # fmt: skip

MIB = 1 << 20
CALM = {
    "breaker__min_calls": 1_000_000,
    "retry__budget_ratio": 10.0,
    "retry__budget_max": 1_000_000,
    "chat__publish_reserve_ms": 1000,
}
GAUGES = ("chat_worker_inflight", "chat_worker_waiting", "chat_worker_finished_above_watermark",
          "chat_worker_oldest_open_seconds", "chat_worker_consumer_lag")  # fmt: skip
# What the address sanitizer keeps of freed memory is not the worker's.
SMALL_QUARANTINE = {"ASAN_OPTIONS": "quarantine_size_mb=4:thread_local_quarantine_size_kb=64"}
MakeWorker = Callable[..., harness.Worker]


def ask(producer: Producer, script: Script, first: int, behaviours: Sequence[Behaviour], count: int) -> list[Sent]:
    """So many chats from this number on, with these behaviours in turn."""
    numbers = range(first, first + count)
    script.steps.update({at: (behaviours[at % len(behaviours)],) for at in numbers})
    return producer.send_all(chat(f"r-{at}", f"c-{at}", f"chat-{at}- Hello") for at in numbers)


def reasons(replies: Sequence[Reply]) -> Counter[str]:
    return Counter(each.body["error"]["reason"] if each.body["error"] else "" for each in replies)


def memory(worker: harness.Worker) -> int:
    """The most that was resident since the last forget_peak()."""
    return worker.usage()[1]


def forget_peak(worker: harness.Worker) -> int:
    Path(f"/proc/{worker.pid}/clear_refs").write_text("5")
    return memory(worker)


def descriptors(worker: harness.Worker) -> int:
    return len(os.listdir(f"/proc/{worker.pid}/fd"))


def sockets(worker: harness.Worker, port: int) -> int:
    """Open connections to this port."""
    all_there_are = psutil.Process(worker.pid).net_connections("tcp")
    return sum(1 for each in all_there_are if each.raddr and each.raddr.port == port)


def end_well(worker: harness.Worker) -> None:
    """With nothing left behind: the build looks for leaks at its exit."""
    worker.terminate()
    assert worker.wait() == 0
    assert "Sanitizer" not in worker.log.read_text(errors="replace"), worker.tail()


def endless() -> list[Behaviour]:
    piece = "x" * 16_384
    fields = "".join(f"x-{at}: {'y' * 100}\r\n" for at in range(100))
    return [
        respond(Repeat(word(piece))),
        respond("data: ", Repeat(piece)),
        respond('{"x":"', Repeat(piece), kind="application/json"),
        respond(Repeat(" " * 16_384)),
        respond(Repeat(":" + piece + "\n")),
        respond(Repeat(": \n\n" * 4096)),
        respond(Repeat(word("") * 100)),
        json_body([[[[0] * 100] * 100] * 30] * 30),
        respond("[" * 500_000, kind="application/json"),
        raw("HTTP/1.1 200 OK\r\n", Repeat(fields)),
        raw("HTTP/1.1 200 OK\r\nx: ", Repeat(piece)),
        raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", Repeat(fields)),
    ]


def test_worker_bodies_without_end_and_floods_of_headers_take_no_more_memory_than_their_caps(
    make_worker: MakeWorker, producer: Producer, replies: Replies, tables: list[str]
) -> None:
    in_flight, response, count = 100, 131_072, 240
    # What an attempt may hold: events, parts, arena, each up to the cap, and a JSON tree; headers and buffers.
    bound = in_flight * (4 * response + 131_072)
    script = Script(default=(GOOD,))
    with Http1Server(script) as server:
        worker = make_worker(
            server.url, **CALM, worker__max_in_flight=in_flight, openrouter__response_max_bytes=response,
            retry__max_attempts=2, environment=SMALL_QUARANTINE,
        ).start().wait_ready()  # fmt: skip
        ask(producer, script, 0, [late(500, GOOD)], in_flight)
        replies.wait(in_flight)
        peaks = [forget_peak(worker)]
        for turn in range(1, 4):
            ask(producer, script, turn * 10_000, endless(), count)
            replies.wait(in_flight + turn * count, 120)
            peaks.append(memory(worker))
        assert not server.errors
    grown = [(peak - peaks[0]) / MIB for peak in peaks[1:]]
    tables.append(f"memory: {3 * count} chats with answers and headers without end, {in_flight} in flight, answers of "
                  f"{response // 1024} KiB allowed: {peaks[0] / MIB:.0f} MiB before, then at most "
                  f"{', '.join(f'+{each:.0f}' for each in grown)} MiB; bound +{bound / MIB:.0f} MiB")  # fmt: skip
    assert grown[-1] * MIB < bound
    # All that may be held is held after the first turn; the others add nothing but what the allocator scatters.
    assert grown[2] < grown[0] * 1.5 + 16
    told = reasons(replies.all)
    assert told[""] == in_flight
    assert set(told) <= {"", "upstream_invalid", "timeout", "stream_broken", "empty_answer"}
    end_well(worker)


def failures() -> list[Behaviour]:
    return [
        failing(503), failing(500), failing(429), failing(404), failing(400), json_body(typed("server")),
        json_body({"choices": []}), json_body(whole({"content": None})), page("<html>no</html>"), respond(*words()[:3]),
        respond(word("Well "), "data: {oops\n\n", DONE), respond(*words()[:3], then=RESET), silent(then=RESET),
        raw("HTTP/1.1 200 OK\r\ncontent-le", then=FIN), raw("220 ready\r\n", then=FIN), respond(status=302),
    ]  # fmt: skip


@pytest.mark.timeout(300)
def test_worker_10_000_failing_chats_leave_no_handle_socket_or_byte_behind(
    make_worker: MakeWorker, producer: Producer, replies: Replies, site: harness.Site, tables: list[str]
) -> None:
    count, warm = 10_000, 200
    script = Script(default=(GOOD,))
    with Http1Server(script) as server:
        worker = make_worker(
            server.url, **CALM, worker__max_in_flight=warm, retry__max_attempts=1, log__level="error"
        ).start().wait_ready()  # fmt: skip
        sent = ask(producer, script, 0, [late(500, GOOD)], warm)
        replies.wait(warm)
        server.open(None)
        until("its connections are closed", lambda: sockets(worker, server.port) == 0)
        before = descriptors(worker)
        began = time.monotonic()
        # A few hang, so that there is always something to give up.
        kinds = failures() * 8 + [respond(*words()[:2], then=HOLD)]
        sent += ask(producer, script, 1_000_000, kinds, count)
        replies.wait(warm + count, 240)
        seconds = time.monotonic() - began
        server.open(None)
        until("its connections are closed", lambda: sockets(worker, server.port) == 0)
        until("no descriptor is left", lambda: descriptors(worker) <= before)
        until("all gauges are at 0", lambda: all(worker.metric(name) == 0 for name in GAUGES))
        assert not server.errors
    told = reasons(replies.all)
    tables.append(f"{count} failing chats in {seconds:.0f} s: {dict(told.most_common())}; {before} descriptors before "
                  "and after")  # fmt: skip
    assert told[""] == warm
    assert sum(len(arrivals) for number, arrivals in script.journal.items() if number >= 1_000_000) >= count
    judge(sent, harness.read_replies(site)).assert_clean()
    end_well(worker)


def test_worker_with_fewer_descriptors_than_calls_lets_them_wait(
    make_worker: MakeWorker, producer: Producer, replies: Replies, tmp_path: Path
) -> None:
    count, files = 600, 300
    script = Script(default=(late(100, GOOD),))
    program = tmp_path / "limited"
    program.write_text(f'#!/bin/sh\nexec prlimit --nofile={files}:{files} "{harness.Worker.program}" "$@"\n')
    program.chmod(0o755)
    with Http1Server(script) as server:
        worker = make_worker(server.url, worker__max_in_flight=count)
        worker.program = program
        worker.start().wait_ready()
        producer.send_all(chat(f"r-{at}", f"c-{at}", f"chat-{at}- Hello") for at in range(count))
        replies.wait(count)
        assert server.connections < files
    assert reasons(replies.all) == {"": count}
    assert {len(arrivals) for arrivals in script.journal.values()} == {1}
    assert "raise it to" in worker.log.read_text()
    end_well(worker)
