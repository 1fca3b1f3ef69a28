/* The scripted upstream: every kind of end an attempt can have, at a time drawn from the seed. */
#include <string.h>

#include "common/assertion.h"
#include "world.h"

void upstream_draw_outages(struct world *world)
{
	for (int i = 0; i < OUTAGES; i++) {
		struct outage *outage = &world->outages[i];
		outage->from_ms = world_draw(world, world->now_ms, world->calm_ms);
		outage->until_ms = outage->from_ms + world_draw(world, 500, 8000);
		outage->is_refused = world_chance(world, 50);
	}
}

static const struct outage *outage_now(const struct world *world)
{
	for (int i = 0; i < OUTAGES; i++)
		if (world->now_ms >= world->outages[i].from_ms && world->now_ms < world->outages[i].until_ms)
			return &world->outages[i];
	return NULL;
}

/* When its first content comes, if it does so in time. */
static int64_t draw_content_ms(struct world *world, const struct call *call, int64_t took_ms)
{
	bool is_slow = took_ms > 3000;
	if (!world_chance(world, is_slow ? 30 : 80)) return 0;
	int64_t latest_ms = call->first_content_due_ms - world->now_ms - 1;
	if (is_slow) return latest_ms < 20 ? 0 : world->now_ms + world_draw(world, 20, latest_ms);
	int64_t content_ms = world_draw(world, took_ms / 2, took_ms);
	return content_ms > latest_ms ? 0 : world->now_ms + content_ms;
}

void upstream_begin(struct world *world, struct running *running, struct call *call)
{
	int64_t took_ms = world_draw(world, 20, 1500);
	if (world_chance(world, 10)) took_ms = world_draw(world, 3000, 15000);
	const struct outage *outage = outage_now(world);
	if (outage != NULL) {
		took_ms = world_draw(world, 1, 30);
		world->outage_calls++;
	}
	call->started_ms = world->now_ms;
	*running = (struct running){ .call = call, .ends_ms = world->now_ms + took_ms, .outage = outage };
	/* The watchdogs of the upstream threads. */
	running->content_ms = outage == NULL ? draw_content_ms(world, call, took_ms) : 0;
	if (took_ms > 3000 && running->content_ms == 0 && running->ends_ms > call->first_content_due_ms)
		running->ends_ms = call->first_content_due_ms;
	if (running->ends_ms > call->deadline_ms) running->ends_ms = call->deadline_ms;
	if (running->ends_ms < world->now_ms) running->ends_ms = world->now_ms;
}

static struct failure draw_failure(struct world *world)
{
	static const struct failure failures[] = {
		{ .reason = REASON_TIMEOUT, .action = FAILURE_ACTION_NEXT, .retry_after_ms = -1 },
		{ .reason = REASON_RATE_LIMITED, .action = FAILURE_ACTION_SAME, .retry_after_ms = 0 },
		{ .reason = REASON_OVERLOADED, .action = FAILURE_ACTION_NEXT, .retry_after_ms = 0 },
		{ .reason = REASON_UPSTREAM_ERROR, .action = FAILURE_ACTION_SAME_ONCE, .retry_after_ms = -1 },
		{ .reason = REASON_STREAM_BROKEN, .action = FAILURE_ACTION_SAME_ONCE, .retry_after_ms = -1 },
		{ .reason = REASON_CONTEXT_LENGTH, .action = FAILURE_ACTION_TRIM, .retry_after_ms = -1 },
		{ .reason = REASON_BAD_REQUEST, .action = FAILURE_ACTION_END, .retry_after_ms = -1 },
		{ .reason = REASON_AUTH, .action = FAILURE_ACTION_LATCH, .retry_after_ms = -1 },
		{ .reason = REASON_MODERATED, .action = FAILURE_ACTION_NEXT_ONCE, .retry_after_ms = -1 },
		{ .reason = REASON_MODEL_UNAVAILABLE, .action = FAILURE_ACTION_NEXT_ONLY, .retry_after_ms = -1 },
		{ .reason = REASON_CONNECT, .action = FAILURE_ACTION_SAME, .retry_after_ms = -1 },
	};
	struct failure failure = failures[random_below(&world->random, sizeof(failures) / sizeof(failures[0]))];
	failure.maybe_sent = failure.reason != REASON_CONNECT;
	/* How long to be left alone: seldom, and mostly not for long. */
	if (failure.retry_after_ms == 0)
		failure.retry_after_ms =
			world_chance(world, 60) ? world_draw(world, 1, world_chance(world, 80) ? 3000 : 20000) : -1;
	/* Seldom, since it stops the member for long. */
	if (failure.action == FAILURE_ACTION_LATCH && !world_chance(world, 5)) failure.action = FAILURE_ACTION_END;
	return failure;
}

