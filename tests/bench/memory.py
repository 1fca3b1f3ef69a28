"""Memory, descriptors and threads of chat-worker with so many calls in flight, and after them.

    .cache/venv/bin/python tests/bench/memory.py [--in-flight 2000] [--latency 8000] [--limit 256] [--build build/release]

Exit 0 only if all calls were in flight at once, resident memory stayed below the limit (MiB), and descriptors and threads
are back at what they were before the load.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in-flight", type=int, default=2000)
    parser.add_argument("--latency", type=int, default=8000, help="of the upstream, ms: until all calls are in flight")
    parser.add_argument("--limit", type=int, default=256, help="of resident memory, MiB")
    parser.add_argument("--build", default="build/release")
    return parser.parse_args()


@dataclass
class Size:
    """Of a process, now; `peak` since its start."""

    resident: int
    peak: int
    descriptors: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> Size:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        kib = {name: int(rest.split()[0]) for name, rest in (line.split(":", 1) for line in lines if "VmHWM" in line or
                                                            "VmRSS" in line or "Threads" in line)}
        return cls(kib["VmRSS"] >> 10, kib["VmHWM"] >> 10, len(os.listdir(f"/proc/{pid}/fd")), kib["Threads"])

    def __str__(self) -> str:
        return f"rss {self.resident} MiB, peak {self.peak} MiB, {self.descriptors} descriptors, {self.threads} threads"


def measure(harness, options, worker, site, upstream) -> bool:
    """Prints what was found; whether it is as it should be."""
    worker.start().wait_ready()
    producer, replies = harness.Producer(site), harness.Replies(site)
    text = "Tell me something about the sea. " * 25
    try:
        sent = producer.send_all([harness.chat("warm", "warm", text)])
        replies.wait(1)
        before = Size.of(worker.pid)
        sent += producer.send_all(harness.chat(f"r{i}", f"c{i}", f"[{i}] {text}") for i in range(options.in_flight))
        harness.until("all are in flight", lambda: worker.metric("chat_worker_inflight") == options.in_flight, 60)
        during = Size.of(worker.pid)
        replies.wait(len(sent), 120)
        upstream.process.terminate()  # or idle connections are kept for the next calls
        harness.until("nothing is left open", lambda: Size.of(worker.pid).descriptors <= before.descriptors, 120)
        after = Size.of(worker.pid)
        harness.judge(sent, harness.read_replies(site)).assert_clean()
    finally:
        producer.close()
        replies.close()
    print(f"before: {before}\n{options.in_flight} in flight: {during}\nafter:  {after}")
    return max(during.peak, after.peak) <= options.limit and after.threads <= before.threads


def main() -> int:
    options = arguments()
    os.environ["CHAT_BUILD"] = options.build
    import harness

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = harness.Broker(folder / "kafka").start()
        site = harness.Site(broker)
        try:
            with harness.standin(folder, "--latency", str(options.latency), "--keepalive", "0") as upstream:
                worker = harness.Worker(
                    folder, "w0", site, upstream.url, chat__deadline_ms=120000, worker__max_in_flight=options.in_flight,
                    worker__drain_ms=130000, openrouter__first_token_timeout_ms=60000,
                    openrouter__stall_timeout_ms=60000, log__level="warn",
                )
                try:
                    is_good = measure(harness, options, worker, site, upstream)
                    worker.terminate()
                    return 0 if is_good and worker.wait() == 0 else 1
                finally:
                    worker.end()
        finally:
            broker.kill()


if __name__ == "__main__":
    sys.exit(main())
