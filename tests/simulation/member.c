/* A member of the group: the flow, carried by hand as worker/worker.c does it. */
#include <stdio.h>
#include <string.h>

#include "common/assertion.h"
#include "plant.h"
#include "world.h"

/* After the end of a drain, until a chat or a reply that is still there breaks the promise. */
enum { DRAIN_CHATS_MS = 5000, DRAIN_REPLIES_MS = 60000 };

static void on_reply(void *context, const struct job *job, const struct chat_response *response)
{
	struct world *world = ((struct member *)context)->world;
	(void)response;
	int64_t latest_ms = job->deadline_ms > job->taken_ms ? job->deadline_ms : job->taken_ms;
	int64_t still_until_ms = ((struct member *)context)->still_until_ms;
	if (latest_ms < still_until_ms) latest_ms = still_until_ms;
	if (world->now_ms > latest_ms)
		world_break(world, 4, "reply to %d/%lld made %lld ms late", job->record->partition,
			(long long)job->record->offset, (long long)(world->now_ms - latest_ms));
}

/* An answer that somebody waits for. */
static void on_attempt(void *context, const struct job *job, const struct call *call, enum retry_step step)
{
	struct member *member = context;
	const struct record *record = job->record;
	(void)step;
	if (call->result.failure.reason != REASON_NONE) return;
	if (!kafka_has(&member->world->partitions[record->partition], record)) return;
	member->finished[record->partition][record->offset] = true;
}

/* What is given up within the bounds may be called again. */
static void on_park_end(void *context, const struct job *job, enum park_end end)
{
	struct member *member = context;
	int p = job->record->partition;
	int64_t offset = job->record->offset;
	member->world->parked[end]++;
	world_tell(member->world, "kept %d/%lld %s", p, (long long)offset, park_end_word(end));
	if (end != PARK_END_USED) member->finished[p][offset] = false;
	for (int i = 0; i < CALLS_MAX; i++)
		if (member->calls[i].call != NULL && member->calls[i].call->id == job->call_id)
			member->calls[i].is_kept = false;
}

static const struct bytes models[MODELS] = { { "model/a", 7 }, { "model/b", 7 } };

static void on_breaker(void *context, struct bytes model, enum breaker_state state)
{
	struct member *member = context;
	if (!bytes_is_given(model)) member->is_edge_open = state == BREAKER_OPEN;
	for (int i = 0; i < MODELS; i++)
		if (bytes_equal(model, models[i])) member->is_open[i] = state == BREAKER_OPEN;
}

static void on_hedge(void *context, struct bytes model, enum flow_hedge hedge)
{
	struct member *member = context;
	(void)model;
	if (hedge == FLOW_HEDGE_STARTED) member->hedges_running++;
	if (hedge == FLOW_HEDGE_WON || hedge == FLOW_HEDGE_LOST) member->hedges_running--;
}

static struct flow_options options_of(struct member *member)
{
	struct world *world = member->world;
	return (struct flow_options){
		.limits = { .record_bytes = 4096, .depth = 16, .messages = 16, .id_bytes = 64 },
		.history = { .messages_max = 16, .bytes_max = 4096 },
		.retry = { .max_attempts = 3,
			.first_content_share = 0.55,
			.first_content_max_ms = 3500,
			.backoff_ms = 100,
			.backoff_max_ms = 800 },
		.budget = { .earned = BUDGET_EARNED, .max = BUDGET_MAX },
		.breaker = { .window_ms = 4000,
			.min_calls = 5,
			.failure_ratio = 0.5,
			.open_ms = 1000,
			.open_max_ms = 4000 },
		.hedge = { .enabled = world->hedge_percent > 0,
			.max_share = world->hedge_percent / 100.0,
			.delay_ms = 700,
			.delay_min_ms = 300 },
		.models = models,
		.model_count = MODELS,
		.max_tokens = BYTES_LITERAL("600"),
		.stall_ms = 2500,
		.deadline_ms = DEADLINE_MS,
		.deadline_max_ms = DEADLINE_MS,
		.publish_reserve_ms = RESERVE_MS,
		.ordered = true,
		.requests_topic = BYTES_LITERAL("chat.requests"),
		.responses_topic = BYTES_LITERAL("chat.responses"),
		.dead_letter_topic = BYTES_LITERAL("chat.requests.dlq"),
		.consumer_group = BYTES_LITERAL("chat-worker"),
		.worker_version = BYTES_LITERAL("0"),
		.dead_letter_on_rejected = true,
		.fallback_text = BYTES_LITERAL("later"),
		.in_flight_max = CALLS_MAX,
		.waiting_max = WAITING_MAX,
		.bytes_max = 1 << 20,
		.job_bytes_max = 1 << 18,
		.body_bytes_max = 1 << 16,
		.response_bytes_max = 1 << 16,
		.reply_bytes_max = 1 << 16,
		.batch_replies_max = 8,
		.batch_bytes_max = 1 << 16,
		.batch_interval_ms = 20,
		.standstill_ms = SESSION_MS - HEARTBEAT_MS,
		.seed = random_next(&world->random),
		.park = world->park,
		.events = { .context = member,
			.on_attempt = on_attempt,
			.on_reply = on_reply,
			.on_park_end = on_park_end,
			.on_breaker = on_breaker,
			.on_hedge = on_hedge },
	};
}

