"""The invariants of what processes did during a run. Each prints its figure.

    I6   nothing that a process wrote, and nothing in Kafka, holds the key
    I7   memory, descriptors and threads come back to where they were; memory does not grow over long runs
    I8   SIGTERM: exit code 0 in time, and the group has no member left
    I9   after the last fault every request has its reply within the horizon
    I10  attempts are bounded: a chat's number, its deadline, a refused account, the workers' bound on calls at once,
         the share of retries; and no call is made for what has a committed reply, unless by one who could not know: who
         was frozen, or cut off
    I12  zombies are silent: no progress is committed by one who was fenced, or of a partition that is another one's
    I15  nobody ends by himself

Arithmetic over a history (history.py), without Kafka.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import canary
import figures
from figures import OF_WORKERS
from harness import KEY
from history import Call, Generation, History, Request, Sample, Verdict

SPREAD_MAX = 24  # descriptors and threads more than at first: connections to brokers come and go
SLOPE_MAX = 64 << 10  # bytes a minute
START_S = 10.0  # looks at all workers, one after the other
# How late the stand-in may write down a call that was on its way to it.
LATE_MS = 500
ACCOUNT = (401, 402)
# Whoever is hit by one of the others may take himself for the owner of a partition until so long after it.
DEAF_MS = 3000
# Of all calls so many may be retries, and so many more a minute.
RETRY_SHARE, RETRY_PER_MINUTE = 0.1, 3


# I6


def check_key(history: History) -> Verdict:
    wrong = [f"{path.name} holds the key: {form}" for path in history.sinks
             for form, _ in canary.find(path.read_bytes(), KEY)]
    size = sum(path.stat().st_size for path in history.sinks)
    return Verdict("I6", f"{len(history.sinks)} files with {size >> 10} KiB searched, {len(wrong)} leaks", wrong)


# I7


def check_memory(history: History) -> Verdict:
    wrong = [f"{each.worker} grows by {each.per_minute / 1024:.0f} KiB a minute" for each in figures.growths(history)
             if each.per_minute > SLOPE_MAX]
    peak = max((sample.rss for sample in history.samples), default=0)
    if history.limits.rss is not None and peak > history.limits.rss:
        wrong.append(f"{peak >> 20} MiB resident, {history.limits.rss >> 20} allowed")
    more, at_rest = held_at_rest(history)
    lives = len(figures.lives_of(history))
    return Verdict("I7", f"{len(history.samples)} samples of {lives} lives, at most {peak >> 20} MiB, threads or "
                         f"descriptors at rest {at_rest:+}", wrong + more)


def held_at_rest(history: History) -> tuple[list[str], int]:
    """Each worker has what it had when all was at rest first. One that has been replaced since is another process of the
    same program and settings: it has what the one that held most had then."""
    looks = [sample for sample in history.samples if sample.is_at_rest]
    first: dict[tuple[str, int], Sample] = {}
    for each in looks:
        first.setdefault((each.worker, each.pid), each)
    started_s = min((each.at_s for each in looks), default=0.0)
    wrong, changes = [], []
    for last in {(each.worker, each.pid): each for each in looks}.values():
        own = first[last.worker, last.pid]
        before = [own] if own is not last else [each for each in looks if each.at_s - started_s <= START_S]
        for what, more_max in (("threads", SPREAD_MAX), ("fds", SPREAD_MAX + history.limits.handles)):
            had = [getattr(each, what) for each in before if getattr(each, what) is not None]
            has = getattr(last, what)
            if not had or has is None:
                continue
            changes.append(has - max(had))
            if has - max(had) > more_max:
                wrong.append(f"{last.worker} has {has} {what}, and had {max(had)}")
        if history.limits.connections is not None and last.upstream > history.limits.connections:
            wrong.append(f"{last.worker} keeps {last.upstream} connections, {history.limits.connections} allowed")
    return wrong, max(changes, default=0)


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


def check_liveness(history: History) -> Verdict:
    wrong = []
    took_s = None if history.converged_ms is None else (history.converged_ms - history.healed_ms) / 1000
    if took_s is None or took_s > history.limits.horizon_s:
        wrong.append(f"not all had their replies {history.limits.horizon_s:g} s after the last fault")
    figure = f"all replied to {took_s:.1f} s after the last fault" if took_s is not None else "never all replied to"
    return Verdict("I9", figure, wrong)


# I10


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
    committed = figures.commit_times(history)
    wrong, most = [], 0
    for request in history.requests:
        calls = by_text[request.text]
        if calls:
            most = max(most, len(calls))
            wrong += faults_of_calls(history, request, calls, committed.get(request.place))
    beyond = len(wrong)
    quiet = [call.get("open", 0) for call in history.calls if call["ms"] > history.healed_ms + LATE_MS]
    peak = max(quiet, default=0)
    if history.limits.in_flight is not None and peak > history.limits.in_flight:
        wrong.append(f"{peak} calls at once, {history.limits.in_flight} allowed")
    wrong += retries_beyond(history)
    more = len(history.calls) - sum(1 for request in history.requests if by_text[request.text])
    return Verdict("I10", f"{len(history.calls)} calls, {more} more than requests called for, {most} for one request, "
                          f"{beyond} beyond {history.limits.attempts} x (1 + takeovers), the deadline or the commit, {peak} "
                          f"at once in quiet; workers told of {history.attempts} attempts, {history.retries} of them "
                          f"retries ({history.retries / max(history.attempts, 1):.2%})", wrong)


def retries_beyond(history: History) -> list[str]:
    """The workers' own counters: the journal does not say which calls followed a failed one."""
    times = [request.timestamp_ms for request in history.requests]
    minutes = (max(times) - min(times)) / 60_000 if times else 0
    allowed = int(RETRY_SHARE * history.attempts + RETRY_PER_MINUTE * (minutes + 1))
    return [f"{history.retries} retries, {allowed} allowed"] if history.retries > allowed else []


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

