"""One Apache Kafka broker on 127.0.0.1 for tests, with settings that make groups and transactions fast.

    with Broker(tmp_path) as broker:
        broker.create_topics({"chat.requests": 12})
        KafkaProducer(bootstrap_servers=broker.bootstrap)

Needs `scripts/setup kafka`; KAFKA_VERSION in the environment chooses another version than 4.1.1, there and here. Make and
start brokers in a thread that lives as long as they shall: the kernel kills the broker when the thread that started it
ends, so nothing is left behind by a test run that dies.

As a command it runs one broker until it is ended, and prints its address once it answers:

    .cache/venv/bin/python tests/kafka_broker.py FOLDER --topic chat.requests:12
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError

ROOT = Path(__file__).resolve().parent.parent
VERSION = os.environ.get("KAFKA_VERSION", "4.1.1")
JAVA_OPTIONS = ["-Xmx512m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]
START_S = 60.0
PR_SET_PDEATHSIG = 1

# Kafka's defaults are made for large clusters; with these one crash of a client is noticed within a second or two.
FAST = {
    "auto.create.topics.enable": "false",
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    "controlled.shutdown.enable": "false",
    "group.consumer.heartbeat.interval.ms": "300",
    "group.consumer.min.heartbeat.interval.ms": "300",
    "group.consumer.min.session.timeout.ms": "1500",
    "group.consumer.session.timeout.ms": "1500",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "log.cleaner.backoff.ms": "500",
    "log.cleaner.dedupe.buffer.size": "2097152",
    "num.io.threads": "4",
    "num.network.threads": "2",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "200",
    "transaction.max.timeout.ms": "60000",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
}

# Kafka 4 logs by log4j 2, Kafka 3 by what was log4j 1.
LOG4J = """
log4j.rootLogger=INFO, console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{1}: %m%n
"""
LOG4J2 = """
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1}: %m%n
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = console
"""


class BrokerError(Exception):
    """The broker could not be started, or ended by itself; the message has the end of its log."""


def free_ports(count: int) -> list[int]:
    """Ports that are free now. They are not among those that the kernel gives to clients: such a port could be
    taken while a broker restarts, even by a client that tries to reach it and meets itself."""
    first_of_clients = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found: list[int] = []
    for port in random.sample(range(10_000, first_of_clients), 2_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise BrokerError(f"fewer than {count} free ports from 10000 to {first_of_clients - 1}")


def die_with_parent() -> None:
    """Runs in the child before exec: have it killed when the thread that started it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def wait_until(what: str, is_so, timeout_s: float, poll_s: float = 0.05) -> None:
    """Asks again and again until `is_so()` is true; raises BrokerError naming `what` after `timeout_s`."""
    end = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > end:
            raise BrokerError(f"not within {timeout_s:g} s: {what}")
        time.sleep(poll_s)