void member_start(struct world *world, int index)
{
	struct member *member = &world->members[index];
	ASSERT(member->flow == NULL);
	*member = (struct member){ .world = world, .generation = world->generation, .started_ms = world->now_ms };
	struct flow_options options = options_of(member);
	member->flow = flow_new(&options);
	ASSERT(member->flow != NULL);
	world_tell(world, "start member %d", index);
}

static void drop_calls(struct member *member)
{
	for (int i = 0; i < CALLS_MAX; i++)
		call_free(member->calls[i].call);
	memset(member->calls, 0, sizeof(member->calls));
}

void member_kill(struct world *world, int index)
{
	struct member *member = &world->members[index];
	ASSERT(member->flow != NULL);
	world_tell(world, "kill member %d", index);
	/* What it had sent goes its way: the broker ends its transaction by itself, one way or the other. */
	if (member->phase == TRANSACTION_PENDING) {
		member->truth = member->truth && world_chance(world, 50);
		kafka_end(world, index);
	}
	struct batch *batch = member->batch;
	drop_calls(member);
	flow_free(member->flow);
	if (member->hedges_running != 0)
		world_break(world, 11, "member %d was not told of %lld second calls", index,
			(long long)member->hedges_running);
	batch_free(batch);
	*member = (struct member){ .told_ms = world->now_ms + world_draw(world, 50, 4000) };
}

void member_assign(struct world *world, int index, int p)
{
	struct member *member = &world->members[index];
	const struct partition *partition = &world->partitions[p];
	ASSERT(partition->pending == -1);
	struct flow_assignment assignment = {
		.partition = p,
		.committed = partition->committed,
		.metadata = bytes_at(partition->metadata, partition->metadata_size),
		.log_start = 0,
		.log_end = partition->end,
	};
	/* A member that ignored the revocation still has it; only a planted bug does. */
	if (member->has[p]) return;
	enum status status = flow_assign(member->flow, &assignment, &member->position[p]);
	ASSERT(status == STATUS_OK);
	member->has[p] = true;
	memset(member->asked[p], ASKED_NEVER, sizeof(member->asked[p]));
	memset(member->hedged[p], 0, sizeof(member->hedged[p]));
	world_tell(world, "assign %d to member %d at %lld", p, index, (long long)member->position[p]);
}

/* Which request a call is for stands in its body, in the user's message. */
void member_request_of(const struct call *call, int *out_partition, long long *out_offset)
{
	struct bytes body = buffer_bytes(&call->body);
	const char *mark = memmem(body.data, body.size, "at:", 3);
	char text[32] = "";
	ASSERT(mark != NULL);
	size_t left = body.size - (size_t)(mark - body.data);
	memcpy(text, mark, left < sizeof(text) - 1 ? left : sizeof(text) - 1);
	int found = sscanf(text, "at:%d/%lld", out_partition, out_offset);
	ASSERT(found == 2);
}

