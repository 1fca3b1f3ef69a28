/* Exchanges: gather, decide, wait, play back. */
#include "replay/standin_exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"

enum { WAITING_PER_TICK_MS = 512, RESPONSE_BLOCK = 4096 };

static const char KEY_BODY[] =
	"{\"data\":{\"label\":\"stand-in\",\"usage\":0,\"limit\":null,\"limit_remaining\":null,\"limit_reset\":null,"
	"\"is_free_tier\":false,\"rate_limit\":{\"requests\":-1,\"interval\":\"10s\"}}}";
static const char MODELS_BODY[] =
	"{\"data\":[{\"id\":\"stand-in/first\",\"name\":\"Stand-in first\",\"context_length\":131072},"
	"{\"id\":\"stand-in/second\",\"name\":\"Stand-in second\",\"context_length\":131072}]}";

struct exchange {
	struct heap_node node;
	struct standin_desk *desk;
	struct MHD_Connection *connection;
	struct buffer upload;
	struct standin_plan plan;
	bool is_decided;
	bool is_chat;
	int64_t started_ms; /* monotonic: the request was there as a whole */
	int64_t last_write_ms;
	size_t sent;
};

/* The nearest whole tick, so that many wake together. */
static int64_t on_tick(const struct standin_desk *desk, int64_t due_ms)
{
	int64_t tick_ms = 1 + (int64_t)desk->waiting.count / WAITING_PER_TICK_MS;
	return (due_ms + tick_ms / 2) / tick_ms * tick_ms;
}

/* Suspends until `due_ms`; false when the heap is full. */
static bool wait_until(struct exchange *exchange, int64_t due_ms)
{
	struct standin_desk *desk = exchange->desk;
	if (heap_set(&desk->waiting, &exchange->node, on_tick(desk, due_ms)) != STATUS_OK) return false;
	atomic_store(&desk->waiting_count, desk->waiting.count);
	MHD_suspend_connection(exchange->connection);
	return true;
}

void exchange_wake(struct standin_desk *desk, struct heap_node *node)
{
	struct exchange *exchange = HEAP_ELEMENT(node, struct exchange, node);
	atomic_store(&desk->waiting_count, desk->waiting.count);
	MHD_resume_connection(exchange->connection);
}

/* The first behaviour of the text's script that is for this request. STATUS_INVALID: a script with a mistake. */
static enum status apply_script(
	struct standin_desk *desk, const struct standin_request *request, struct standin_serving *serving)
{
	struct script_item item;
	size_t cursor = 0;
	bool is_found = false;
	enum status status;
	while ((status = script_next(request->text, &cursor, &item)) == STATUS_OK) {
		int64_t *const settings[SCRIPT_SETTING_COUNT] = { &serving->timing.ttft_ms, &serving->timing.latency_ms,
			&serving->timing.tps, &serving->timing.deltas };
		if (item.is_setting) {
			*settings[item.setting] = item.number;
			continue;
		}
		if (is_found) continue;
		if (bytes_is_given(item.model) && !bytes_equal(item.model, request->model)) continue;
		if (item.times > 0 && standin_seen_count(desk->seen, request->text, item.place) >= item.times) continue;
		is_found = true;
		serving->behaviour = item.behaviour;
		serving->status = item.status;
		serving->retry_after_s = item.retry_after_s;
		serving->error_type = item.error_type;
	}
	return status == STATUS_EMPTY ? STATUS_OK : status;
}

static enum status decide_chat(struct exchange *exchange, const struct standin_request *request)
{
	struct standin_desk *desk = exchange->desk;
	struct standin_serving serving = { .timing = desk->options.timing,
		.retry_after_s = -1,
		.keepalive_ms = desk->options.keepalive_ms,
		.number = atomic_fetch_add(&desk->requests, 1),
		.wall_ms = desk->now.wall_ms };
	serving.behaviour = fail_spec_pick(&desk->options.fail, random_unit(&desk->random), &serving.status);
	serving.shift_ms = (int64_t)random_below(&desk->random, (uint64_t)desk->options.jitter_ms + 1);
	enum status status = apply_script(desk, request, &serving);
	if (status != STATUS_OK || serving.timing.deltas < 1 || serving.timing.deltas > STANDIN_DELTAS_MAX)
		return standin_plan_init_error(&exchange->plan, 400, "The script in the chat has a mistake.");
	exchange->is_chat = true;
	desk->open++;
	status = standin_plan_init(&exchange->plan, request, &serving);
	if (status != STATUS_OK) return status;
	const struct standin_journal_entry entry = { .plan = &exchange->plan,
		.behaviour = serving.behaviour,
		.wall_ms = desk->now.wall_ms,
		.open = desk->open };
	standin_journal_note(desk->journal, request, &entry);
	return STATUS_OK;
}

