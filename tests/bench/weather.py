"""How many chats are answered when the model service has weather, and what an outage costs, on Apache Kafka.

    .cache/venv/bin/python tests/bench/weather.py [mixed] [outage] [brownout] [--chats 5000] [--rate 60] [--seconds 60]
        [--seed 1] [--build build/release]

mixed     10 % quick errors, 6 % stuck calls, 2 % empty answers, log-normal answers (median 1.5 s, 95 % within 5 s), two models:
          the whole worker beside workers without retries, without the share of time until first content, and with one model only,
          all under the same weather at the same time, --chats chats each at --rate a second
outage    200 chats a second while every call fails for --seconds: with status 503, then with connections refused
brownout  the first model ten times slower from one moment on; the second is well

Requests are sent by kafka-python, which also reads the replies; the model service is aiohttp. Latency is from the time-stamp of
a request to that of its reply. Exit 0 only if the floors printed with the figures hold.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

WEATHER = ("--errors", "0.10", "--stuck", "0.06", "--empty", "0.02")
OUTAGE_RATE = 200
# What the worker can be without; None: nothing.
VARIANTS: dict[str, dict[str, Any]] = {
    "all": {},
    "no retries": {"retry__max_attempts": 1},
    "no first-content share": {"retry__first_content_share": 1.0, "openrouter__first_token_timeout_ms": 9999},
    "one model": {"openrouter__models": ["stand-in/first"]},
}


@contextmanager
def weather_server(*options: str) -> Iterator[str]:
    process = subprocess.Popen([sys.executable, Path(__file__).with_name("weather_server.py"), *options],
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        assert url, "the model service did not start"
        yield url
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def requests_at(url: str) -> Counter[str]:
    with urllib.request.urlopen(url.removesuffix("/api/v1") + "/counts", timeout=10) as response:
        return Counter(json.load(response))


@dataclass
class Run:
    """One worker with topics of its own, and what was sent to it."""

    name: str
    worker: Any
    producer: Any
    replies: Any
    sent: list[Any]
    judged: int = 0

    def send(self, harness: Any, count: int, word: str) -> None:
        base = len(self.sent)
        self.sent += self.producer.send_all(
            harness.chat(f"{word}{base + i}", f"c{base + i}", f"How is the weather in town {word}{base + i}?")
            for i in range(count))

    def collect(self, timeout_s: float = 60) -> list[tuple[Any, int]]:
        """The replies to what was sent since the last time, each with its latency in ms."""
        self.replies.wait(len(self.sent), timeout_s)
        begins = {(each.partition, each.offset): each.timestamp_ms for each in self.sent[self.judged:]}
        self.judged = len(self.sent)
        return [(reply, reply.timestamp_ms - begins[reply.source])
                for reply in self.replies.all if reply.source in begins]


def start(harness: Any, stack: ExitStack, folder: Path, broker: Any, name: str, url: str, **settings: Any) -> Run:
    word = name.replace(" ", "-")
    site = harness.Site(broker, word)
    worker = harness.Worker(folder, word, site, url, log__level="warn", **settings)
    stack.callback(worker.end)
    worker.start().wait_ready()
    replies = harness.Replies(site)
    stack.callback(replies.close)
    producer = harness.Producer(site)
    stack.callback(producer.close)
    return Run(name, worker, producer, replies, [])


def pace(rate: float, count: int) -> Iterator[int]:
    """How many are due at each moment, until `count` were."""
    began, done = time.monotonic(), 0
    while done < count:
        due = min(count, int((time.monotonic() - began) * rate) + 1) - done
        if due > 0:
            yield due
            done += due
        time.sleep(0.02)


def at(latencies: list[int], share: float) -> int:
    return sorted(latencies)[min(len(latencies) - 1, int(len(latencies) * share))]


def answered(found: list[tuple[Any, int]]) -> float:
    return sum(reply.body["outcome"] == "answered" for reply, _ in found) / len(found)


def reasons(found: list[tuple[Any, int]]) -> dict[str, int]:
    return dict(Counter(reply.body["error"]["reason"] for reply, _ in found if reply.body["error"]))


def check(is_so: bool, what: str) -> bool:
    print(f"  {'ok' if is_so else 'NOT SO'}: {what}")
    return is_so


def mixed(harness: Any, options: argparse.Namespace, folder: Path, broker: Any) -> bool:
    print(f"mixed weather, {options.chats} chats each at {options.rate}/s, seed {options.seed}")
    good = True
    with ExitStack() as stack:
        runs = []
        for name, settings in VARIANTS.items():
            url = stack.enter_context(weather_server("--seed", str(options.seed), *WEATHER))
            runs.append((start(harness, stack, folder, broker, name, url, **settings), url))
        for due in pace(options.rate, options.chats):
            for run, _ in runs:
                run.send(harness, due, "m")
        print(f"  {'':24} answered  in 10 s  p50 ms  p99 ms  calls/chat  fallbacks")
        for run, url in runs:
            found = run.collect()
            times = [took for _, took in found]
            in_time = sum(took <= 10000 for took in times) / len(times)
            calls = requests_at(url).total() / len(found)
            print(f"  {run.name:24} {answered(found):8.2%} {in_time:8.2%} {at(times, 0.5):7} {at(times, 0.99):7} "
                  f"{calls:11.3f}  {reasons(found)}")
            harness.judge(run.sent, run.replies.all).assert_clean()
            if run.name == "all":
                good &= check(in_time == 1, "all within 10 s")
                good &= check(answered(found) >= 0.97, "at least 97 % answered")
                spare = (50 + options.chats / options.rate) / options.chats
                good &= check(calls <= 1.2 + spare, "retries within their budget")
    return good


def outage_of(harness: Any, options: argparse.Namespace, run: Run, kind: str, port: int) -> bool:
    fast = ("--port", str(port), "--p50", "100", "--p95", "200")
    with weather_server(*fast) as url:
        for due in pace(OUTAGE_RATE, OUTAGE_RATE * 2):
            run.send(harness, due, f"{kind}-before-")
        assert answered(run.collect()) == 1
    attempts = run.worker.metric("chat_worker_upstream_attempts_total")
    count = OUTAGE_RATE * options.seconds
    with weather_server(*fast, "--errors", "1.0", "--status", "503") if kind == "503" else ExitStack() as url:
        for due in pace(OUTAGE_RATE, count):
            run.send(harness, due, f"{kind}-down-")
        found = run.collect()
        calls = requests_at(url).total() if kind == "503" else 0
    attempts = run.worker.metric("chat_worker_upstream_attempts_total") - attempts
    with weather_server(*fast):
        began = time.monotonic()
        is_back = False
        while not is_back and time.monotonic() - began < 30:
            run.send(harness, 1, f"{kind}-back-")
            is_back = answered(run.collect()) == 1
        back_s = time.monotonic() - began
    stopped = [took for reply, took in found if reply.body["error"] and reply.body["error"]["reason"] == "breaker_open"]
    print(f"outage, {kind}: {count} chats at {OUTAGE_RATE}/s, {attempts:.0f} attempts ({calls} requests seen by the model "
          f"service), {reasons(found)}\n  breaker_open: {len(stopped)} chats, p50 {at(stopped, 0.5)} ms, "
          f"p99 {at(stopped, 0.99)} ms; all: p99 {at([took for _, took in found], 0.99)} ms; back after {back_s:.1f} s")
    return all([check(max(attempts, calls) <= 1.2 * count, "at most 1.2 calls a chat"),
                check(at(stopped, 0.99) < 50, "fallbacks within 50 ms (p99) while the breaker is open"),
                check(back_s < 5, "answers within 5 s of recovery")])


def outage(harness: Any, options: argparse.Namespace, folder: Path, broker: Any) -> bool:
    good = []
    for kind in ("503", "refused"):
        port = harness.free_port()
        with ExitStack() as stack:
            run = start(harness, stack, folder, broker, f"outage {kind}", f"http://127.0.0.1:{port}/api/v1")
            good.append(outage_of(harness, options, run, kind, port))
            harness.judge(run.sent, run.replies.all).assert_clean()
    return all(good)


def brownout(harness: Any, options: argparse.Namespace, folder: Path, broker: Any) -> bool:
    port = harness.free_port()
    with ExitStack() as stack:
        run = start(harness, stack, folder, broker, "brownout", f"http://127.0.0.1:{port}/api/v1")
        with weather_server("--port", str(port), "--seed", str(options.seed)):
            for due in pace(options.rate, options.rate * 10):
                run.send(harness, due, "before")
            before = answered(run.collect())
        with weather_server("--port", str(port), "--seed", str(options.seed), "--slow", "stand-in/first=10") as url:
            for due in pace(options.rate, options.rate * options.seconds):
                run.send(harness, due, "slow")
            found = run.collect()
            calls = requests_at(url)
        harness.judge(run.sent, run.replies.all).assert_clean()
    times = [took for _, took in found]
    print(f"brownout: first model 10 x slower, {len(found)} chats at {options.rate}/s, answered {answered(found):.2%} "
          f"(before {before:.2%}), p50 {at(times, 0.5)} ms, p99 {at(times, 0.99)} ms, {reasons(found)}, calls {dict(calls)}")
    return all([check(answered(found) >= 0.95, "at least 95 % answered"),
                check(max(times) <= 10000, "all within 10 s")])


SCENES = {"mixed": mixed, "outage": outage, "brownout": brownout}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="*", choices=[[], *SCENES], metavar="SCENE")
    parser.add_argument("--chats", type=int, default=5000)
    parser.add_argument("--rate", type=int, default=60)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build", default="build/release")
    options = parser.parse_args()
    os.environ["CHAT_BUILD"] = options.build
    import harness

    with tempfile.TemporaryDirectory() as name:
        broker = harness.Broker(Path(name) / "kafka").start()
        try:
            good = [SCENES[scene](harness, options, Path(name), broker) for scene in options.scenes or SCENES]
        finally:
            broker.kill()
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
