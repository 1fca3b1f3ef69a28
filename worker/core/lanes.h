/* Order within a conversation: one lane per (partition, conversation id), first in, first out.
 *
 * Only the job at the head of its lane is worked on; the next one follows when the head's reply is made. Lanes appear with
 * their first job and go with their last. A job without a conversation id has no lane and waits for nobody.
 *
 * The table's hash is keyed (SipHash), because ids come from outside. Owner: the flow. Pure. */
#ifndef WORKER_CORE_LANES_H
#define WORKER_CORE_LANES_H

#include "common/hash.h"
#include "worker/core/job.h"

struct lanes;

/* NULL when memory is missing. */
NODISCARD struct lanes *lanes_new(struct hash_key key);

/* Frees the table; all lanes must be empty. Accepts NULL. */
void lanes_free(struct lanes *lanes);

/* Puts `job` at the end of its conversation's lane and sets job->lane. STATUS_NO_MEMORY: nothing changed. */
NODISCARD enum status lanes_enter(struct lanes *lanes, struct job *job);

/* Is nobody before it? True for a job without a lane. */
bool lanes_is_head(const struct job *job);

/* Takes `job` out, wherever it stands. Returns the job that became head by it, NULL when none did. */
struct job *lanes_leave(struct lanes *lanes, struct job *job);

/* `by`, which has no lane, takes the place of `job`, which has none then (as before, if it had none). */
void lanes_replace(struct job *job, struct job *by);

/* How many lanes there are. */
size_t lanes_count(const struct lanes *lanes);

#endif
