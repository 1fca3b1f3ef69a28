"""Source and publisher on a real Kafka: exactly once through members that come, go, die, freeze and are fenced.

The echo of tests/tools/kafka_tool takes part in the group; kafka-python produces, reads and asks what is committed.
"""

from __future__ import annotations

import statistics
from collections import Counter
from pathlib import Path

import harness
import pytest
from harness import PARTITIONS, Site, until
from kafka import KafkaProducer, TopicPartition
from kafka_tool import LIMIT_S, Echo

RECORDS = 5000


def produce(site: Site, count: int, partition: int | None = None) -> None:
    """`count` records, spread over all partitions unless one is named."""
    kafka = KafkaProducer(bootstrap_servers=site.bootstrap, linger_ms=5)
    for number in range(count):
        place = number % PARTITIONS if partition is None else partition
        kafka.send(site.requests, b"value-%d" % number, b"key-%d" % number, partition=place)
    kafka.flush(LIMIT_S)
    kafka.close()


def echoed(site: Site, isolation: str = "read_committed") -> Counter[str]:
    records = harness.read_topic(site.bootstrap, site.responses, isolation)
    return Counter(dict(record.headers)["source"].decode() for record in records)


def expected(count: int) -> Counter[str]:
    return Counter(f"{number % PARTITIONS}:{number // PARTITIONS}" for number in range(count))


def all_committed(site: Site, count: int) -> bool:
    return sum(offset for offset, _ in site.committed().values()) == count


def wait_committed(site: Site, count: int) -> None:
    until(f"{count} records are committed", lambda: all_committed(site, count), LIMIT_S)


