"""Three Apache Kafka brokers on 127.0.0.1 that keep every record three times, and take it when two have it.

    with Cluster(tmp_path) as cluster:
        cluster.create_topics({"chat.requests": 12})
        cluster.brokers[1].kill()

Looks like one `Broker` to those who only want topics and addresses. Each broker is a controller, too, so any one may die.
With `proxied` clients reach each broker through a port of its own, `advertised_ports`, where a proxy has to listen.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from kafka_broker import Broker, free_ports, wait_until

COUNT = 3
REPLICATED = {
    "controlled.shutdown.enable": "true",
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "transaction.state.log.replication.factor": "3",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1000",
    "replica.lag.time.max.ms": "3000",
    "unclean.leader.election.enable": "false",
}


class Cluster:
    def __init__(self, folder: Path | str, properties: Mapping[str, str] | None = None, proxied: bool = False) -> None:
        self.advertised_ports: list[int | None] = [*free_ports(COUNT)] if proxied else [None] * COUNT
        self.brokers = [Broker(Path(folder) / f"broker{i + 1}", advertised_port=self.advertised_ports[i], node_id=i + 1)
                        for i in range(COUNT)]
        for broker in self.brokers:
            broker.take_ports()
        voters = ",".join(f"{each.node_id}@127.0.0.1:{each.controller_port}" for each in self.brokers)
        for broker in self.brokers:
            broker.properties = {**REPLICATED, "controller.quorum.voters": voters, **(properties or {})}

    def __enter__(self) -> Cluster:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def bootstrap(self) -> str:
        return ",".join(broker.bootstrap for broker in self.brokers)

    @property
    def internal_bootstrap(self) -> str:
        return ",".join(broker.internal_bootstrap for broker in self.brokers)

    @property
    def data(self) -> Path:
        """What one broker keeps; the same as the others' when all are in sync."""
        return self.brokers[0].data

    def start(self) -> Cluster:
        """Starts all that do not run and returns when every broker is a member that is not fenced."""
        try:
            for broker in self.brokers:
                if not broker.is_running():
                    broker.launch()
            for broker in self.brokers:
                broker.wait_for_answer()
        except BaseException:
            self.kill()
            raise
        return self

    def kill(self) -> None:
        for broker in self.brokers:
            broker.kill()

    def pause(self) -> None:
        for broker in self.brokers:
            broker.pause()

    def resume(self) -> None:
        for broker in self.brokers:
            broker.resume()

    def admin(self) -> KafkaAdminClient:
        """An admin client of kafka-python, past the proxies; close it after use."""
        return KafkaAdminClient(bootstrap_servers=self.internal_bootstrap, request_timeout_ms=10_000)

    def create_topics(self, partitions: Mapping[str, int], configuration: Mapping[str, str] | None = None) -> None:
        self.brokers[0].create_topics(partitions, configuration, replicas=COUNT)

    def wait_in_sync(self, timeout_s: float = 60.0) -> None:
        """Returns when every partition is on all brokers again; before, another one that dies can stop writing."""

        def is_in_sync() -> bool:
            try:
                admin = self.admin()
            except KafkaError:
                return False
            try:
                return all(len(partition["isr"]) == COUNT for topic in admin.describe_topics()
                           for partition in topic["partitions"])
            except KafkaError:
                return False
            finally:
                admin.close()

        wait_until("every partition has all its replicas", is_in_sync, timeout_s)

    def _java(self, *arguments: str) -> list[str]:
        return self.brokers[0]._java(*arguments)
