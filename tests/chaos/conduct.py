"""The invariants of what processes did during a run. Each prints its figure.

    I6   nothing that a process wrote, and nothing in Kafka, holds the key
    I7   memory, descriptors and threads come back to where they were; memory does not grow over long runs
    I8   SIGTERM: exit code 0 in time, and the group has no member left
    I9   after the last fault every request has its reply within the horizon
    I10  attempts are bounded: a chat's number, its deadline, a refused account, the workers' bound on calls at once; and
         no call is made for what has a committed reply, unless by one who could not know: who was frozen, or cut off
    I12  zombies are silent: no progress is committed by one who was fenced, or of a partition that is another one's
    I15  nobody ends by himself

Arithmetic over a history (history.py), without Kafka.
"""

from __future__ import annotations

import statistics
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate

import sinks
from history import Call, Generation, History, Place, Request, Sample, Verdict

SPREAD_MAX = 24  # descriptors and threads more than at first: connections to brokers come and go
SLOPE_MAX = 64 << 10  # bytes a minute
SLOPE_FROM_S, SLOPE_SPAN_S, SLOPE_POINTS = 600.0, 600.0, 400
# How late the stand-in may write down a call that was on its way to it.
LATE_MS = 500
ACCOUNT = (401, 402)
# Faults of workers; the others hurt Kafka or the way to it.
OF_WORKERS = {"kill -9", "zombie", "roll", "join", "leave", "storm", "crash point"}
# Whoever is hit by one of the others may take himself for the owner of a partition until so long after it.
DEAF_MS = 3000
REBALANCE_MS = (3000, 2000)  # before and after a generation begins


# I6


def check_key(history: History) -> Verdict:
    wrong = [f"{path.name} holds the key {form}" for path in history.sinks for form in sinks.forms_of_key(path)]
    size = sum(path.stat().st_size for path in history.sinks)
    return Verdict("I6", f"{len(history.sinks)} files with {size >> 10} KiB searched, {len(wrong)} leaks", wrong)


# I7


def slope(points: list[tuple[float, float]]) -> float:
    """Theil and Sen's: the median of the slopes between all pairs."""
    step = len(points) // SLOPE_POINTS + 1
    chosen = points[::step]
    slopes = [(y2 - y1) / (x2 - x1) for i, (x1, y1) in enumerate(chosen) for x2, y2 in chosen[i + 1 :] if x2 > x1]
    return statistics.median(slopes) if slopes else 0.0


def growth(life: list[Sample]) -> float | None:
    """Bytes a minute once a process has found its size; None for a life too short to say."""
    late = [(each.at_s, float(each.rss)) for each in life if each.at_s - life[0].at_s >= SLOPE_FROM_S]
    if not late or late[-1][0] - late[0][0] < SLOPE_SPAN_S:
        return None
    return slope(late) * 60


def check_memory(history: History) -> Verdict:
    lives: dict[int, list[Sample]] = defaultdict(list)
    for sample in history.samples:
        lives[sample.pid].append(sample)
    wrong, slopes, spreads = [], [], [0]
    for life in lives.values():
        first, last = life[0], life[-1]
        grown = growth(life)
        if grown is not None:
            slopes.append(grown)
            if grown > SLOPE_MAX:
                wrong.append(f"{last.worker} grows by {grown / 1024:.0f} KiB a minute")
        for what, before, after in (("threads", first.threads, last.threads),
                                    ("descriptors", first.fds or 0, last.fds or 0)):
            spreads.append(after - before)
            if after - before > SPREAD_MAX:
                wrong.append(f"{last.worker} has {after} {what}, and had {before}")
    peak = max((sample.rss for sample in history.samples), default=0)
    if history.limits.rss is not None and peak > history.limits.rss:
        wrong.append(f"{peak >> 20} MiB resident, {history.limits.rss >> 20} allowed")
    grown_most = f"{max(slopes) / 1024:.1f} KiB a minute" if slopes else "too short to say"
    return Verdict("I7", f"{len(history.samples)} samples of {len(lives)} lives, at most {peak >> 20} MiB, growth "
                         f"{grown_most}, threads or descriptors +{max(spreads)}", wrong)


# I8


def check_drains(history: History) -> Verdict:
    wrong = [f"{drain.worker} ended with {drain.code} after {drain.took_s:.1f} of {drain.limit_s:.1f} s"
             for drain in history.drains if drain.code != 0 or drain.took_s > drain.limit_s]
    if history.members_left:
        wrong.append(f"{history.members_left} members are left in the group")
    longest = max((drain.took_s for drain in history.drains), default=0.0)
    return Verdict("I8", f"{len(history.drains)} drains, the longest {longest:.1f} s, {history.members_left} members left",
                   wrong)


