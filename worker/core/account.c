/* The account latch: see the header. */
#include "worker/core/account.h"

#include "common/assertion.h"

bool account_is_refused(const struct account *account)
{
	ASSERT(account->refusal.reason != REASON_NONE || !account->is_probing);
	return account->refusal.reason != REASON_NONE;
}

bool account_refuse(struct account *account, const struct failure *refusal, int64_t now_ms)
{
	ASSERT(refusal->reason != REASON_NONE);
	ASSERT(refusal->action == FAILURE_ACTION_LATCH);
	if (account_is_refused(account)) return false;
	bool is_again = account->was_refused && now_ms - account->lifted_ms < ACCOUNT_PROBE_MS;
	account->refusal = *refusal;
	account->probe_due_ms = now_ms + (is_again ? ACCOUNT_PROBE_MS : ACCOUNT_FIRST_PROBE_MS);
	return true;
}

int64_t account_probe_due(const struct account *account)
{
	bool waits = account_is_refused(account) && !account->is_probing;
	ASSERT(!waits || account->probe_due_ms > 0);
	return waits ? account->probe_due_ms : INT64_MAX;
}

void account_probe(struct account *account, int64_t now_ms)
{
	ASSERT(account_is_refused(account));
	ASSERT(!account->is_probing && !account->is_hurried);
	ASSERT(now_ms >= account->probe_due_ms);
	account->is_probing = true;
	account->probe_due_ms = now_ms + ACCOUNT_PROBE_MS;
}

void account_hurry(struct account *account, int64_t now_ms)
{
	if (!account_is_refused(account)) return;
	ASSERT(now_ms > 0);
	account->is_hurried = account->is_probing;
	account->probe_due_ms = now_ms;
}

bool account_probe_done(struct account *account, bool is_good, int64_t now_ms)
{
	ASSERT(account->is_probing);
	ASSERT(account_is_refused(account));
	account->is_probing = false;
	account->is_hurried = false;
	if (!is_good) return false;
	*account = (struct account){ .was_refused = true, .lifted_ms = now_ms };
	return true;
}