static void mark_kept(struct member *member, int p)
{
	for (int i = 0; i < CALLS_MAX; i++) {
		if (member->calls[i].call == NULL || member->calls[i].is_cancelled) continue;
		int of;
		long long offset;
		member_request_of(member->calls[i].call, &of, &offset);
		if (of == p) member->calls[i].is_kept = true;
	}
}

static void give_up(struct world *world, int index, int p)
{
	struct member *member = &world->members[index];
	world_tell(world, "revoke %d from member %d", p, index);
	mark_kept(member, p);
	flow_revoke(member->flow, p, world_instant(world));
	member->revoking[p] = false;
	if (!plant_is(PLANT_REVOKE_IGNORED)) member->has[p] = false;
}

void member_revoke(struct world *world, int index, int p, bool waits)
{
	struct member *member = &world->members[index];
	if (waits && member->batch != NULL)
		member->revoking[p] = true;
	else
		give_up(world, index, p);
}

void member_drain(struct world *world, int index)
{
	struct member *member = &world->members[index];
	if (member->drains_until_ms != 0) return;
	member->drains_until_ms = world->now_ms + world_draw(world, 0, 3000);
	world_tell(world, "drain member %d", index);
	flow_drain(member->flow, member->drains_until_ms);
}

static void cancel_calls(struct world *world, int index)
{
	struct member *member = &world->members[index];
	uint64_t id;
	while (flow_next_cancel(member->flow, &id) == STATUS_OK)
		for (int i = 0; i < CALLS_MAX; i++) {
			struct running *running = &member->calls[i];
			if (running->call == NULL || running->call->id != id) continue;
			world_tell(world, "cancel %lld of member %d", (long long)id, index);
			running->is_cancelled = true;
			running->ends_ms = world->now_ms + world_draw(world, 0, 3);
		}
}

/* A heartbeat of a zombie is answered at most once: then it hears of its loss. */
static uint64_t heartbeats_of(const struct world *world, const struct member *member)
{
	int64_t last_ms = member->is_zombie ? member->zombie_ms : world->now_ms;
	return (uint64_t)(last_ms / HEARTBEAT_MS) + (member->is_zombie ? 1 : 0);
}

static void start_calls(struct world *world, int index)
{
	struct member *member = &world->members[index];
	flow_turn(member->flow, world->now_ms, heartbeats_of(world, member));
	int64_t deadline_ms;
	if (flow_next_probe(member->flow, world_instant(world), &member->probe, &deadline_ms) == STATUS_OK)
		member->probe_ends_ms = world->now_ms + world_draw(world, 1, deadline_ms - world->now_ms);
	struct call *call;
	while (flow_next_call(member->flow, world_instant(world), &call) == STATUS_OK) {
		struct running *free_place = NULL;
		for (int i = 0; i < CALLS_MAX && free_place == NULL; i++)
			if (member->calls[i].call == NULL) free_place = &member->calls[i];
		ASSERT(free_place != NULL);
		world->calls++;
		world_tell(world, "call %lld of member %d", (long long)call->id, index);
		upstream_begin(world, free_place, call);
	}
	cancel_calls(world, index);
}

int member_model_of(const struct call *call)
{
	static const struct bytes begin = { "{\"model\":\"", 10 };
	struct bytes body = buffer_bytes(&call->body);
	ASSERT(bytes_starts_with(body, begin));
	for (int model = 0; model < MODELS; model++)
		if (bytes_starts_with(bytes_at(body.data + begin.size, body.size - begin.size), models[model]))
			return model;
	ASSERT_UNREACHABLE();
}

static void note_patience(struct world *world, struct member *member, const struct call *call)
{
	const struct failure *failure = &call->result.failure;
	if (failure->reason == REASON_NONE || failure->retry_after_ms <= 0) return;
	int64_t until_ms = world->now_ms + failure->retry_after_ms;
	int64_t *cooled_until_ms = &member->cooled_until_ms[member_model_of(call)];
	if (until_ms > *cooled_until_ms) *cooled_until_ms = until_ms;
	world->coolings++;
}