class Broker:
    """A broker and controller in one process, its data and log below `folder`.

    `properties` are added to, or replace, the fast settings. With `advertised_port` clients are told to connect
    to that port of 127.0.0.1, where a proxy forwards to `port`; `internal_bootstrap` goes past the proxy, as the
    broker's own transaction markers do.
    """

    def __init__(
        self,
        folder: Path | str,
        properties: Mapping[str, str] | None = None,
        advertised_port: int | None = None,
        version: str = VERSION,
        node_id: int = 1,
    ) -> None:
        self.folder = Path(folder)
        self.properties = dict(properties or {})
        self.advertised_port = advertised_port
        self.node_id = node_id
        self.libraries = ROOT / ".cache" / f"kafka-{version}" / "libs"
        self.data = self.folder / "data"
        self.log = self.folder / "kafka.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.port = self.internal_port = self.controller_port = 0

    def __enter__(self) -> Broker:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def bootstrap(self) -> str:
        """Where clients connect: the proxy's port when there is one."""
        return f"127.0.0.1:{self.advertised_port or self.port}"

    @property
    def internal_bootstrap(self) -> str:
        return f"127.0.0.1:{self.internal_port}"

    @property
    def pid(self) -> int:
        assert self.process is not None, "the broker is not running"
        return self.process.pid

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> Broker:
        """Starts the broker and returns when it answers. A broker that ran before keeps its ports and data."""
        self.launch()
        return self.wait_for_answer()

    def take_ports(self) -> None:
        """Chooses the ports, once; `launch` does it when nobody had to know them before."""
        if self.port == 0:
            self.port, self.internal_port, self.controller_port = free_ports(3)

    def launch(self) -> None:
        """Starts the broker and returns at once: brokers of one cluster wait for each other."""
        assert not self.is_running(), "the broker runs already"
        if not self.libraries.is_dir():
            raise BrokerError(f"{self.libraries} is missing: run scripts/setup kafka")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.take_ports()
        self._write_configuration()
        if not self.data.exists():
            self._format()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._java("kafka.Kafka", str(self._configuration)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )

    def wait_for_answer(self) -> Broker:
        try:
            wait_until("the broker answers", self._answers, START_S)
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self, timeout_s: float = 20.0) -> None:
        """Ends the broker in order (SIGTERM), by SIGKILL when it takes longer than `timeout_s`."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self) -> None:
        """Ends the broker at once; its data stay, so `start` goes on from what had reached the disk."""
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        self.process = None

    def restart(self) -> Broker:
        self.stop()
        return self.start()

    def pause(self) -> None:
        """Freezes the broker: connections stay open, nothing answers. Returns when all its threads stand still."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def admin(self) -> KafkaAdminClient:
        """An admin client of kafka-python, past the proxy; close it after use."""
        return KafkaAdminClient(bootstrap_servers=self.internal_bootstrap, request_timeout_ms=10_000)

    def create_topics(self, partitions: Mapping[str, int], configuration: Mapping[str, str] | None = None,
                      replicas: int = 1) -> None:
        """Creates topics, {name: number of partitions}, and returns when each partition has its leader."""
        admin = self.admin()
        try:
            topics = [
                NewTopic(name, count, replicas, topic_configs=dict(configuration or {}))
                for name, count in partitions.items()
            ]
            admin.create_topics(topics, timeout_ms=10_000)

            def all_led() -> bool:
                seen = {topic["topic"]: topic["partitions"] for topic in admin.describe_topics(list(partitions))}
                return all(
                    len(seen.get(name, [])) == count and all(each["leader"] >= 0 for each in seen[name])
                    for name, count in partitions.items()
                )

            wait_until(f"topics {', '.join(partitions)} have leaders", all_led, 10.0)
        finally:
            admin.close()

    @property
    def _configuration(self) -> Path:
        return self.folder / "server.properties"

    def _java(self, *arguments: str) -> list[str]:
        return [
            "java",
            *JAVA_OPTIONS,
            f"-Dlog4j.configuration=file:{self.folder / 'log4j.properties'}",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            "-cp",
            f"{self.libraries}/*",
            *arguments,
        ]

    def _write_configuration(self) -> None:
        here = "127.0.0.1"
        rows = {
            **FAST,
            "process.roles": "broker,controller",
            "node.id": str(self.node_id),
            "controller.quorum.voters": f"{self.node_id}@{here}:{self.controller_port}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "INTERNAL",
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "listeners": f"CLIENT://{here}:{self.port},INTERNAL://{here}:{self.internal_port},"
            f"CONTROLLER://{here}:{self.controller_port}",
            "advertised.listeners": f"CLIENT://{here}:{self.advertised_port or self.port},"
            f"INTERNAL://{here}:{self.internal_port}",
            "log.dirs": str(self.data),
            **self.properties,
        }
        self._configuration.write_text("".join(f"{key}={value}\n" for key, value in rows.items()))
        (self.folder / "log4j.properties").write_text(LOG4J)
        (self.folder / "log4j2.properties").write_text(LOG4J2)

    def _format(self) -> None:
        """Lays out the empty data folder, from a copy made once for each version and node: that saves a start of Java."""
        template = self.libraries.parent / ("formatted" if self.node_id == 1 else f"formatted-{self.node_id}")
        if not template.is_dir():
            with tempfile.TemporaryDirectory(dir=self.libraries.parent) as scratch:
                self._format_anew(Path(scratch))
                try:
                    (Path(scratch) / "data").rename(template)
                except OSError:
                    assert template.is_dir(), "neither we nor another test run could keep the formatted folder"
        shutil.copytree(template, self.data)

    def _format_anew(self, scratch: Path) -> None:
        configuration = scratch / "format.properties"
        text = self._configuration.read_text().replace(f"log.dirs={self.data}\n", f"log.dirs={scratch / 'data'}\n")
        configuration.write_text(text)
        cluster_id = "chatWorkerTestsKafkaQQ"
        done = subprocess.run(
            self._java("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(configuration)),
            capture_output=True,
            text=True,
            timeout=START_S,
        )
        if done.returncode != 0:
            raise BrokerError(f"cannot format the data folder:\n{done.stdout}{done.stderr}")

    def _answers(self) -> bool:
        """Whether our own process is there and answers as a broker; another one on the port does not count."""
        if not self.is_running():
            raise BrokerError(f"the broker ended while starting:\n{self.log.read_text(errors='replace')[-4000:]}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.internal_port)) != 0:
                return False
        try:
            admin = KafkaAdminClient(bootstrap_servers=self.internal_bootstrap, request_timeout_ms=5_000)
        except KafkaError:
            return False
        try:
            return self.node_id in [each["node_id"] for each in admin.describe_cluster()["brokers"]]
        except KafkaError:
            return False
        finally:
            admin.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs one Kafka broker on 127.0.0.1 until it is ended.")
    parser.add_argument("folder", type=Path, help="where its data and log go")
    parser.add_argument("--topic", action="append", default=[], metavar="NAME:PARTITIONS", help="create this topic")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a broker setting")
    parser.add_argument("--lifetime", type=float, default=3600.0, metavar="SECONDS", help="end after this long")
    arguments = parser.parse_args()

    wanted = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    broker = Broker(arguments.folder, dict(each.split("=", 1) for each in arguments.set))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with broker:
        if arguments.topic:
            broker.create_topics({name: int(count) for name, count in (t.rsplit(":", 1) for t in arguments.topic)})
        print(broker.bootstrap, flush=True)
        signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
        signal.sigtimedwait(wanted, arguments.lifetime)
    return 0


if __name__ == "__main__":
    sys.exit(main())