def test_two_members_join_and_leave_one_echo_each(site: Site, tmp_path: Path) -> None:
    with Echo(site, tmp_path, "one") as one:
        one.wait_ready()
        produce(site, RECORDS // 2)
        with Echo(site, tmp_path, "two") as two:
            two.wait_ready()
            until("both have half", lambda: one.owned() == two.owned() == PARTITIONS // 2, LIMIT_S)
            produce(site, RECORDS - RECORDS // 2)
            assert one.quit() == 0, one.log[-2000:]
            wait_committed(site, RECORDS)
            assert two.quit() == 0, two.log[-2000:]
            times = one.commit_times_ms() + two.commit_times_ms()
    seen = echoed(site)
    assert sum(seen.values()) == RECORDS
    assert set(seen.values()) == {1}
    print(f"transactions {len(times)}, p50 {statistics.median(times):g} ms, "
          f"p95 {statistics.quantiles(times, n=20)[-1]:g} ms")


def test_order_within_a_partition_is_kept(site: Site, tmp_path: Path) -> None:
    produce(site, 600)
    with Echo(site, tmp_path, "one") as one:
        wait_committed(site, 600)
        assert one.quit() == 0
    last: dict[tuple[int, str], int] = {}
    for record in harness.read_topic(site.bootstrap, site.responses):
        source, offset = dict(record.headers)["source"].decode().split(":")
        place = (record.partition, source)
        assert last.get(place, -1) < int(offset)
        last[place] = int(offset)


def test_metadata_of_4000_characters_comes_back(site: Site, tmp_path: Path) -> None:
    with Echo(site, tmp_path, "one", "--metadata-size", "4000") as one:
        produce(site, 1, partition=3)
        one.wait_for("end=committed")
        assert one.quit() == 0, one.log[-2000:]
    offset, metadata = site.committed()[3]
    assert offset == 1
    assert len(metadata) == 4000
    assert metadata.endswith("x" * 3984)
    with Echo(site, tmp_path, "two") as two:
        two.wait_for(r"assigned partition=3 committed=1 metadata=4000 end=1$")
        assert two.quit() == 0


def test_stale_generation_is_aborted_and_invisible(site: Site, tmp_path: Path) -> None:
    with Echo(site, tmp_path, "one") as one:
        one.wait_ready().tell("hold")
        produce(site, 24)
        one.tell("stale", "go")
        one.wait_for("end=aborted")
        wait_committed(site, 24)
        assert one.quit() == 0, one.log[-2000:]
        assert one.ends().count("aborted") == 1
        assert "ILLEGAL_GENERATION" in one.log
    assert echoed(site) == expected(24)
    assert sum(echoed(site, "read_uncommitted").values()) > 24


def test_no_identity_sends_nothing(site: Site, tmp_path: Path) -> None:
    with Echo(site, tmp_path, "one") as one:
        one.wait_ready().tell("hold")
        produce(site, 24)
        one.tell("none", "go")
        one.wait_for("end=aborted")
        wait_committed(site, 24)
        assert one.quit() == 0
    assert echoed(site, "read_uncommitted") == expected(24)


def test_second_process_with_the_same_id_fences_the_first(site: Site, tmp_path: Path) -> None:
    same = ["--id", f"{site.group}-same"]
    with Echo(site, tmp_path, "one", *same) as one:
        one.wait_ready().tell("hold")
        produce(site, 120)
        with Echo(site, tmp_path, "two", *same) as two:
            until("both have half", lambda: one.owned() == two.owned() == PARTITIONS // 2, LIMIT_S)
            two.wait_for("end=committed")
            one.tell("go")
            wait_committed(site, 120)
            assert "uncertain-aborted" in one.ends()
            assert "reason=fenced" in one.log
            assert one.quit() == 0, one.log[-2000:]
            assert two.quit() == 0, two.log[-2000:]
    assert echoed(site) == expected(120)


def test_kill_in_the_middle_one_echo_each(site: Site, tmp_path: Path) -> None:
    produce(site, RECORDS)
    with Echo(site, tmp_path, "one") as one:
        one.wait_for("end=committed", 3)
        one.kill()
    with Echo(site, tmp_path, "two") as two:
        wait_committed(site, RECORDS)
        assert two.quit() == 0, two.log[-2000:]
    seen = echoed(site)
    assert seen == expected(RECORDS)


def test_frozen_member_loses_and_writes_nothing(site: Site, tmp_path: Path) -> None:
    with Echo(site, tmp_path, "one", "--producer-property", "transaction.timeout.ms=3000") as one:
        one.wait_ready().tell("hold")
        produce(site, 120)
        until("records are taken", lambda: one.owned() == PARTITIONS)
        one.freeze()
        with Echo(site, tmp_path, "two") as two:
            wait_committed(site, 120)
            one.thaw()
            one.wait_for(r"revoked count=12 lost=1")
            one.tell("go")
            produce(site, 120)
            wait_committed(site, 240)
            assert one.quit() == 0, one.log[-2000:]
            assert two.quit() == 0, two.log[-2000:]
    assert sum(echoed(site).values()) == 240
    assert set(echoed(site).values()) == {1}


def test_static_member_whose_name_is_taken_ends(site: Site, tmp_path: Path) -> None:
    with Echo(site, tmp_path, "one", "--instance", "pod-1") as one:
        one.wait_ready()
        with Echo(site, tmp_path, "two", "--instance", "pod-1") as two:
            two.wait_ready()
            until("the first one has ended", lambda: one.process.poll() is not None, LIMIT_S)
            assert one.process.returncode == 3
            assert "FENCED_INSTANCE_ID" in one.log
            assert two.quit() == 0


def test_offset_eaten_by_retention_reads_on_from_the_start_of_the_log(site: Site, tmp_path: Path) -> None:
    produce(site, 1, partition=5)
    with Echo(site, tmp_path, "one") as one:
        one.wait_for("end=committed")
        assert one.quit() == 0
    produce(site, 5, partition=5)
    admin = site.broker.admin()
    admin.delete_records({TopicPartition(site.requests, 5): 4})
    admin.close()
    with Echo(site, tmp_path, "two") as two:
        until("the rest is committed", lambda: site.committed()[5][0] == 6, LIMIT_S)
        produce(site, 1, partition=5)
        until("it goes on", lambda: site.committed()[5][0] == 7, LIMIT_S)
        assert two.quit() == 0, two.log[-2000:]
    assert echoed(site) == Counter(["5:0", "5:4", "5:5", "5:6"])


def test_missing_topic_is_aborted_until_it_is_there(site: Site, tmp_path: Path) -> None:
    missing = f"{site.name}.late"
    produce(site, 12)
    with Echo(site, tmp_path, "one", output_topic=missing) as one:
        one.wait_for("end=aborted")
        site.broker.create_topics({missing: 2})
        wait_committed(site, 12)
        assert one.quit() == 0, one.log[-2000:]
    records = harness.read_topic(site.bootstrap, missing)
    assert Counter(dict(r.headers)["source"].decode() for r in records) == expected(12)


@pytest.mark.parametrize("signal_first", [False, True])
def test_at_least_once_loses_nothing(site: Site, tmp_path: Path, signal_first: bool) -> None:
    produce(site, 600)
    with Echo(site, tmp_path, "one", "--at-least-once") as one:
        one.wait_for("end=committed")
        if signal_first:
            one.kill()
        else:
            assert one.quit() == 0, one.log[-2000:]
    with Echo(site, tmp_path, "two", "--at-least-once") as two:
        wait_committed(site, 600)
        assert two.quit() == 0, two.log[-2000:]
    assert set(echoed(site)) == set(expected(600))