static bool is_authorized(const struct exchange *exchange)
{
	struct bytes value =
		bytes_of(MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, "Authorization"));
	const struct bytes scheme = BYTES_LITERAL("Bearer ");
	if (!bytes_starts_with(value, scheme) || value.size == scheme.size) return false;
	const char *key = exchange->desk->options.key;
	return key == NULL || strcmp(value.data + scheme.size, key) == 0;
}

static enum status decide_completion(struct exchange *exchange)
{
	struct standin_request request;
	const char *problem = "";
	if (!is_authorized(exchange)) return standin_plan_init_error(&exchange->plan, 401, "No auth credentials found");
	if (buffer_status(&exchange->upload) != STATUS_OK)
		return standin_plan_init_error(&exchange->plan, 413, "The request is too large.");
	if (standin_request_read(buffer_bytes(&exchange->upload), &request, &problem) != STATUS_OK)
		return standin_plan_init_error(&exchange->plan, 400, problem);
	enum status status = decide_chat(exchange, &request);
	standin_request_deinit(&request);
	return status;
}

static enum status decide_static(struct exchange *exchange, const char *body)
{
	enum status status = standin_plan_init_error(&exchange->plan, STATUS_CODE_OK, "");
	if (status != STATUS_OK) return status;
	buffer_clear(&exchange->plan.body);
	buffer_append_text(&exchange->plan.body, body);
	exchange->plan.marks[0].end = exchange->plan.body.size;
	return buffer_status(&exchange->plan.body);
}

static enum status decide(struct exchange *exchange, const char *url, const char *method)
{
	bool is_get = strcmp(method, "GET") == 0;
	exchange->is_decided = true;
	exchange->started_ms = exchange->last_write_ms = exchange->desk->now.mono_ms;
	if (strcmp(url, "/api/v1/chat/completions") == 0 && strcmp(method, "POST") == 0)
		return decide_completion(exchange);
	if (is_get && strcmp(url, "/api/v1/models") == 0) return decide_static(exchange, MODELS_BODY);
	if (is_get && strcmp(url, "/healthz") == 0) return decide_static(exchange, "{\"ok\":true}");
	if (is_get && strcmp(url, "/api/v1/key") == 0) {
		if (is_authorized(exchange)) return decide_static(exchange, KEY_BODY);
		return standin_plan_init_error(&exchange->plan, 401, "No auth credentials found");
	}
	return standin_plan_init_error(&exchange->plan, 404, "There is no such endpoint.");
}

/* Nothing is due yet: when to come back, or how it ends. */
static ssize_t wait_or_end(struct exchange *exchange, int64_t elapsed_ms, char *out, size_t out_max)
{
	const struct standin_plan *plan = &exchange->plan;
	int64_t next_ms = standin_plan_next_ms(plan, exchange->sent);
	if (next_ms == INT64_MAX && plan->ending == STANDIN_ENDS) return MHD_CONTENT_READER_END_OF_STREAM;
	if (next_ms == INT64_MAX && plan->ending == STANDIN_BREAKS) return MHD_CONTENT_READER_END_WITH_ERROR;
	if (exchange->desk->is_closing || elapsed_ms >= STANDIN_WAIT_MAX_MS) return MHD_CONTENT_READER_END_WITH_ERROR;
	if (plan->keepalive_ms > 0 && bytes_is_given(plan->keepalive)) {
		int64_t keepalive_ms = exchange->last_write_ms - exchange->started_ms + plan->keepalive_ms;
		if (keepalive_ms <= elapsed_ms && plan->keepalive.size <= out_max) {
			memcpy(out, plan->keepalive.data, plan->keepalive.size);
			exchange->last_write_ms = exchange->desk->now.mono_ms;
			return (ssize_t)plan->keepalive.size;
		}
		if (keepalive_ms < next_ms) next_ms = keepalive_ms;
	}
	if (next_ms > STANDIN_WAIT_MAX_MS) next_ms = STANDIN_WAIT_MAX_MS;
	return wait_until(exchange, exchange->started_ms + next_ms) ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
}

