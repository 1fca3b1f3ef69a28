"""The cluster that tests run on: a broker may die and nothing acknowledged is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from kafka import KafkaProducer

from harness import read_topic
from kafka_cluster import Cluster

pytestmark = pytest.mark.deep


def send(cluster: Cluster, texts: list[str]) -> None:
    producer = KafkaProducer(bootstrap_servers=cluster.bootstrap, acks="all", retries=100)
    try:
        for future in [producer.send("things", text.encode()) for text in texts]:
            future.get(30)
    finally:
        producer.close()


def test_cluster_broker_killed_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        cluster.create_topics({"things": 6})
        send(cluster, [f"before {i}" for i in range(20)])
        cluster.brokers[1].kill()
        send(cluster, [f"between {i}" for i in range(20)])
        cluster.start()
        cluster.wait_in_sync()
        cluster.brokers[0].kill()
        values = {record.value.decode() for record in read_topic(cluster.bootstrap, "things")}
        assert values == {f"{word} {i}" for word in ("before", "between") for i in range(20)}
