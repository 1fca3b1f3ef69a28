/* From settings to options: see the header. */
#include "worker/worker_options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/assertion.h"

enum { CREDIT_INTERVAL_MS = 60000 };
/* A turn of the loop waits for half of this at most when nothing happens. */
enum { STANDSTILL_LEAST_MS = 1000 };
/* What a record may grow to while it is read: every byte of text may need six in JSON. */
enum { GROWTH = 8, SLACK_BYTES = 1 << 20, ENVELOPE_BYTES = 1 << 16 };

static const struct bytes *add_list(const struct settings_list *list, struct bytes **next)
{
	struct bytes *first = *next;
	for (size_t i = 0; i < list->count; i++)
		*(*next)++ = bytes_of(list->items[i]);
	return first;
}

static bool list_has(const struct settings_list *list, const char *word)
{
	for (size_t i = 0; i < list->count; i++)
		if (bytes_equal_text(bytes_of(word), list->items[i])) return true;
	return false;
}

/* Empty text = not given. */
static struct bytes given(const char *text)
{
	return text[0] == '\0' ? BYTES_NONE : bytes_of(text);
}

static enum status fill_lists(struct worker_options *options, const struct settings *settings)
{
	const struct settings_list *models = &settings->openrouter.models;
	const struct settings_list *allowed = &settings->openrouter.allowed_models;
	const struct settings_list *topics = &settings->kafka.reply_topics;
	options->lists = calloc(models->count + allowed->count + topics->count + 1, sizeof(struct bytes));
	if (options->lists == NULL) return STATUS_NO_MEMORY;

	struct bytes *next = options->lists;
	struct flow_options *flow = &options->flow;
	flow->models = add_list(models, &next);
	flow->model_count = models->count;
	flow->allowed_models = add_list(allowed, &next);
	flow->allowed_model_count = allowed->count;
	flow->reply_topics = add_list(topics, &next);
	flow->reply_topic_count = topics->count;
	return STATUS_OK;
}

static void fill_upstream(struct worker_options *options, const struct settings *settings)
{
	const struct settings_openrouter *openrouter = &settings->openrouter;
	enum upstream_http http = UPSTREAM_HTTP_AUTO;
	switch (openrouter->http_version) {
	case SETTINGS_HTTP_VERSION_AUTO:
		http = UPSTREAM_HTTP_AUTO;
		break;
	case SETTINGS_HTTP_VERSION_1_1:
		http = UPSTREAM_HTTP_1_1;
		break;
	case SETTINGS_HTTP_VERSION_2:
		http = UPSTREAM_HTTP_2;
		break;
	}
	options->upstream = (struct upstream_options){
		.base_url = openrouter->base_url,
		.app_url = openrouter->app_url,
		.app_title = openrouter->app_title,
		.ca_file = openrouter->ca_file,
		.proxy = openrouter->proxy,
		.http = http,
		.insecure_http = openrouter->insecure_http,
		.threads = (int)settings->worker.threads,
		.in_flight_max = (int)settings->worker.max_in_flight,
		.streams_per_connection = (int)openrouter->streams_per_connection,
		.connect_timeout_ms = (int)openrouter->connect_timeout_ms,
		.cache_ttl_s = (int)openrouter->cache_ttl_s,
		.limits = {
			.body_bytes = (size_t)openrouter->response_max_bytes,
			.event_bytes = (size_t)openrouter->response_max_bytes,
			.depth = (size_t)settings->limits.depth * 2,
		},
	};
}

static void fill_chat(struct worker_options *options, const struct settings *settings)
{
	struct flow_options *flow = &options->flow;
	flow->limits = (struct chat_limits){
		.record_bytes = (size_t)settings->limits.record_bytes,
		.depth = (size_t)settings->limits.depth,
		.messages = (size_t)settings->limits.messages,
		.id_bytes = (size_t)settings->limits.id_bytes,
	};
	flow->history = (struct history_limits){
		.messages_max = (size_t)settings->chat.history_max_messages,
		.bytes_max = (size_t)settings->chat.history_max_bytes,
	};
	flow->deadline_ms = settings->chat.deadline_ms;
	flow->deadline_max_ms = settings->chat.deadline_max_ms;
	flow->publish_reserve_ms = settings->chat.publish_reserve_ms;
	flow->ordered = settings->chat.ordering == SETTINGS_ORDERING_CONVERSATION;
	flow->system_prompt = given(settings->chat.system_prompt);
	flow->provider = given(settings->openrouter.provider);
	if (settings->openrouter.temperature >= 0)
		snprintf(options->temperature, sizeof(options->temperature), "%g", settings->openrouter.temperature);
	snprintf(options->max_tokens, sizeof(options->max_tokens), "%" PRId64, settings->openrouter.max_tokens);
	flow->temperature = given(options->temperature);
	flow->max_tokens = given(options->max_tokens);
	flow->fallback_text = bytes_of(settings->fallback.text);
	for (int i = 0; i < (int)REASON_COUNT; i++)
		flow->fallback_texts[i] = bytes_of(settings->fallback_texts[i]);
}

