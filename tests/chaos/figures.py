"""What a run cost and how long it took to come back: figures of a history that are told. What is wrong says conduct.py.

A fault is alone when no other one was under way from a little before it until a little after it (nemesis_cluster.py sees
to it that there are such); what recovers slowly among many faults may be slow for any of them.

Arithmetic over a history (history.py), without Kafka.
"""

from __future__ import annotations

import statistics
from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass
from itertools import accumulate

from history import Fault, History, Place, Request, Sample

# A life's first minutes, in which it finds its size, and how long it must be looked at after them.
SLOPE_FROM_S, SLOPE_SPAN_S, SLOPE_POINTS = 600.0, 600.0, 400
# Faults of workers; the others hurt Kafka or the way to it.
OF_WORKERS = {"kill -9", "zombie", "roll", "join", "leave", "storm", "crash point"}
REBALANCE_MS = (3000, 2000)  # before and after a generation begins
ALONE_MS = (1500, 3500)  # before and after a fault


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def spread(values: list[float], form: str) -> str:
    """Median, 95 of 100 and the most."""
    if not values:
        return "never"
    p50, p95, most = (form % each for each in (percentile(values, 0.5), percentile(values, 0.95), max(values)))
    return f"p50 {p50}, p95 {p95}, max {most}"


def is_alone(history: History, fault: Fault) -> bool:
    begin_ms, end_ms = fault.begin_ms - ALONE_MS[0], fault.end_ms + ALONE_MS[1]
    return not any(other is not fault and other.begin_ms <= end_ms and begin_ms <= other.end_ms
                   for other in history.faults)


# Memory, descriptors, threads


def slope(points: list[tuple[float, float]]) -> float:
    """Theil and Sen's: the median of the slopes between all pairs."""
    step = len(points) // SLOPE_POINTS + 1
    chosen = points[::step]
    slopes = [(y2 - y1) / (x2 - x1) for i, (x1, y1) in enumerate(chosen) for x2, y2 in chosen[i + 1 :] if x2 > x1]
    return statistics.median(slopes) if slopes else 0.0


@dataclass
class Growth:
    worker: str
    span_s: float  # of its life, after the first minutes
    per_minute: float  # bytes


def lives_of(history: History) -> dict[tuple[str, int], list[Sample]]:
    lives: dict[tuple[str, int], list[Sample]] = defaultdict(list)
    for sample in history.samples:
        lives[sample.worker, sample.pid].append(sample)
    return lives


def growths(history: History) -> list[Growth]:
    """Of the lives that are long enough to say, the longest first."""
    found = []
    for life in lives_of(history).values():
        late = [(each.at_s, float(each.rss)) for each in life if each.at_s - life[0].at_s >= SLOPE_FROM_S]
        if late and late[-1][0] - late[0][0] >= SLOPE_SPAN_S:
            found.append(Growth(life[0].worker, late[-1][0] - late[0][0], slope(late) * 60))
    return sorted(found, key=lambda each: -each.span_s)


def memory_lines(history: History) -> list[str]:
    rss = [float(sample.rss >> 20) for sample in history.samples]
    lines = [f"resident memory {spread(rss, '%.0f MiB')}"]
    lines += [f"{each.worker} grows by {each.per_minute / 1024:.1f} KiB a minute (Theil-Sen over {each.span_s / 60:.0f} "
              f"minutes, after {SLOPE_FROM_S / 60:.0f})" for each in growths(history)]
    if len(lines) == 1:
        lines.append("no life is long enough to say how memory grows")
    return lines + rest_lines(history)


def rest_lines(history: History) -> list[str]:
    """What each worker held whenever all was at rest: at the start, and after the last calm."""
    by_worker: dict[str, list[Sample]] = defaultdict(list)
    for sample in history.samples:
        if sample.is_at_rest:
            by_worker[sample.worker].append(sample)
    lines = []
    for worker, looks in sorted(by_worker.items()):
        told = "; then ".join(f"{each.threads} threads, {each.fds} descriptors and {each.upstream} connections to the "
                              "model service" for each in looks)
        lines.append(f"{worker} at rest: {told}{'' if looks[0].pid == looks[-1].pid else ' (another life)'}")
    return lines


# Kills


def commit_times(history: History) -> dict[Place, int]:
    """When the progress that covers each request was committed first."""
    offsets: dict[int, list[int]] = defaultdict(list)
    for request in history.requests:
        offsets[request.place[0]].append(request.place[1])
    for each in offsets.values():
        each.sort(reverse=True)
    found: dict[Place, int] = {}
    for commit in history.commits:
        left = offsets[commit.partition]
        while left and left[-1] < commit.offset:
            found.setdefault((commit.partition, left.pop()), commit.time_ms)
        for offset in commit.finished:
            found.setdefault((commit.partition, offset), commit.time_ms)
    return found


@dataclass
class KillCost:
    finished: int  # calls that were over, of requests whose reply was not committed
    repeated: int  # of those requests, how many were called for again
    is_alone: bool


def owned_since(history: History, worker: str, at_ms: int) -> dict[int, int]:
    """The partitions that a worker owns then, and since when the same life has owned each."""
    found: dict[int, tuple[str, int]] = {}
    for generation in history.generations:
        if generation.time_ms > at_ms:
            break
        mine = {partition: member for partition, member in generation.owners.items()
                if generation.names.get(member) == worker}
        found = {partition: found[partition] if found.get(partition, ("", 0))[0] == member
                 else (member, generation.time_ms) for partition, member in mine.items()}
    return {partition: since_ms for partition, (_, since_ms) in found.items()}