static bool body_has(const struct call *call, const char *text)
{
	return memmem(call->body.data, call->body.size, text, strlen(text)) != NULL;
}

/* Named providers, of which a repeat may leave some out, until none is left; and tokens that are too dear. */
static void draw_failed_answer(struct world *world, struct call *call)
{
	static const struct bytes providers[] = { { "azure", 5 }, { "Amazon Bedrock", 14 }, { "Z.AI", 4 } };
	bool leaves_out = body_has(call, "\"ignore\":[");
	bool asks_fewer = !body_has(call, "\"max_tokens\":600");
	struct failure *failure = &call->result.failure;
	if (world_chance(world, 60))
		call->result.failed_provider =
			providers[random_below(&world->random, sizeof(providers) / sizeof(providers[0]))];
	*failure = draw_failure(world);
	if (leaves_out && world_chance(world, 40)) {
		const struct failure_sign sign = { .http_status = 404, .retryable = -1, .retry_after_ms = -1 };
		*failure = failure_of_sign(&sign);
	} else if (world_chance(world, asks_fewer ? 2 : 8)) {
		const struct failure_sign sign = { .http_status = 402,
			.retryable = -1,
			.retry_after_ms = -1,
			.tokens_affordable = world_draw(world, FAILURE_TOKENS_MIN, asks_fewer ? 100 : 599) };
		*failure = failure_of_sign(&sign);
	}
}

static void count_kind(struct world *world, const struct call *call)
{
	if (body_has(call, "\"ignore\":[")) world->ignoring_calls++;
	if (!body_has(call, "\"max_tokens\":600")) world->fewer_calls++;
}

void upstream_end(struct world *world, struct running *running)
{
	struct call *call = running->call;
	ASSERT(call != NULL);
	call->ended_ms = world->now_ms;
	call->requests_sent = 1;
	count_kind(world, call);
	bool has_content = running->content_ms != 0 && running->content_ms <= world->now_ms;
	if (has_content) call->first_content_ms = running->content_ms;
	bool is_late =
		(world->now_ms >= call->first_content_due_ms && !has_content) || world->now_ms >= call->deadline_ms;
	if (running->is_cancelled || is_late) {
		call->result.failure = (struct failure){ .reason = REASON_TIMEOUT,
			.action = FAILURE_ACTION_NEXT,
			.retry_after_ms = -1,
			.maybe_sent = true };
	} else if (running->outage != NULL && running->outage->is_refused) {
		call->requests_sent = 0;
		call->result.failure = failure_of_transport(TRANSPORT_CONNECT, false);
	} else if (running->outage != NULL) {
		const struct failure_sign sign = { .http_status = 503, .retryable = -1, .retry_after_ms = -1 };
		call->result.failure = failure_of_sign(&sign);
	} else if (world_chance(world, 25)) {
		draw_failed_answer(world, call);
	} else {
		if (!has_content) call->first_content_ms = world->now_ms - 1;
		call->result.failure = (struct failure){ .reason = REASON_NONE, .retry_after_ms = -1 };
		call->result.answer = (struct chat_answer){
			.content = BYTES_LITERAL("an answer"),
			.finish_reason = BYTES_LITERAL("stop"),
			.model = BYTES_LITERAL("model/a"),
			.prompt_tokens = -1,
			.completion_tokens = -1,
		};
	}
	*running = (struct running){ 0 };
}