# I9


def recoveries(history: History) -> dict[str, list[float]]:
    """For each fault, how long after its end the last reply was made to what had been sent before that end, in s."""
    made = {reply.source: reply.timestamp_ms for reply in history.replies}
    in_order = sorted(history.requests, key=lambda request: request.timestamp_ms)
    sent = [request.timestamp_ms for request in in_order]
    last = list(accumulate((made.get(request.place, 0) for request in in_order), max, initial=0))
    found: dict[str, list[float]] = defaultdict(list)
    for fault in history.faults:
        last_ms = last[bisect_right(sent, fault.end_ms)]
        found[fault.kind].append(max(last_ms - fault.end_ms, 0) / 1000)
    return found


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def is_quiet(history: History, owners: set[str | None], begin_ms: int, end_ms: int) -> bool:
    """Whether neither Kafka nor one of these workers was hurt meanwhile."""
    hurt = [fault for fault in history.faults if fault.begin_ms <= end_ms and begin_ms <= fault.end_ms]
    return all(fault.kind in OF_WORKERS and fault.worker not in owners for fault in hurt)


def pauses(history: History) -> list[float]:
    """For each rebalance the longest wait, in s, for a reply from a partition that stayed where it was."""
    by_partition: dict[int, list[tuple[int, int]]] = defaultdict(list)
    sent = {request.place: request.timestamp_ms for request in history.requests}
    for reply in history.replies:
        by_partition[reply.source[0]].append((reply.timestamp_ms, sent.get(reply.source, 0)))
    for replies in by_partition.values():
        replies.sort()
    found = []
    for before, after in zip(history.generations, history.generations[1:]):
        begin_ms, end_ms = after.time_ms - REBALANCE_MS[0], after.time_ms + REBALANCE_MS[1]
        longest = 0.0
        for partition, owner in before.owners.items():
            stays = after.owners.get(partition) == owner
            if stays and is_quiet(history, {before.worker_of(partition)}, begin_ms, end_ms):
                longest = max(longest, longest_wait(by_partition[partition], begin_ms, end_ms))
        if longest > 0:
            found.append(longest)
    return found


def longest_wait(replies: list[tuple[int, int]], begin_ms: int, end_ms: int) -> float:
    """Between two replies, which are in order, less the time in which there was nothing to reply to."""
    near = replies[max(bisect_left(replies, (begin_ms, 0)) - 1, 0) : bisect_left(replies, (end_ms + 1, 0)) + 1]
    waits = [made - max(made_before, sent) for (made_before, _), (made, sent) in zip(near, near[1:])]
    return max(waits, default=0) / 1000


def check_liveness(history: History) -> Verdict:
    wrong = []
    took_s = None if history.converged_ms is None else (history.converged_ms - history.healed_ms) / 1000
    if took_s is None or took_s > history.limits.horizon_s:
        wrong.append(f"not all had their replies {history.limits.horizon_s:g} s after the last fault")
    figure = f"all replied to {took_s:.1f} s after the last fault" if took_s is not None else "never all replied to"
    for kind, times in sorted(recoveries(history).items()):
        figure += (f"\n      {kind:13} {len(times):3} times, recovered after p50 {percentile(times, 0.5):.2f} s, "
                   f"p95 {percentile(times, 0.95):.2f} s, max {max(times):.2f} s")
    waits = pauses(history)
    if waits:
        figure += f"\n      {len(waits)} rebalances alone, longest pause of a partition that stayed {max(waits):.2f} s"
    return Verdict("I9", figure, wrong)


# I10


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


def takeovers(history: History, request: Request, until_ms: int) -> int:
    """How often the request's partition went from one member to another while it was open."""
    last, count = None, 0
    for generation in history.generations:
        now = generation.owners.get(request.place[0])
        is_open = request.timestamp_ms <= generation.time_ms <= until_ms + LATE_MS
        if now is not None and last is not None and now != last and is_open:
            count += 1
        last = now or last
    return count


def could_not_know(history: History, at_ms: int) -> bool:
    return any(fault.begin_ms <= at_ms <= fault.end_ms + DEAF_MS for fault in history.faults
               if fault.kind == "zombie" or fault.kind not in OF_WORKERS)


