/* The verdict of an audit as text for people, or as one JSON object on one line.
 *
 * Threads: the main one. Writes into `out`, whose status the caller looks at. */
#ifndef REPLAY_AUDIT_REPORT_H
#define REPLAY_AUDIT_REPORT_H

#include "common/buffer.h"
#include "replay/audit_judge.h"

/* What was audited; NULL = not asked for. */
struct audit_subject {
	const char *requests;
	const char *dead_letters;
	const char *group;
	int64_t deadline_ms;
};

void audit_report_text(const struct audit_judge *judge, const struct audit_subject *subject, struct buffer *out);

void audit_report_json(const struct audit_judge *judge, const struct audit_subject *subject, struct buffer *out);

#endif
