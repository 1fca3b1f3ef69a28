/* What is kept of chats whose partition was given up, in case the partition comes back to this process: finished replies
 * that were not committed, and calls that still run. An outage of the brokers that is longer than the session would
 * otherwise repeat, and charge, every call of that time.
 *
 * What is settled here and in flow_park.c, which is the policy around this container:
 *
 *   identity   A kept chat belongs to (partition, offset), and to the very record: a topic may have been made anew, its
 *              offsets then mean other records. The record itself is kept and compared byte for byte, time, key, value and
 *              headers. A reply is kept when a call was made for it; one that cost nothing is made again.
 *   coming     Nothing kept is published by itself. The partition has to be assigned anew, with its committed progress
 *   back       read; the record is then taken from the log again, finds its offset open, and walks through its lane in
 *              its order. Only when it is at the head does the kept chat take its place: a reply is queued, a call is
 *              waited for until the chat's deadline. A reply that is made is used also when the deadline has passed:
 *              it is paid for, and better than the fallback that would be told instead.
 *   batch      A batch under way when its partition goes is decided as ever. Its chats are kept at once and looked for
 *   under way  when the batch is back: stored, they are gone; aborted, they wait here. If the partition is back sooner,
 *              they belong to it again, and take their place among the replies made since when theirs was aborted: what
 *              stands before them in their conversation may not have been in that batch.
 *   given up   PARK_END_TABLE has all the ways a kept chat ends. Time and bytes are the settings' (worker.park_ms,
 *              worker.park_bytes), the oldest goes first; both 0 and a drain keep nothing.
 *   slots      Calls that run on keep their slots, within the bound on calls. They are as good as paid, so ending them
 *              saves little, and it costs a whole call if the partition comes back first. But a chat of a partition that
 *              is here never waits for them: when one finds no free slot, the oldest kept call is cancelled. So the
 *              park's share of the slots is what nobody else wants, and none lasts longer than its chat's deadline. Of a
 *              hedged attempt one call is kept: that which has shown content, else the first.
 *   bytes      Kept chats and their calls count against the park's bound and not against the one on chats: the park stops
 *              no reading.
 *
 * The container: found by (partition, offset), walked from the oldest on. It knows nothing of the flow. Owner: the flow,
 * on its thread. Jobs are borrowed; whoever puts one in takes it out before it is freed. Pure; nothing blocks. */
#ifndef WORKER_CORE_PARK_H
#define WORKER_CORE_PARK_H

#include "common/hash.h"
#include "worker/core/job.h"

/* How a kept chat ends. member, word */
#define PARK_END_TABLE(ROW)                        \
	ROW(PARK_END_USED, "used")                 \
	ROW(PARK_END_FINISHED, "finished")         \
	ROW(PARK_END_OTHER_RECORD, "other_record") \
	ROW(PARK_END_EXPIRED, "expired")           \
	ROW(PARK_END_FULL, "full")                 \
	ROW(PARK_END_YIELDED, "yielded")           \
	ROW(PARK_END_FAILED, "failed")             \
	ROW(PARK_END_LATE, "late")                 \
	ROW(PARK_END_DRAINED, "drained")

/* USED          its partition came back, and it took the place of its record
 * FINISHED      it is committed: the batch under way was stored, or another owner has answered
 * OTHER_RECORD  at its offset is another record now
 * EXPIRED       its time is over
 * FULL          the bound on bytes is met, and it was the oldest
 * YIELDED       its call was cancelled for a chat that found no free slot
 * FAILED        its call ended without an answer; there is nothing to keep
 * LATE          its call still ran when the chat came back behind its deadline
 * DRAINED       the process ends */
#define PARK_END_MEMBER(member, word) member,
enum park_end { PARK_END_TABLE(PARK_END_MEMBER) PARK_END_COUNT };
#undef PARK_END_MEMBER

/* Static word, for logs and as a label. */
const char *park_end_word(enum park_end end);

struct park_options {
	int64_t keep_ms;  /* from the moment it is given up */
	size_t bytes_max; /* of all kept chats and their calls; 0 of either: nothing is kept */
};

struct park;

/* NULL when memory is missing. The hash is keyed, as all here are. */
NODISCARD struct park *park_new(struct hash_key key);

/* Must be empty. Accepts NULL. */
void park_free(struct park *park);

/* Enters a job, which must not be in and whose place must be free, as the newest; sets job->parked. `until_ms` must not
 * be earlier than that of the one before. `is_calling`: its call still runs. STATUS_NO_MEMORY: nothing changed. */
NODISCARD enum status park_put(struct park *park, struct job *job, size_t bytes, int64_t until_ms, bool is_calling);

/* The job's call has ended; it takes `bytes` now, and stays as old as it was. */
void park_call_ended(struct park *park, struct job *job, size_t bytes);

/* Takes a job out and resets job->parked. */
void park_remove(struct park *park, struct job *job);

/* NULL when nothing is kept for that offset. */
struct job *park_find(const struct park *park, int32_t partition, int64_t offset);

/* The one that was put in first, of all or of those whose call still runs; NULL when there is none. */
struct job *park_oldest(const struct park *park);
struct job *park_oldest_call(const struct park *park);

/* The one that was put in after `job`; NULL behind the last. */
struct job *park_next(const struct park *park, const struct job *job);

/* Until when the oldest is kept; INT64_MAX = there is none. */
int64_t park_due(const struct park *park);

/* All of them, those among them whose calls run, and the bytes of all. */
size_t park_count(const struct park *park);
size_t park_calls(const struct park *park);
size_t park_bytes(const struct park *park);

#endif
