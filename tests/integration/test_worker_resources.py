"""The worker while something runs out: time, threads, descriptors, memory, processor, or whoever reads its log."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import harness
import psutil
import pytest
from harness import BUILD, chat, judge, read_replies, until

CRASH = BUILD / "tests/chaos/chat-worker-crash"
STUCK_MS = 3000
EXIT_INTERNAL = 70


def chats(name: str, count: int) -> list[dict[str, object]]:
    """Of twenty conversations, so that order is something to keep."""
    return [chat(f"{name}{i}", f"c-{name}{i % 20}", "Hello") for i in range(count)]


# The thread that hangs, by a place that it alone passes (chaos/crash_points.c).
PLACES = {"flow": "taken:5", "upstream": "hearing:5", "publisher": "begun:2"}


@pytest.mark.parametrize("thread", PLACES)
def test_worker_with_a_stuck_thread_ends_and_its_replacement_answers_all(
        thread, make_worker, upstream, producer, replies, site):
    worker = make_worker(upstream.url, worker__stuck_ms=STUCK_MS)
    worker.program = CRASH
    worker.environment = {"CHAT_CRASH": f"{PLACES[thread]}:hang"}
    worker.start()
    first = producer.send_all(chats("a", 60))
    until("it hangs", lambda: '"event":"crash point"' in worker.tail())
    # The load goes on meanwhile: threads that have work still beat, and must not hide the one that does not.
    assert worker.wait(30) == EXIT_INTERNAL
    told = next(line for line in worker.tail().splitlines() if "a thread is stuck" in line)
    assert f'"thread":"{thread}"' in told and f'"silent_ms":{STUCK_MS}' in told
    second = producer.send_all(chats("b", 20))
    make_worker(upstream.url, kafka__transactional_id=f"{site.name}-w0", name="w1").start()
    replies.wait(len(first) + len(second))
    judge([*first, *second], read_replies(site)).assert_clean()


def test_worker_stopped_for_longer_than_stuck_ms_is_not_ended(make_worker, upstream, producer, replies, site):
    stuck_s = 1.5
    worker = make_worker(upstream.url, worker__stuck_ms=int(stuck_s * 1000)).start().wait_ready()
    first = producer.send_all(chats("a", 30))
    replies.wait(len(first))
    os.kill(worker.pid, signal.SIGSTOP)
    thaw_s = time.monotonic() + 2 * stuck_s  # longer than the session, too
    until("it stood still for long enough", lambda: time.monotonic() >= thaw_s)
    os.kill(worker.pid, signal.SIGCONT)
    second = producer.send_all(chats("b", 30))
    replies.wait(len(first) + len(second))
    judge([*first, *second], read_replies(site)).assert_clean()
    assert worker.process.poll() is None and "a thread is stuck" not in worker.tail()


def within(folder: Path, worker: harness.Worker, *lines: str) -> harness.Worker:
    """The worker in the place of a shell that did this first."""
    script = folder / f"{worker.name}.sh"
    script.write_text("\n".join(["#!/bin/sh", *lines, f'exec "{worker.program}" "$@"', ""]))
    script.chmod(0o755)
    worker.program = script
    return worker


# Each is done to the process before it starts, and changes nothing for chats.
PLACES_TO_LIVE = {
    "a full disk under its log": ["exec 2>/dev/full >/dev/full"],
    "no output at all": ["exec >&- 2>&-"],
    "a folder where nothing can be written": ["cd /proc/self/fdinfo", "unset HOME TMPDIR"],
    "few descriptors": ["ulimit -n 64"],
}


@pytest.mark.parametrize("place", PLACES_TO_LIVE)
def test_worker_with_little_to_live_on_answers_all(place, make_worker, upstream, tmp_path, producer, replies, site):
    worker = within(tmp_path, make_worker(upstream.url), *PLACES_TO_LIVE[place]).start()
    sent = producer.send_all(chats("a", 20))
    replies.wait(len(sent))
    judge(sent, read_replies(site)).assert_clean()
    assert Counter(reply.body["outcome"] for reply in replies.all) == {"answered": len(sent)}
    worker.terminate()
    assert worker.wait() == 0


def test_worker_whose_log_nobody_reads_goes_on_and_tells_how_much_was_dropped(
        make_worker, upstream, tmp_path, producer, replies, site):
    pipe = tmp_path / "log.pipe"
    os.mkfifo(pipe)
    with pipe.open("r+b", buffering=0) as log:
        fcntl.fcntl(log, fcntl.F_SETPIPE_SZ, 4096)
        worker = within(tmp_path, make_worker(upstream.url, log__level="debug"), f"exec 2<>{pipe}").start()
        sent = producer.send_all(chats("a", 200))
        replies.wait(len(sent))
        judge(sent, read_replies(site)).assert_clean()
        os.set_blocking(log.fileno(), False)
        worker.terminate()
        heard = b""

        def read() -> bytes:
            nonlocal heard
            heard += log.read() or b""
            return re.search(rb'"dropped":[1-9]', heard)

        until("it tells what was dropped", read)
        assert worker.wait() == 0


# What cannot be had, and what is told of it.
REFUSALS = {
    "descriptors": ["ulimit -n 12"],
    "a second descriptor": ["ulimit -n 4"],
    "threads": ["ulimit -s 200000000000"],  # each would have a stack of that size
}


@pytest.mark.parametrize("missing", REFUSALS)
def test_worker_that_cannot_have_what_it_needs_to_start_says_so_and_ends(missing, make_worker, upstream, tmp_path):
    worker = within(tmp_path, make_worker(upstream.url), *REFUSALS[missing]).start()
    assert worker.wait(30) == 1
    assert "cannot start" in worker.tail(), worker.tail()


@pytest.mark.deep
def test_worker_whose_memory_runs_out_loses_and_repeats_nothing(upstream, tmp_path, producer, replies, site):
    """By the limit of its address space, a little above what it has when the load comes. With sanitizers it dies at once,
    without them it may go on as it can, with fallbacks, until it is killed."""
    worker = harness.Worker(tmp_path, "w0", site, upstream.url).start().wait_ready()
    try:
        space = psutil.Process(worker.pid).memory_info().vms + (16 << 20)
        psutil.Process(worker.pid).rlimit(psutil.RLIMIT_AS, (space, space))
        large = [chat(f"r{i}", f"c{i % 20}", "a" * 200_000) for i in range(400)]
        sent = producer.send_all(large)
        with suppress(subprocess.TimeoutExpired):
            assert worker.wait(20) != 0
    finally:
        worker.kill()
    replacement = harness.Worker(tmp_path, "w1", site, upstream.url).start()
    try:
        replies.wait(len(sent), 120)
        judge(sent, read_replies(site)).assert_clean()
    finally:
        replacement.end()


@contextmanager
def starved(worker: harness.Worker) -> Iterator[None]:
    """Runs for one part in eight of the time, as under a quota."""
    is_over = threading.Event()

    def starve() -> None:
        while not is_over.wait(0.01):
            os.kill(worker.pid, signal.SIGSTOP)
            is_over.wait(0.07)
            os.kill(worker.pid, signal.SIGCONT)

    thread = threading.Thread(target=starve)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def test_worker_that_gets_little_of_the_processor_keeps_its_place_and_answers_all(
        make_worker, upstream, producer, replies, site):
    worker = make_worker(upstream.url, kafka__session_timeout_ms=6000, worker__stuck_ms=15000).start().wait_ready()
    with starved(worker):
        first = producer.send_all(chats("a", 100))
        replies.wait(len(first))
    second = producer.send_all(chats("b", 100))
    replies.wait(len(first) + len(second))
    judge([*first, *second], read_replies(site)).assert_clean()
    assert all(each.body["outcome"] == "answered" for each in replies.all
               if each.body["request_id"].startswith("b"))
    assert worker.process.poll() is None
    assert worker.metric("chat_worker_rebalances_total", type="lost") == 0
