"""Kafka behind a proxy that can interfere, and what else the tests of this folder start."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

import harness
import pytest
from chaos_size import is_short
from frame_proxy import FrameProxy
from stage import ProxiedSite

# It tells of every attempt to reach a broker that is away on purpose.
logging.getLogger("kafka").setLevel(logging.CRITICAL)

_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "ci: not in the cut that CHAOS_SIZE=short runs")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not is_short():
        return
    left_out = [item for item in items if item.get_closest_marker("ci")]
    items[:] = [item for item in items if not item.get_closest_marker("ci")]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harness.Broker]:
    with harness.Broker(tmp_path_factory.mktemp("kafka"), advertised_port=harness.free_port()) as broker:
        yield broker


@pytest.fixture
def proxy(broker: harness.Broker) -> Iterator[FrameProxy]:
    assert broker.advertised_port is not None
    with FrameProxy(broker.advertised_port, lambda: broker.port) as proxy:
        yield proxy


@pytest.fixture
def site(broker: harness.Broker, proxy: FrameProxy) -> ProxiedSite:
    return ProxiedSite(broker, f"chaos{next(_numbers)}")


@pytest.fixture
def upstream(tmp_path) -> Iterator[harness.Standin]:
    with harness.standin(tmp_path, "--latency", "20", "--jitter", "20", "--keepalive", "0") as standin:
        yield standin
