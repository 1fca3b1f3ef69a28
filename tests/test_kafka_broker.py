"""The broker that other tests stand on, seen by an independent client."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import kafka_broker
import psutil
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka_broker import Broker, BrokerError, free_ports, wait_until

pytestmark = pytest.mark.deep


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with Broker(tmp_path_factory.mktemp("kafka")) as one:
        yield one


def values_of(bootstrap: str, topic: str, **options) -> list[bytes]:
    """Everything in partition 0 of a topic as a new consumer sees it."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", **options)
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        end = consumer.end_offsets([partition])[partition]
        found: list[bytes] = []
        while consumer.position(partition) < end:
            for records in consumer.poll(timeout_ms=100).values():
                found += [record.value for record in records]
        return found
    finally:
        consumer.close()


def produce(bootstrap: str, topic: str, value: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    producer.send(topic, value).get(timeout=10)
    producer.close()


def test_broker_is_of_the_version_asked_for(broker) -> None:
    """From its own mouth, so that tests of an older version cannot run on the usual one unnoticed."""
    assert f"Kafka version: {kafka_broker.VERSION}\n" in broker.log.read_text()


def test_transaction_aborted_is_not_seen_by_read_committed(broker) -> None:
    broker.create_topics({"transactions": 1})
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, transactional_id="test")
    producer.init_transactions()
    producer.begin_transaction()
    producer.send("transactions", b"aborted")
    producer.flush()
    producer.abort_transaction()
    producer.begin_transaction()
    producer.send("transactions", b"committed")
    producer.commit_transaction()
    producer.close()
    assert values_of(broker.bootstrap, "transactions", isolation_level="read_committed") == [b"committed"]
    assert values_of(broker.bootstrap, "transactions") == [b"aborted", b"committed"]


def test_topics_created_have_their_partitions(broker) -> None:
    broker.create_topics({"twelve": 12, "three": 3})
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap)
    assert [len(consumer.partitions_for_topic(topic)) for topic in ("twelve", "three")] == [12, 3]
    consumer.close()


def test_topic_not_created_is_not_made_by_itself(broker) -> None:
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap)
    assert not consumer.partitions_for_topic("unheard-of")
    assert "unheard-of" not in consumer.topics()
    consumer.close()


@pytest.mark.parametrize("end", [Broker.stop, Broker.kill])
def test_start_again_keeps_ports_and_records(tmp_path, end) -> None:
    with Broker(tmp_path) as broker:
        broker.create_topics({"kept": 1})
        produce(broker.bootstrap, "kept", b"value")
        address = broker.bootstrap
        end(broker)
        assert not broker.is_running()
        broker.start()
        assert broker.bootstrap == address
        assert values_of(address, "kept") == [b"value"]


def test_settings_given_replace_the_fast_ones(tmp_path) -> None:
    broker = Broker(tmp_path, {"group.min.session.timeout.ms": "2000", "log.retention.ms": "1000"})
    broker._write_configuration()
    written = (tmp_path / "server.properties").read_text().splitlines()
    assert "group.min.session.timeout.ms=2000" in written
    assert "log.retention.ms=1000" in written
    assert len(written) == len({line.split("=")[0] for line in written})


def test_advertised_port_is_what_clients_are_told(tmp_path) -> None:
    (port,) = free_ports(1)
    with Broker(tmp_path, advertised_port=port) as broker:
        assert broker.bootstrap == f"127.0.0.1:{port}"
        consumer = KafkaConsumer(bootstrap_servers=broker.internal_bootstrap)
        consumer.topics()
        consumer.close()
        with socket.create_connection(("127.0.0.1", broker.port)):
            pass
    assert f"CLIENT://127.0.0.1:{port}" in (tmp_path / "server.properties").read_text()


def test_paused_broker_does_not_answer_until_resumed(broker) -> None:
    broker.pause()
    try:
        assert psutil.Process(broker.pid).status() == psutil.STATUS_STOPPED
    finally:
        broker.resume()
    wait_until("the broker answers again", broker._answers, 20)


def test_broker_that_cannot_start_shows_its_log(tmp_path) -> None:
    broker = Broker(tmp_path, {"log.segment.bytes": "lots"})
    with pytest.raises(BrokerError, match="log.segment.bytes"):
        broker.start()
    assert not broker.is_running()


def test_version_not_fetched_names_the_way_to_get_it(tmp_path) -> None:
    with pytest.raises(BrokerError, match="scripts/setup kafka"):
        Broker(tmp_path, version="0.0.0").start()


def test_free_ports_differ_and_are_not_for_clients() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert max(ports) < int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


def test_wait_until_too_long_names_what_for() -> None:
    with pytest.raises(BrokerError, match="the moon"):
        wait_until("the moon", lambda: False, 0.0)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_command_prints_address_and_leaves_nothing_behind(tmp_path, end) -> None:
    command = [sys.executable, kafka_broker.__file__, str(tmp_path), "--topic", "chat.requests:2", "--lifetime", "120"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        address = process.stdout.readline().strip()
        (java,) = psutil.Process(process.pid).children()
        consumer = KafkaConsumer(bootstrap_servers=address)
        assert len(consumer.partitions_for_topic("chat.requests")) == 2
        consumer.close()
        os.kill(process.pid, end)
        assert process.wait(20) == (-end if end == signal.SIGKILL else 0)
    psutil.wait_procs([java], timeout=20)
    assert not java.is_running() or java.status() == psutil.STATUS_ZOMBIE


def test_command_ends_after_its_lifetime(tmp_path: Path) -> None:
    command = [sys.executable, kafka_broker.__file__, str(tmp_path), "--lifetime", "0.1"]
    assert subprocess.run(command, stdout=subprocess.DEVNULL, timeout=60).returncode == 0
