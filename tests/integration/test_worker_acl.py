"""A worker that Kafka does not allow what it needs: it says so, goes on waiting, and works when it is allowed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import harness
import pytest
from harness import PARTITIONS, Replies, Site, Worker, audit, audit_findings, chat, read_replies, until
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

LOGIN = ("org.apache.kafka.common.security.plain.PlainLoginModule required "
         'user_worker="worker-secret" user_other="other-secret";')
# Whoever comes past the client's listener may do everything: the broker itself, and the tests.
SECURED = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
    "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "sasl.enabled.mechanisms": "PLAIN",
    "listener.name.client.plain.sasl.jaas.config": LOGIN,
}
AS_WORKER = ["security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN", "sasl.username=worker",
             "sasl.password=worker-secret"]


class SecuredSite(Site):
    """Workers go through the listener that asks who they are; the test's own clients do not."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.bootstrap = self.broker.internal_bootstrap

    def settings(self) -> dict:
        return {**super().settings(), "kafka.bootstrap_servers": self.broker.bootstrap,
                "kafka.properties": AS_WORKER}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harness.Broker]:
    with harness.Broker(tmp_path_factory.mktemp("kafka"), SECURED) as broker:
        yield broker


@pytest.fixture
def site(broker: harness.Broker) -> SecuredSite:
    return SecuredSite(broker, "secured")


def allow(site: Site, kind: ResourceType, name: str, *operations: ACLOperation) -> None:
    admin = site.broker.admin()
    try:
        acls = [ACL("User:worker", "*", operation, ACLPermissionType.ALLOW, ResourcePattern(kind, name))
                for operation in operations]
        answer = admin.create_acls(acls)
        assert not answer["failed"], answer
    finally:
        admin.close()


def says(worker: Worker, *words: str) -> bool:
    """One line of the log has all of them."""
    return any(all(word in line for word in words) for line in worker.log.read_text().splitlines())


def test_worker_without_permissions_says_so_and_works_when_it_has_them(
        make_worker, upstream, producer, replies: Replies, site, capsys):
    sent = producer.send_all([chat(f"r{i}", f"c{i % 30}", f"{i}") for i in range(100)])
    bad = producer.send_raw(b"\xc1", b"bad")
    worker = make_worker(upstream.url, chat__deadline_ms=120_000, worker__drain_ms=121_000,
                         kafka__producer_properties=["transaction.timeout.ms=4000"]).start()
    until("it says that it may not join", lambda: says(worker, "GROUP_AUTHORIZATION_FAILED")
          or says(worker, "TOPIC_AUTHORIZATION_FAILED"))
    assert worker.get("/healthz")[0] == 200 and worker.get("/readyz")[0] == 503
    allow(site, ResourceType.GROUP, site.group, ACLOperation.READ)
    allow(site, ResourceType.TOPIC, site.requests, ACLOperation.READ, ACLOperation.DESCRIBE)
    until("it has partitions", lambda: worker.metric("chat_worker_assigned_partitions") == PARTITIONS, 60)
    until("it says that it may not use its id", lambda: says(worker, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"))
    allow(site, ResourceType.TRANSACTIONAL_ID, f"{site.name}-w0", ACLOperation.WRITE, ACLOperation.DESCRIBE)
    until("it says that it may not write replies", lambda: says(worker, "TOPIC_AUTHORIZATION_FAILED", "batch"), 60)
    assert worker.process.poll() is None and worker.get("/healthz")[0] == 200
    assert not read_replies(site)
    allow(site, ResourceType.TOPIC, site.responses, ACLOperation.WRITE, ACLOperation.DESCRIBE)
    replies.wait(101, 60)
    # The topic of dead letters may still not be written: no reply waits for it.
    until("the dead letter is given up", lambda: says(worker, "dead letter given up"))
    counts = Counter(reply.source for reply in read_replies(site))
    assert counts == dict.fromkeys([(each.partition, each.offset) for each in [*sent, bad]], 1)
    assert len(upstream.calls()) == len(sent), "a call that had finished was made again"
    until("nothing is left", lambda: worker.metric("chat_worker_consumer_lag") == 0)
    code, verdict = audit(site, "--group", site.group, "--deadline", "120s")
    assert (code, audit_findings(verdict)) == (0, {})
    assert "worker-secret" not in worker.log.read_text()
    assert worker.process.poll() is None
