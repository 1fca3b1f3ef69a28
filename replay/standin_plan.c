/* Makes plans: content first, then its cut into deltas, then their times. */
#include "replay/standin_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"
#include "replay/standin_body.h"

static const char SSE_TYPE[] = "text/event-stream";
static const char JSON_TYPE[] = "application/json";
static const char HTML_TYPE[] = "text/html; charset=UTF-8";

/* Everything that the makers of one plan share. */
struct making {
	struct standin_plan *plan;
	const struct standin_request *request;
	const struct standin_serving *serving;
	struct standin_identity identity;
	struct standin_content content;
	struct buffer text;    /* owned: content.text */
	struct buffer call_id; /* owned: content.call_id */
	struct buffer head;    /* owned: identity.chunk_head */
	size_t mark_max;
};

static int64_t first_due_ms(const struct standin_serving *serving)
{
	const struct standin_timing *timing = &serving->timing;
	int64_t first = timing->ttft_ms >= 0 ? timing->ttft_ms : timing->latency_ms >= 0 ? timing->latency_ms : 0;
	return first + serving->shift_ms;
}

static int64_t last_due_ms(const struct standin_serving *serving)
{
	const struct standin_timing *timing = &serving->timing;
	int64_t first = first_due_ms(serving), last = first;
	if (timing->latency_ms >= 0)
		last = timing->latency_ms + serving->shift_ms;
	else if (timing->tps > 0)
		last = first + timing->deltas * 1000 / timing->tps;
	return last > first ? last : first;
}

/* All bytes made so far may leave at `due_ms`; marks of the same time are one. */
static void mark(struct making *making, int64_t due_ms)
{
	struct standin_plan *plan = making->plan;
	if (plan->mark_count == 0 || plan->marks[plan->mark_count - 1].due_ms != due_ms) {
		ASSERT(plan->mark_count < making->mark_max);
		plan->marks[plan->mark_count++].due_ms = due_ms;
	}
	plan->marks[plan->mark_count - 1].end = plan->body.size;
}

static bool is_inside_character(struct bytes text, size_t place)
{
	return place < text.size && ((unsigned char)text.data[place] & 0xC0) == 0x80;
}

/* The deltas from 0 up to `share_end` of `deltas`, each at its own time. */
static void append_deltas(struct making *making, int64_t count)
{
	const struct standin_serving *serving = making->serving;
	struct bytes text = making->content.text;
	int64_t deltas = serving->timing.deltas, first = first_due_ms(serving), last = last_due_ms(serving);
	size_t start = 0;
	for (int64_t i = 0; i < count; i++) {
		size_t end = text.size * (size_t)(i + 1) / (size_t)deltas;
		while (is_inside_character(text, end))
			end++;
		if (end == start) continue;
		standin_append_delta(&making->identity, &making->content, start == 0,
			bytes_at(text.data + start, end - start), &making->plan->body);
		mark(making, deltas > 1 ? first + (last - first) * i / (deltas - 1) : first);
		start = end;
	}
}

static void make_stream(struct making *making, enum behaviour behaviour)
{
	struct standin_plan *plan = making->plan;
	int64_t deltas = making->serving->timing.deltas, last = last_due_ms(making->serving);
	bool is_half = behaviour == BEHAVIOUR_CUT || behaviour == BEHAVIOUR_ERROR;
	plan->content_type = SSE_TYPE;
	plan->keepalive = BYTES_LITERAL(": OPENROUTER PROCESSING\n\n");
	standin_append_chunk_head(&making->identity, &making->head);
	making->identity.chunk_head = buffer_bytes(&making->head);
	standin_append_comment(&plan->body);
	if (behaviour == BEHAVIOUR_STALL) {
		plan->ending = STANDIN_STALLS;
		mark(making, making->serving->shift_ms);
		return;
	}
	append_deltas(making, is_half ? (deltas + 1) / 2 : deltas);
	if (behaviour == BEHAVIOUR_CUT) {
		plan->ending = STANDIN_BREAKS;
		return;
	}
	if (behaviour == BEHAVIOUR_ERROR)
		standin_append_stream_error(&making->identity, &plan->body);
	else
		standin_append_finish(&making->identity, &making->content, &plan->body);
	mark(making, last);
}