/* libmicrohttpd asks for more of the body. */
static ssize_t read_body(void *context, uint64_t position, char *out, size_t out_max)
{
	struct exchange *exchange = context;
	int64_t elapsed_ms = exchange->desk->now.mono_ms - exchange->started_ms;
	size_t due = standin_plan_due(&exchange->plan, elapsed_ms);
	(void)position; /* counts keep-alive bytes too */
	if (due <= exchange->sent) return wait_or_end(exchange, elapsed_ms, out, out_max);
	size_t size = due - exchange->sent < out_max ? due - exchange->sent : out_max;
	memcpy(out, exchange->plan.body.data + exchange->sent, size);
	exchange->sent += size;
	exchange->last_write_ms = exchange->desk->now.mono_ms;
	return (ssize_t)size;
}

static struct MHD_Response *make_response(struct exchange *exchange)
{
	struct standin_plan *plan = &exchange->plan;
	if (exchange->is_chat && plan->status == STATUS_CODE_OK)
		return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, RESPONSE_BLOCK, read_body, exchange, NULL);
	return MHD_create_response_from_buffer(plan->body.size, plan->body.data, MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result respond(struct exchange *exchange)
{
	struct standin_plan *plan = &exchange->plan;
	struct MHD_Response *response = make_response(exchange);
	if (response == NULL) return MHD_NO;
	MHD_add_response_header(response, "Content-Type", plan->content_type);
	if (exchange->is_chat) MHD_add_response_header(response, "X-Generation-Id", plan->generation_id);
	if (plan->retry_after_s >= 0) {
		char seconds[24];
		snprintf(seconds, sizeof seconds, "%lld", (long long)plan->retry_after_s);
		MHD_add_response_header(response, "Retry-After", seconds);
	}
	enum MHD_Result queued = MHD_queue_response(exchange->connection, (unsigned int)plan->status, response);
	MHD_destroy_response(response);
	return queued;
}

static struct exchange *exchange_new(struct standin_desk *desk, struct MHD_Connection *connection)
{
	struct exchange *exchange = calloc(1, sizeof *exchange);
	if (exchange == NULL) return NULL;
	exchange->desk = desk;
	exchange->connection = connection;
	heap_node_init(&exchange->node);
	buffer_init(&exchange->upload, STANDIN_REQUEST_MAX);
	return exchange;
}

/* The request is there as a whole, or its connection was woken. */
static enum MHD_Result proceed(struct exchange *exchange, const char *url, const char *method)
{
	bool was_decided = exchange->is_decided;
	if (exchange->desk->is_closing) return MHD_NO;
	if (!was_decided) {
		if (decide(exchange, url, method) != STATUS_OK) return MHD_NO;
		int64_t first_ms = standin_plan_first_ms(&exchange->plan);
		if (first_ms > 0) return wait_until(exchange, exchange->started_ms + first_ms) ? MHD_YES : MHD_NO;
	}
	if (exchange->plan.ending == STANDIN_HANGS) return MHD_NO;
	return respond(exchange);
}

enum MHD_Result exchange_handle(void *desk, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *upload, size_t *upload_size, void **exchange)
{
	(void)version;
	if (*exchange == NULL) {
		*exchange = exchange_new(desk, connection);
		return *exchange != NULL ? MHD_YES : MHD_NO;
	}
	struct exchange *mine = *exchange;
	if (*upload_size > 0) {
		buffer_append(&mine->upload, bytes_at(upload, *upload_size));
		*upload_size = 0;
		return MHD_YES;
	}
	return proceed(mine, url, method);
}

void exchange_completed(
	void *desk, struct MHD_Connection *connection, void **exchange, enum MHD_RequestTerminationCode how)
{
	struct standin_desk *mine = desk;
	struct exchange *done = *exchange;
	(void)connection;
	if (done == NULL) return;
	if (done->is_chat) mine->open--;
	if (how == MHD_REQUEST_TERMINATED_COMPLETED_OK && done->is_chat && done->plan.status == STATUS_CODE_OK)
		atomic_fetch_add(&mine->answers, 1);
	heap_remove(&mine->waiting, &done->node);
	buffer_deinit(&done->upload);
	standin_plan_deinit(&done->plan);
	free(done);
	*exchange = NULL;
}
