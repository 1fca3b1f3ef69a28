"""What is noted of worker processes while a run goes on: samples once a second, and how each life ended."""

from __future__ import annotations

import os
import threading
import time
from urllib.parse import urlsplit

import psutil
from harness import Broker, Standin, Worker
from history import Drain, Exit, Sample
from kafka.errors import KafkaError

YOUNG_S = 3.0  # until then a process still opens what it needs
REST_S = 20.0
DRAIN_SLACK_S = 5.0  # of a machine that has other things to do


def now_ms() -> int:
    return int(time.time() * 1000)


def look(worker: Worker, upstream: Standin, age_s: float = 0.0, is_at_rest: bool = False) -> Sample | None:
    """One look at a worker; None when there is nothing to look at, or only a process younger than `age_s`."""
    if worker.process is None or worker.process.poll() is not None:
        return None
    try:
        process = psutil.Process(worker.pid)
        memory, threads = process.memory_info().rss, process.num_threads()
        if time.time() - process.create_time() < age_s:
            return None
    except psutil.NoSuchProcess:
        return None
    fds: int | None = None
    calls: list[object] = []
    try:
        port = urlsplit(upstream.url).port
        calls = [each for each in process.net_connections("tcp") if each.raddr and each.raddr.port == port]
        fds = len(os.listdir(f"/proc/{worker.pid}/fd")) - len(calls)
    except (PermissionError, FileNotFoundError, psutil.Error):
        pass  # a process that cannot be dumped shows its descriptors to root only
    return Sample(worker.name, worker.pid, time.monotonic(), memory, threads, fds, len(calls), is_at_rest)


class Watch:
    """Samples of all workers, each second, until it is stopped."""

    def __init__(self, workers: list[Worker], upstream: Standin, period_s: float = 1.0) -> None:
        self.workers, self.upstream, self.period_s = workers, upstream, period_s
        self.samples: list[Sample] = []
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_stopping.wait(self.period_s):
            self.look()

    def look(self) -> None:
        found = [look(worker, self.upstream, YOUNG_S) for worker in self.workers]
        self.samples += [sample for sample in found if sample is not None]

    def look_at_rest(self) -> None:
        """Once no worker holds more than when it was called first, or when that takes too long: connections to brokers go
        some time after what they were opened for."""
        held = [sample.fds for sample in self.samples if sample.is_at_rest and sample.fds is not None]
        end = time.monotonic() + REST_S
        while True:
            found = [look(worker, self.upstream, is_at_rest=True) for worker in self.workers]
            there = [sample for sample in found if sample is not None]
            if not held or all((each.fds or 0) <= max(held) for each in there) or time.monotonic() > end:
                break
            time.sleep(self.period_s)
        self.samples += there

    def stop(self) -> list[Sample]:
        self._is_stopping.set()
        self._thread.join()
        return self.samples


def end_of(worker: Worker, cause: str) -> Exit:
    assert worker.process is not None and worker.process.returncode is not None
    return Exit(worker.name, worker.process.returncode, cause, worker.tail()[-300:])


def drain(worker: Worker, limit_s: float) -> Drain:
    """SIGTERM, and how it went. A worker that does not end within twice its time is killed."""
    begun = time.monotonic()
    worker.terminate()
    try:
        code = worker.wait(2 * limit_s + DRAIN_SLACK_S)
    except Exception:
        worker.kill()
        code = worker.wait()
    return Drain(worker.name, time.monotonic() - begun, limit_s + DRAIN_SLACK_S, code)


def group_state(broker: Broker, group: str) -> tuple[str, int]:
    """The group's state and how many members it has now; of a coordinator that cannot say, ("", 0)."""
    admin = broker.admin()
    try:
        found = admin.describe_consumer_groups([group])[0]
        return found.state, len(found.members)
    except (KafkaError, ValueError):  # the latter: kafka-python on a group that is not there yet
        return "", 0
    finally:
        admin.close()


def is_stable(broker: Broker, group: str, workers: list[Worker]) -> bool:
    """Whether the group has these members, each with partitions, and no rebalance is under way. A member that is asked to
    end in the middle of a rebalance ends without leaving the group."""
    owned = [worker.metric("chat_worker_assigned_partitions") for worker in workers]
    return min(owned, default=1) > 0 and group_state(broker, group) == ("Stable", len(workers))