def kill_costs(history: History) -> list[KillCost]:
    """For each kill -9."""
    requests = {request.text: request for request in history.requests}
    calls = sorted(((call["ms"], requests[call["text"]].place) for call in history.calls if call["text"] in requests))
    times, last = [ms for ms, _ in calls], {place: ms for ms, place in calls}
    committed = commit_times(history)
    found = []
    for fault in history.faults:
        if fault.kind != "kill -9":
            continue
        owned = owned_since(history, fault.worker, fault.begin_ms)
        first = bisect_left(times, fault.begin_ms - history.limits.deadline_ms)
        over = bisect_right(times, fault.begin_ms - history.limits.call_ms)
        own = {place for ms, place in calls[first:over] if place[0] in owned and ms >= owned[place[0]]}
        open_ones = {place for place in own if committed.get(place, fault.begin_ms + 1) > fault.begin_ms}
        repeated = sum(1 for place in open_ones if last[place] > fault.begin_ms)
        found.append(KillCost(len(open_ones), repeated, is_alone(history, fault)))
    return found


def kill_lines(history: History) -> list[str]:
    costs = kill_costs(history)
    lines = []
    for name, those in (("kills", costs), ("kills alone", [each for each in costs if each.is_alone])):
        finished, repeated = [float(each.finished) for each in those], [float(each.repeated) for each in those]
        lines.append(f"{len(those)} {name}: calls finished since the last commit {spread(finished, '%.0f')}; of them made "
                     f"again {spread(repeated, '%.0f')}")
    return lines


# Recovery


@dataclass
class Recovery:
    kind: str
    took_s: float
    is_alone: bool


def recoveries(history: History) -> list[Recovery]:
    """For each fault, how long after its end the last reply was made to what had been sent before that end."""
    made = {reply.source: reply.timestamp_ms for reply in history.replies}
    in_order = sorted(history.requests, key=lambda request: request.timestamp_ms)
    sent = [request.timestamp_ms for request in in_order]
    last = list(accumulate((made.get(request.place, 0) for request in in_order), max, initial=0))
    found = []
    for fault in history.faults:
        last_ms = last[bisect_right(sent, fault.end_ms)]
        found.append(Recovery(fault.kind, max(last_ms - fault.end_ms, 0) / 1000, is_alone(history, fault)))
    return found


def recovery_lines(history: History) -> list[str]:
    by_kind: dict[str, list[Recovery]] = defaultdict(list)
    for each in recoveries(history):
        by_kind[each.kind].append(each)
    lines = []
    for kind, all_of_it in sorted(by_kind.items()):
        times, alone = [each.took_s for each in all_of_it], [each.took_s for each in all_of_it if each.is_alone]
        lines.append(f"{kind:14} {len(times):3} times, recovered after {spread(times, '%.2f s')}; {len(alone):2} alone, "
                     f"{spread(alone, '%.2f s')}")
    return lines


# Rebalances


def is_quiet(history: History, owners: set[str | None], begin_ms: int, end_ms: int) -> bool:
    """Whether neither Kafka nor one of these workers was hurt meanwhile."""
    hurt = [fault for fault in history.faults if fault.begin_ms <= end_ms and begin_ms <= fault.end_ms]
    return all(fault.kind in OF_WORKERS and fault.worker not in owners for fault in hurt)


def replies_by_partition(history: History) -> dict[int, list[tuple[int, int]]]:
    """When each reply was made, in order, and its request sent."""
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    sent = {request.place: request.timestamp_ms for request in history.requests}
    for reply in history.replies:
        found[reply.source[0]].append((reply.timestamp_ms, sent.get(reply.source, 0)))
    for replies in found.values():
        replies.sort()
    return found


def pauses(history: History) -> list[float]:
    """For each rebalance the longest wait, in s, for a reply from a partition that stayed where it was."""
    by_partition = replies_by_partition(history)
    found = []
    for before, after in zip(history.generations, history.generations[1:]):
        longest = 0.0
        for partition, owner in before.owners.items():
            if after.owners.get(partition) == owner:
                worker = before.worker_of(partition)
                longest = max(longest, longest_wait(history, by_partition[partition], worker, after.time_ms))
        if longest > 0:
            found.append(longest)
    return found


def longest_wait(history: History, replies: list[tuple[int, int]], worker: str | None, at_ms: int) -> float:
    """Around a rebalance, between two replies, which are in order, less the time in which there was nothing to reply to.
    What may be due to something else that was broken is left out."""
    begin_ms, end_ms = at_ms - REBALANCE_MS[0], at_ms + REBALANCE_MS[1]
    near = replies[max(bisect_left(replies, (begin_ms, 0)) - 1, 0) : bisect_left(replies, (end_ms + 1, 0)) + 1]
    waits = [(max(made_before, sent), made) for (made_before, _), (made, sent) in zip(near, near[1:])]
    for since_ms, made in sorted(waits, key=lambda wait: wait[0] - wait[1]):
        if is_quiet(history, {worker}, min(since_ms - REBALANCE_MS[0], begin_ms), max(made, end_ms)):
            return (made - since_ms) / 1000
    return 0.0


def rebalance_lines(history: History) -> list[str]:
    waits = pauses(history)
    count = max(len(history.generations) - 1, 0)
    return [f"{count} rebalances, {len(waits)} while Kafka was not hurt; longest pause of a partition that stayed "
            f"{spread(waits, '%.2f s')}"]


def lines(history: History) -> list[str]:
    return [*memory_lines(history), *kill_lines(history), *recovery_lines(history), *rebalance_lines(history)]