def faults_of_calls(history: History, request: Request, calls: list[Call], committed_ms: int | None) -> Iterator[str]:
    is_usual = len(calls) <= history.limits.attempts and not any(call.get("status") in ACCOUNT for call in calls)
    changes = 0 if is_usual else takeovers(history, request, max(call["ms"] for call in calls))
    allowed = history.limits.attempts * (1 + changes)
    if len(calls) > allowed:
        yield f"{len(calls)} calls for {request.place}, {allowed} allowed"
    last_ms = request.timestamp_ms + history.limits.deadline_ms + LATE_MS
    late = [call for call in calls if call["ms"] > last_ms]
    if late:
        yield f"a call for {request.place} {late[-1]['ms'] - last_ms + LATE_MS} ms after its deadline"
    again = [] if committed_ms is None else [call for call in calls if call["ms"] > committed_ms + LATE_MS]
    if any(not could_not_know(history, call["ms"]) for call in again):
        yield f"a call for {request.place} {again[-1]['ms'] - committed_ms} ms after its reply was committed"
    refused = [call for call in calls if call.get("status") in ACCOUNT]
    if len(refused) > 1 + changes:
        yield f"{len(refused)} calls for {request.place} that the account was refused"


def check_calls(history: History) -> Verdict:
    by_text: dict[str, list[Call]] = defaultdict(list)
    for call in history.calls:
        by_text[call["text"]].append(call)
    committed = commit_times(history)
    wrong, most = [], 0
    for request in history.requests:
        calls = by_text[request.text]
        if calls:
            most = max(most, len(calls))
            wrong += faults_of_calls(history, request, calls, committed.get(request.place))
    quiet = [call.get("open", 0) for call in history.calls if call["ms"] > history.healed_ms + LATE_MS]
    peak = max(quiet, default=0)
    if history.limits.in_flight is not None and peak > history.limits.in_flight:
        wrong.append(f"{peak} calls at once, {history.limits.in_flight} allowed")
    more = len(history.calls) - sum(1 for request in history.requests if by_text[request.text])
    return Verdict("I10", f"{len(history.calls)} calls, {more} more than requests called for, {most} for one request, "
                          f"{peak} at once in quiet", wrong)


# I12


def check_writers(history: History) -> tuple[list[str], int]:
    """Of each producer id, epochs never fall in a partition: whoever is fenced writes nothing any more."""
    wrong, count = [], 0
    for partition, writers in history.reply_writers.items():
        newest: dict[int, int] = {}
        for producer, epoch in writers:
            count += 1
            if producer >= 0 and epoch < newest.get(producer, 0):
                wrong.append(f"partition {partition}: producer {producer} wrote with epoch {epoch} after {newest[producer]}")
            newest[producer] = max(epoch, newest.get(producer, 0))
    return wrong, count


def check_owners(history: History) -> tuple[list[str], int]:
    """Progress is committed by the partition's owner; while it has none, by the one it had."""
    workers = {producer: name for name, (producer, _) in history.writers.items()}
    to_come = list(reversed(history.generations))
    now = Generation(0, 0, {})
    last: dict[int, str | None] = {}
    known: set[str] = set()
    wrong, count = [], 0
    for commit in history.commits:
        while to_come and to_come[-1].position < commit.position:
            now = to_come.pop()
            known.update(now.names.values())
            last.update({partition: now.worker_of(partition) for partition in now.owners})
        worker = workers.get(commit.writer[0])
        if worker is None or worker not in known:
            continue
        count += 1
        owner = now.worker_of(commit.partition) or last.get(commit.partition)
        if worker != owner:
            wrong.append(f"{worker} commits {commit.offset} of partition {commit.partition}, which is {owner}'s")
    return wrong, count


def check_zombies(history: History) -> Verdict:
    fenced, batches = check_writers(history)
    strangers, commits = check_owners(history)
    return Verdict("I12", f"{batches} batches of {len(history.writers)} producers, {commits} commits in "
                          f"{len(history.generations)} generations, {len(fenced) + len(strangers)} wrong",
                   fenced + strangers)


# I15


def check_exits(history: History) -> Verdict:
    wrong = [f"{each.worker} ended with {each.code}, {each.cause or 'by itself'}: {each.log}"
             for each in history.exits if not is_due(each.code, each.cause)]
    return Verdict("I15", f"{len(history.exits)} lives ended, {len(wrong)} by themselves", wrong)


def is_due(code: int, cause: str) -> bool:
    """Killed when it was killed, 0 when it was asked to end."""
    if cause in ("kill -9", "crash point"):
        return code == -9
    return cause in ("roll", "leave", "end") and code == 0


BEFORE_11 = (check_key, check_memory, check_drains, check_liveness, check_calls)

