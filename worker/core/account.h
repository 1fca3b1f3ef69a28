/* The account latch: when the model service refuses the account (401, 402), every call would end in the same way, so none
 * is made until a probe of the key says that it works again.
 *
 * One probe at a time: the first soon, since a key is often changed by mistake and back, then twice a minute. An account
 * that is refused again soon after it was found good is probed twice a minute at once: a probe of the key does not see
 * everything that a chat does.
 *
 * Times are milliseconds of the monotonic clock. Plain value; owner: whoever embeds it. Nothing blocks or fails. */
#ifndef WORKER_CORE_ACCOUNT_H
#define WORKER_CORE_ACCOUNT_H

#include "worker/core/failure.h"

enum {
	ACCOUNT_FIRST_PROBE_MS = 1000,   /* after the refusal */
	ACCOUNT_PROBE_MS = 30000,        /* after the last probe began */
	ACCOUNT_PROBE_TIMEOUT_MS = 5000, /* of a probe */
};

/* All zero = works. */
struct account {
	struct failure refusal; /* reason REASON_NONE = the account works */
	int64_t probe_due_ms;   /* while refused: when the next probe is to begin */
	bool is_probing;
	bool is_hurried;  /* the probe under way began before something changed */
	bool was_refused; /* and found good again, at … */
	int64_t lifted_ms;
};

bool account_is_refused(const struct account *account);

/* A chat was refused because of the account. True: that is news. */
bool account_refuse(struct account *account, const struct failure *refusal, int64_t now_ms);

/* When the next probe is to begin; INT64_MAX = none. */
int64_t account_probe_due(const struct account *account);

/* The probe begins; only when it is due. */
void account_probe(struct account *account, int64_t now_ms);

/* What it was refused for may be mended, as by another key: the next probe is due now, or as soon as the one under way has
 * failed. Nothing happens while the account works. */
void account_hurry(struct account *account, int64_t now_ms);

/* It has ended. True: the account works again. */
bool account_probe_done(struct account *account, bool is_good, int64_t now_ms);

#endif