static void note_end(struct member *member, const struct call *call)
{
	int p;
	long long offset;
	member_request_of(call, &p, &offset);
	bool is_unsent = call->result.failure.reason != REASON_NONE && !call->result.failure.maybe_sent;
	if (member->has[p] && is_unsent) member->asked[p][offset] = ASKED_UNSENT;
}

static void end_probe(struct world *world, int index)
{
	struct member *member = &world->members[index];
	if (member->probe == 0 || member->probe_ends_ms > world->now_ms) return;
	struct call *call = call_new(member->probe, 0, 256);
	ASSERT(call != NULL);
	call->result.failure = (struct failure){ .reason = world_chance(world, 80) ? REASON_NONE : REASON_AUTH };
	member->probe = 0;
	flow_call_done(member->flow, call, world_instant(world));
}

static void end_calls(struct world *world, int index)
{
	struct member *member = &world->members[index];
	end_probe(world, index);
	for (int i = 0; i < CALLS_MAX; i++) {
		struct call *call = member->calls[i].call;
		if (call == NULL || member->calls[i].ends_ms > world->now_ms) continue;
		upstream_end(world, &member->calls[i]);
		world_tell(world, "call %lld of member %d ends %d", (long long)call->id, index,
			(int)call->result.failure.reason);
		note_end(member, call);
		note_patience(world, member, call);
		flow_call_done(member->flow, call, world_instant(world));
	}
}

static void tell_contents(struct world *world, struct member *member)
{
	for (int i = 0; i < CALLS_MAX; i++) {
		struct running *running = &member->calls[i];
		if (running->call == NULL || !running->call->tells_content || running->is_told) continue;
		if (running->content_ms == 0 || running->content_ms > world->now_ms) continue;
		running->is_told = true;
		flow_content_begun(member->flow, running->call->id, world_instant(world));
	}
}

static void take_one(struct world *world, int index, int p, int64_t offset)
{
	const struct request *request = &world->partitions[p].requests[offset];
	char key[16], value[200];
	snprintf(key, sizeof(key), "c%d", request->conversation);
	snprintf(value, sizeof(value),
		request->is_bad ? "{\"request_id\":%d%lld"
				: "{\"request_id\":\"%d-%lld\",\"messages\":[{\"role\":\"user\",\"content\":"
				  "\"at:%d/%lld/%d \"}]}",
		p, (long long)offset, p, (long long)offset, world->partitions[p].incarnation);
	struct record source = {
		.partition = p,
		.offset = offset,
		.timestamp_ms = world_instant(world).wall_ms - world->now_ms + request->timestamp_ms,
		.key = bytes_of(key),
		.value = bytes_of(value),
	};
	world_tell(world, "take %d/%lld", p, (long long)offset);
	struct record *record = record_new(&source);
	ASSERT(record != NULL);
	enum status status = flow_take(world->members[index].flow, record, world_instant(world));
	ASSERT(status == STATUS_OK);
}

static void take_records(struct world *world, int index)
{
	struct member *member = &world->members[index];
	if (kafka_is_down(world)) return;
	for (int p = 0; p < PARTITIONS; p++) {
		if (!member->has[p]) continue;
		while (member->position[p] < world->partitions[p].end && flow_wants(member->flow, p)) {
			int64_t offset = member->position[p]++;
			if (world->partitions[p].requests[offset].exists) take_one(world, index, p, offset);
		}
	}
}

static void put_batch(struct world *world, int index)
{
	struct member *member = &world->members[index];
	struct batch *batch;
	if (flow_next_batch(member->flow, world_instant(world), &batch) != STATUS_OK) return;
	ASSERT(member->batch == NULL);
	world_tell(world, "batch of member %d: %zu records", index, batch->item_count);
	member->batch = batch;
	member->batch_generation = member->generation;
	member->phase = TRANSACTION_BEFORE_OFFSETS;
	member->phase_ms = world->now_ms + world_draw(world, 0, 10);
	bool is_calm = world->now_ms >= world->calm_ms;
	bool is_uncertain = !is_calm && world_chance(world, 15);
	member->truth = is_calm || world_chance(world, is_uncertain ? 50 : 85);
	member->answer = is_uncertain ? BATCH_UNCERTAIN : member->truth ? BATCH_COMMITTED : BATCH_ABORTED;
}

