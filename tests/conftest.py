"""Fixtures of all tests in Python: one Apache Kafka for the run, topics of its own for each test."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import harness  # noqa: E402

_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "deep: takes long; not part of plain scripts/test")


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harness.Broker]:
    broker = harness.Broker(tmp_path_factory.mktemp("kafka")).start()
    yield broker
    broker.kill()


@pytest.fixture
def site(broker: harness.Broker) -> harness.Site:
    return harness.Site(broker, f"chat{next(_numbers)}")


@pytest.fixture
def producer(site: harness.Site) -> Iterator[harness.Producer]:
    producer = harness.Producer(site)
    yield producer
    producer.close()


@pytest.fixture
def replies(site: harness.Site) -> Iterator[harness.Replies]:
    replies = harness.Replies(site)
    yield replies
    replies.close()


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[harness.Standin]:
    with harness.standin(tmp_path, "--latency", "30", "--keepalive", "0") as standin:
        yield standin


@pytest.fixture
def make_worker(tmp_path: Path, site: harness.Site) -> Iterator[Callable[..., harness.Worker]]:
    """Makes workers that end with the test; each must not have been ended by a sanitizer."""
    workers: list[harness.Worker] = []

    def make(url: str, name: str = "w0", **settings: object) -> harness.Worker:
        worker = harness.Worker(tmp_path, name, site, url, **settings)
        workers.append(worker)
        return worker

    yield make
    for worker in workers:
        worker.end()
        assert "Sanitizer" not in worker.tail(), worker.tail()
