#include "worker/worker_key.h"

#include <string.h>

/* The key before the former one is of no use to anybody and is masked no more: masks have a bound, keys may change for
 * ever. What is too short to be masked cannot be helped. */
static void mask_in_log(const struct worker_key *key, struct bytes unused)
{
	enum status status = log_redact(key->log, secret_bytes(key->secret));
	(void)status;
	if (bytes_is_given(unused)) log_forget(key->log, unused);
}

static enum status read_again(struct worker_key *key, struct buffer *problem)
{
	char text[SECRET_SIZE_MAX];
	struct bytes former = secret_former(key->secret);
	if (former.size > 0) memcpy(text, former.data, former.size);
	enum status status = secret_read_again(key->secret, problem);
	if (status == STATUS_OK) mask_in_log(key, former.size > 0 ? bytes_at(text, former.size) : BYTES_NONE);
	explicit_bzero(text, sizeof(text));
	return status;
}

static void hand_over(struct worker_key *key, struct instant now)
{
	key->is_pending = upstream_set_key(key->upstream, secret_bytes(key->secret)) != STATUS_OK;
	if (key->is_pending) return;
	flow_key_changed(key->flow, now);
	log_event(key->log, LOG_LEVEL_INFO, "another key was read from its file", LOG_NO_FIELDS);
}

static void tell(const struct worker_key *key, enum status status, struct bytes problem)
{
	if (status == STATUS_EMPTY)
		log_event(key->log, LOG_LEVEL_INFO, "the file has the same key as before", LOG_NO_FIELDS);
	else
		log_event(key->log, LOG_LEVEL_WARN, "the key cannot be read again",
			LOG_FIELDS(log_text("why", bytes_is_given(problem) ? problem : bytes_of(status_text(status)))));
}

static void look(struct worker_key *key, bool is_asked, struct instant now)
{
	struct buffer problem;
	buffer_init(&problem, 1024);
	key->due_ms = now.mono_ms + WORKER_KEY_INTERVAL_MS;
	enum status status = read_again(key, &problem);
	if (status == STATUS_OK)
		hand_over(key, now);
	else if (is_asked || (status != STATUS_EMPTY && status != key->last))
		tell(key, status, problem.size > 0 ? buffer_bytes(&problem) : BYTES_NONE);
	key->last = status;
	buffer_deinit(&problem);
}

void worker_key_read(struct worker_key *key, struct instant now)
{
	look(key, true, now);
}

void worker_key_tick(struct worker_key *key, struct instant now)
{
	bool is_refused = flow_account_is_refused(key->flow) && secret_has_file(key->secret);
	if (!key->is_pending && !is_refused) {
		key->due_ms = 0;
		return;
	}
	if (now.mono_ms < key->due_ms) return;
	if (key->is_pending) hand_over(key, now);
	look(key, false, now);
}
