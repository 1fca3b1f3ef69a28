"""Throughput, CPU and memory of chat-worker on Apache Kafka: how near it comes to in flight ÷ latency.

    .cache/venv/bin/python tests/bench/throughput.py [--chats 20000] [--conversations 5000] [--latency 500]
        [--in-flight 1000] [--workers 1] [--kill] [--build build/release]

With one worker all requests are there before it starts. The rate is taken between the 10th and the 90th percent of the replies,
by the time they were produced. With --kill one of two workers is killed with SIGKILL half-way and started again.
Exit 0 only if there is one reply each, under the right key and in order.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chats", type=int, default=20000)
    parser.add_argument("--conversations", type=int, default=5000)
    parser.add_argument("--latency", type=int, default=500, help="of the upstream, ms")
    parser.add_argument("--in-flight", type=int, default=1000, help="of each worker")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--floor", type=float, default=0.0, help="fail below this share of the ceiling")
    return parser.parse_args()


def start_workers(harness, options, folder, site, upstream, workers) -> None:
    for i in range(options.workers):
        worker = harness.Worker(
            folder, f"w{i}", site, upstream.url, chat__deadline_ms=600000,
            worker__max_in_flight=options.in_flight, worker__drain_ms=620000,
            openrouter__first_token_timeout_ms=10000, openrouter__stall_timeout_ms=10000,
            log__level="warn",
        )
        workers.append(worker.start())


def main() -> int:
    options = arguments()
    os.environ["CHAT_BUILD"] = options.build
    import harness

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = harness.Broker(folder / "kafka").start()
        site = harness.Site(broker)
        workers: list[harness.Worker] = []
        try:
            with harness.standin(folder, "--latency", str(options.latency), "--keepalive", "0") as upstream:
                if options.workers > 1:
                    # Each has to have its share before the load comes.
                    start_workers(harness, options, folder, site, upstream, workers)
                    for worker in workers:
                        worker.wait_ready()
                        harness.until("both have partitions",
                                      lambda worker=worker: worker.metric("chat_worker_assigned_partitions") > 0)
                producer = harness.Producer(site)
                text = "Tell me something about the sea. " * 25
                chats = (
                    harness.chat(f"r{i}", f"c{i % options.conversations}", f"[{i}] {text}")
                    for i in range(options.chats)
                )
                sent = producer.send_all(chats)
                producer.close()
                if options.workers == 1:
                    start_workers(harness, options, folder, site, upstream, workers)
                began = time.monotonic()
                replies = harness.Replies(site)
                killed = False
                while len(replies.all) < options.chats and time.monotonic() - began < 180:
                    replies.poll()
                    dead = [worker for worker in workers if worker.process and worker.process.poll() is not None]
                    if dead:
                        print(f"{dead[0].name} ended with {dead[0].process.poll()}: {dead[0].tail()}")
                        return 1
                    if options.kill and not killed and len(replies.all) > options.chats // 2:
                        workers[0].kill()
                        workers[0].start()
                        killed = True
                took = time.monotonic() - began
                usage = [worker.usage() for worker in workers]
                replies.close()
                verdict = harness.judge(sent, harness.read_replies(site))
                times = sorted(reply.timestamp_ms for reply in replies.all)
                low, high = len(times) // 10, len(times) * 9 // 10
                rate = (high - low) * 1000 / max(1, times[high] - times[low])
                ceiling = options.in_flight * options.workers * 1000 / options.latency
                calls = Counter(call["text"] for call in upstream.calls()) if options.kill else Counter()
                print(f"chats {options.chats}, conversations {options.conversations}, workers {options.workers}, "
                      f"took {took:.1f} s")
                print(f"rate {rate:.0f}/s, {rate / ceiling:.1%} of the ceiling of {ceiling:.0f}/s")
                for worker, (cpu_s, peak) in zip(workers, usage, strict=True):
                    print(f"{worker.name}: cpu {cpu_s * 1e6 / options.chats * options.workers:.1f} us a chat, "
                          f"peak rss {peak / 2**20:.0f} MiB")
                    print(f"{worker.name}: threads, us a chat: " + ", ".join(
                        f"{name} {seconds * 1e6 / options.chats * options.workers:.1f}"
                        for name, seconds in worker.thread_usage()))
                    commits = {end: int(worker.metric("chat_worker_commits_total", result=end))
                               for end in ("committed", "aborted", "uncertain")}
                    restarts = int(worker.metric("chat_worker_producer_restarts_total"))
                    print(f"{worker.name}: batches {commits}, producers made anew {restarts}")
                print(f"outcomes {dict(verdict.outcomes)}, lost {len(verdict.lost)}, "
                      f"duplicates {len(verdict.duplicates)}, out of order {len(verdict.disordered)}")
                if options.kill:
                    again = sum(count - 1 for count in calls.values())
                    print(f"model calls {sum(calls.values())}, made twice {again}")
                verdict.assert_clean()
                if rate < options.floor * ceiling:
                    print(f"below {options.floor:.0%} of the ceiling")
                    return 1
                for worker in workers:
                    worker.terminate()
                codes = [worker.wait(30) for worker in workers]
                print(f"exit codes {codes}")
                return 0 if not any(codes) else 1
        finally:
            for worker in workers:
                worker.end()
            broker.kill()


if __name__ == "__main__":
    sys.exit(main())
