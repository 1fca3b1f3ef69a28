/* From Kafka's records to what the judge of an audit is told: ids, keys and what a reply or a dead letter stands for.
 *
 * Reads only those few fields, so it is quick, and it judges nothing else: a request that the worker turned down has a
 * conversation and perhaps an id all the same.
 *
 * Ownership: views point into the record or into `arena`, which a record needs little of; use a fresh one for each.
 * Threads: any. Nothing blocks. */
#ifndef REPLAY_AUDIT_FACTS_H
#define REPLAY_AUDIT_FACTS_H

#include "common/arena.h"
#include "replay/audit_judge.h"
#include "schemas/record.h"

/* Bytes an arena for one record may take. */
enum { AUDIT_FACTS_ARENA_MAX = 64 * 1024 };

/* STATUS_NO_MEMORY. */
NODISCARD enum status audit_facts_request(
	const struct record *record, struct arena *arena, struct audit_request *out_request);

/* What is no reply is told as one that is not readable. STATUS_NO_MEMORY. */
NODISCARD enum status audit_facts_reply(
	const struct record *record, const char *topic, struct arena *arena, struct audit_reply *out_reply);

/* Reads headers only. What is no dead letter is told as one that is not readable. */
void audit_facts_letter(const struct record *record, const char *topic, struct audit_letter *out_letter);

#endif