static void fill_kafka(struct flow_options *flow, const struct settings *settings)
{
	flow->requests_topic = bytes_of(settings->kafka.requests_topic);
	flow->responses_topic = bytes_of(settings->kafka.responses_topic);
	flow->dead_letter_topic = bytes_of(settings->kafka.dead_letter_topic);
	flow->dead_letter_on_rejected = list_has(&settings->kafka.dead_letter_on, "rejected");
	flow->dead_letter_on_fallback = list_has(&settings->kafka.dead_letter_on, "fallback");
	flow->start_from_latest = settings->kafka.start_from == SETTINGS_START_FROM_LATEST;
	/* Of a member that stands still the last heartbeat may have come to the broker as much as an interval before. */
	int64_t silent_ms = settings->kafka.session_timeout_ms - settings->kafka.heartbeat_interval_ms;
	flow->standstill_ms = silent_ms > STANDSTILL_LEAST_MS ? silent_ms : STANDSTILL_LEAST_MS;
	flow->consumer_group = bytes_of(settings->kafka.group_id);
	flow->worker_version = BYTES_LITERAL(CHAT_WORKER_VERSION);
}

static void fill_bounds(struct flow_options *flow, const struct settings *settings)
{
	size_t record = (size_t)settings->limits.record_bytes;
	size_t response = (size_t)settings->openrouter.response_max_bytes;
	flow->retry = (struct retry_options){
		.max_attempts = (int)settings->retry.max_attempts,
		.first_content_share = settings->retry.first_content_share,
		.first_content_max_ms = settings->openrouter.first_token_timeout_ms,
		.backoff_ms = settings->retry.backoff_ms,
		.backoff_max_ms = settings->retry.backoff_max_ms,
	};
	flow->budget = (struct retry_budget_options){
		.earned = (int64_t)(settings->retry.budget_ratio * RETRY_BUDGET_COST + 0.5),
		.max = settings->retry.budget_max * RETRY_BUDGET_COST,
	};
	flow->breaker = (struct breaker_options){
		.window_ms = settings->breaker.window_ms,
		.min_calls = settings->breaker.min_calls,
		.failure_ratio = settings->breaker.failure_ratio,
		.open_ms = settings->breaker.open_ms,
		.open_max_ms = settings->breaker.open_max_ms,
	};
	flow->hedge = (struct flow_hedge_options){
		.enabled = settings->hedge.enabled,
		.max_share = settings->hedge.max_share,
		.delay_ms = settings->hedge.delay_ms,
		.delay_min_ms = settings->hedge.delay_min_ms,
	};
	flow->stall_ms = settings->openrouter.stall_timeout_ms;
	flow->credit_interval_ms = CREDIT_INTERVAL_MS;
	flow->in_flight_max = (size_t)settings->worker.max_in_flight;
	flow->waiting_max = (size_t)settings->worker.max_waiting;
	flow->bytes_max = (size_t)settings->worker.max_bytes;
	flow->park = (struct park_options){
		.keep_ms = settings->worker.park_ms,
		.bytes_max = (size_t)settings->worker.park_bytes,
	};
	flow->job_bytes_max = GROWTH * (record + response) + SLACK_BYTES;
	flow->body_bytes_max = GROWTH * record + SLACK_BYTES;
	flow->response_bytes_max = GROWTH * response + SLACK_BYTES;
	flow->reply_bytes_max = response + ENVELOPE_BYTES;
	flow->batch_replies_max = (size_t)settings->publish.max_replies;
	flow->batch_bytes_max = (size_t)settings->publish.max_bytes;
	flow->batch_interval_ms = settings->publish.interval_ms;
}

enum status worker_options_init(struct worker_options *options, const struct settings *settings)
{
	*options = (struct worker_options){ 0 };
	enum status status = fill_lists(options, settings);
	if (status != STATUS_OK) return status;
	fill_chat(options, settings);
	fill_kafka(&options->flow, settings);
	fill_bounds(&options->flow, settings);
	fill_upstream(options, settings);
	ASSERT(options->flow.model_count > 0);
	return STATUS_OK;
}

void worker_options_deinit(struct worker_options *options)
{
	free(options->lists);
	*options = (struct worker_options){ 0 };
}