static void make_completion(struct making *making, enum behaviour behaviour)
{
	struct standin_plan *plan = making->plan;
	plan->content_type = JSON_TYPE;
	plan->keepalive = BYTES_LITERAL("\n         ");
	if (behaviour == BEHAVIOUR_STALL) {
		plan->ending = STANDIN_STALLS;
		return;
	}
	if (behaviour == BEHAVIOUR_ERROR) {
		standin_append_error(502, BYTES_NONE, BYTES_NONE, &plan->body);
	} else {
		standin_append_completion(&making->identity, &making->content, &plan->body);
	}
	if (behaviour == BEHAVIOUR_CUT) {
		buffer_truncate(&plan->body, plan->body.size / 2);
		plan->ending = STANDIN_BREAKS;
	}
	mark(making, last_due_ms(making->serving));
}

static void make_page(struct making *making, int status)
{
	struct standin_plan *plan = making->plan;
	plan->status = status;
	plan->content_type = HTML_TYPE;
	standin_append_html(status, &plan->body);
	mark(making, making->serving->shift_ms);
}

static void make_error(struct making *making)
{
	struct standin_plan *plan = making->plan;
	int status = making->serving->status;
	if (standin_status_is_html(status)) {
		make_page(making, status);
		return;
	}
	plan->status = status;
	plan->content_type = JSON_TYPE;
	plan->retry_after_s = making->serving->retry_after_s;
	standin_append_error(status, making->serving->error_type, making->request->text, &plan->body);
	mark(making, making->serving->shift_ms);
}

static void make_content(struct making *making)
{
	struct bytes user_text = making->request->text, model = making->request->model;
	struct standin_content *content = &making->content;
	switch (making->serving->behaviour) {
	case BEHAVIOUR_TOOL:
		content->kind = STANDIN_TOOL_CALL;
		standin_tool_arguments(user_text, &making->text);
		standin_call_id(user_text, model, &making->call_id);
		content->call_id = buffer_bytes(&making->call_id);
		content->tool_name = making->request->tool_name;
		if (!bytes_is_given(content->tool_name)) content->tool_name = BYTES_LITERAL("lookup");
		break;
	case BEHAVIOUR_REFUSAL:
		content->kind = STANDIN_REFUSAL;
		buffer_append_text(&making->text, "I would rather not answer that.");
		break;
	case BEHAVIOUR_EMPTY:
		content->kind = STANDIN_NOTHING;
		break;
	case BEHAVIOUR_ANSWER:
	case BEHAVIOUR_CUT:
	case BEHAVIOUR_ERROR:
	case BEHAVIOUR_STATUS:
	case BEHAVIOUR_STALL:
	case BEHAVIOUR_HANG:
	case BEHAVIOUR_GARBAGE:
		standin_answer_text(user_text, model, &making->text);
		break;
	}
	content->text = buffer_bytes(&making->text);
	content->prompt_tokens = (int64_t)(making->request->content_bytes / 4 + 4 * making->request->message_count);
	content->completion_tokens = (int64_t)((content->text.size + 3) / 4);
}

static void make_body(struct making *making)
{
	enum behaviour behaviour = making->serving->behaviour;
	switch (behaviour) {
	case BEHAVIOUR_STATUS:
		make_error(making);
		return;
	case BEHAVIOUR_GARBAGE:
		make_page(making, STATUS_CODE_OK);
		return;
	case BEHAVIOUR_HANG:
		making->plan->content_type = JSON_TYPE;
		making->plan->ending = STANDIN_HANGS;
		return;
	case BEHAVIOUR_ANSWER:
	case BEHAVIOUR_STALL:
	case BEHAVIOUR_CUT:
	case BEHAVIOUR_ERROR:
	case BEHAVIOUR_EMPTY:
	case BEHAVIOUR_TOOL:
	case BEHAVIOUR_REFUSAL:
		make_content(making);
		if (making->request->is_stream)
			make_stream(making, behaviour);
		else
			make_completion(making, behaviour);
		return;
	}
	ASSERT_UNREACHABLE();
}