static void finish_batch(struct world *world, int index)
{
	struct member *member = &world->members[index];
	struct batch *batch = member->batch;
	batch->end = member->answer;
	if (member->answer == BATCH_UNCERTAIN) {
		kafka_fill_found(world, batch);
		world->uncertain++;
	}
	if (member->answer == BATCH_ABORTED) world->aborts++;
	member->batch = NULL;
	member->phase = TRANSACTION_NONE;
	world_tell(world, "batch of member %d ends %d", index, (int)member->answer);
	flow_batch_done(member->flow, batch, world_instant(world));
	for (int p = 0; p < PARTITIONS; p++)
		if (member->revoking[p]) give_up(world, index, p);
}

static void move_batch(struct world *world, int index)
{
	struct member *member = &world->members[index];
	if (kafka_is_down(world) && member->phase_ms < world->blackout.until_ms)
		member->phase_ms = world->blackout.until_ms + world_draw(world, 0, 500);
	while (member->phase != TRANSACTION_NONE && member->phase_ms <= world->now_ms) {
		member->phase_ms = world->now_ms + world_draw(world, 0, world_chance(world, 5) ? 3000 : 15);
		if (member->phase == TRANSACTION_BEFORE_OFFSETS)
			kafka_offsets(world, index);
		else if (member->phase == TRANSACTION_PENDING)
			kafka_end(world, index);
		else
			finish_batch(world, index);
	}
}

/* Cancelled calls need a moment to come back; replies their transactions, some of which are slow or aborted. */
static void check_drain(struct world *world, int index)
{
	struct member *member = &world->members[index];
	struct flow_gauges gauges;
	flow_gauges(member->flow, &gauges);
	int64_t late_ms = world->now_ms - member->drains_until_ms;
	bool is_over = flow_is_idle(member->flow);
	bool has_chats = gauges.waiting > 0 || gauges.in_flight > 0;
	if ((has_chats && late_ms > DRAIN_CHATS_MS) || (!is_over && late_ms > DRAIN_REPLIES_MS))
		world_break(world, 7, "member %d drains for ever", index);
	if (is_over) member_kill(world, index);
}

void member_turn(struct world *world, int index)
{
	struct member *member = &world->members[index];
	tell_contents(world, member);
	end_calls(world, index);
	move_batch(world, index);
	flow_tick(member->flow, world_instant(world));
	take_records(world, index);
	bool was_running[CALLS_MAX];
	for (int i = 0; i < CALLS_MAX; i++)
		was_running[i] = member->calls[i].call != NULL;
	start_calls(world, index);
	for (int i = 0; i < CALLS_MAX; i++)
		if (!was_running[i] && member->calls[i].call != NULL) check_call(world, member, member->calls[i].call);
	check_overtaken(world, member);
	put_batch(world, index);
	check_bounds(world, index);

	if (member->drains_until_ms == 0) return;
	check_drain(world, index);
}

int64_t member_due(const struct world *world, int index)
{
	const struct member *member = &world->members[index];
	if (member->still_until_ms > world->now_ms) return member->still_until_ms;
	int64_t due_ms = flow_due(member->flow);
	for (int i = 0; i < CALLS_MAX; i++) {
		const struct running *running = &member->calls[i];
		if (running->call == NULL) continue;
		if (running->ends_ms < due_ms) due_ms = running->ends_ms;
		bool tells = running->call->tells_content && running->content_ms != 0 && !running->is_told;
		if (tells && running->content_ms < due_ms) due_ms = running->content_ms;
	}
	if (member->phase != TRANSACTION_NONE && member->phase_ms < due_ms) due_ms = member->phase_ms;
	if (member->probe != 0 && member->probe_ends_ms < due_ms) due_ms = member->probe_ends_ms;
	int64_t check_ms = member->drains_until_ms + DRAIN_CHATS_MS + 1;
	if (member->drains_until_ms != 0 && check_ms > world->now_ms && check_ms < due_ms) due_ms = check_ms;
	return due_ms;
}