enum status standin_plan_init(
	struct standin_plan *plan, const struct standin_request *request, const struct standin_serving *serving)
{
	ASSERT(serving->timing.deltas >= 1 && serving->timing.deltas <= STANDIN_DELTAS_MAX);
	struct making making = {
		.plan = plan, .request = request, .serving = serving, .mark_max = (size_t)serving->timing.deltas + 2
	};
	*plan = (struct standin_plan){ .status = STATUS_CODE_OK,
		.retry_after_s = -1,
		.keepalive_ms = serving->keepalive_ms,
		.marks = calloc(making.mark_max, sizeof *plan->marks) };
	if (plan->marks == NULL) return STATUS_NO_MEMORY;
	snprintf(plan->generation_id, sizeof plan->generation_id, "gen-%" PRId64 "-standin%016" PRIx64,
		serving->wall_ms / 1000, serving->number);
	making.identity = (struct standin_identity){ .generation_id = bytes_of(plan->generation_id),
		.model = request->model,
		.created_s = serving->wall_ms / 1000 };
	buffer_init(&plan->body, STANDIN_BODY_MAX);
	buffer_init(&making.text, STANDIN_BODY_MAX);
	buffer_init(&making.call_id, sizeof plan->generation_id);
	buffer_init(&making.head, STANDIN_BODY_MAX);
	make_body(&making);
	buffer_deinit(&making.text);
	buffer_deinit(&making.call_id);
	buffer_deinit(&making.head);
	enum status status = buffer_status(&plan->body);
	if (status != STATUS_OK) standin_plan_deinit(plan);
	return status;
}

enum status standin_plan_init_error(struct standin_plan *plan, int status, const char *message)
{
	*plan = (struct standin_plan){ .status = status,
		.content_type = JSON_TYPE,
		.retry_after_s = -1,
		.marks = calloc(1, sizeof *plan->marks),
		.mark_count = 1 };
	if (plan->marks == NULL) return STATUS_NO_MEMORY;
	buffer_init(&plan->body, STANDIN_BODY_MAX);
	buffer_append_format(&plan->body, "{\"error\":{\"code\":%d,\"message\":", status);
	buffer_append_json_string(&plan->body, bytes_of(message));
	buffer_append_text(&plan->body, "}}");
	plan->marks[0] = (struct standin_mark){ .due_ms = 0, .end = plan->body.size };
	enum status made = buffer_status(&plan->body);
	if (made != STATUS_OK) standin_plan_deinit(plan);
	return made;
}

void standin_plan_deinit(struct standin_plan *plan)
{
	buffer_deinit(&plan->body);
	free(plan->marks);
	plan->marks = NULL;
	plan->mark_count = 0;
}

int64_t standin_plan_first_ms(const struct standin_plan *plan)
{
	if (plan->ending == STANDIN_HANGS) return STANDIN_WAIT_MAX_MS;
	int64_t first = standin_plan_next_ms(plan, 0);
	bool has_keepalive = bytes_is_given(plan->keepalive) && plan->keepalive_ms > 0;
	return has_keepalive && plan->keepalive_ms < first ? plan->keepalive_ms : first;
}

size_t standin_plan_due(const struct standin_plan *plan, int64_t now_ms)
{
	size_t end = 0;
	for (size_t i = 0; i < plan->mark_count && plan->marks[i].due_ms <= now_ms; i++)
		end = plan->marks[i].end;
	return end;
}

int64_t standin_plan_next_ms(const struct standin_plan *plan, size_t sent)
{
	for (size_t i = 0; i < plan->mark_count; i++) {
		if (plan->marks[i].end > sent) return plan->marks[i].due_ms;
	}
	return INT64_MAX;
}
