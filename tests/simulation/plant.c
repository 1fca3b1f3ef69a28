/* Planted bugs: see the header. */
#include "plant.h"

#include "common/heap.h"
#include "schemas/dead_letter.h"
#include "worker/core/flow_internal.h"
#include "worker/core/lanes.h"
#include "worker/core/ledger.h"
#include "worker/core/retry_budget.h"

static enum plant chosen = PLANT_NONE;

void plant_choose(enum plant plant)
{
	chosen = plant;
}

bool plant_is(enum plant plant)
{
	return chosen == plant;
}

const char *plant_word(enum plant plant)
{
#define PLANT_WORD(member, word, promise) word,
	static const char *const words[] = { PLANT_TABLE(PLANT_WORD) };
#undef PLANT_WORD
	return words[plant];
}

int plant_promise(enum plant plant)
{
#define PLANT_PROMISE(member, word, promise) promise,
	static const int promises[] = { PLANT_TABLE(PLANT_PROMISE) };
#undef PLANT_PROMISE
	return promises[plant];
}

/* What is kept counts more than the committed progress: a finished record is taken again when it has a kept reply. */
static bool has_kept_reply;

enum status __real_flow_take(struct flow *flow, struct record *record, struct instant now);
enum status __wrap_flow_take(struct flow *flow, struct record *record, struct instant now);
enum status __wrap_flow_take(struct flow *flow, struct record *record, struct instant now)
{
	const struct job *kept = park_find(flow->park, record->partition, record->offset);
	has_kept_reply = plant_is(PLANT_PARKED_IS_OPEN) && kept != NULL && kept->reply != NULL;
	enum status status = __real_flow_take(flow, record, now);
	has_kept_reply = false;
	return status;
}

enum status __real_ledger_take(struct ledger *ledger, int64_t offset);
enum status __wrap_ledger_take(struct ledger *ledger, int64_t offset);
enum status __wrap_ledger_take(struct ledger *ledger, int64_t offset)
{
	enum status status = __real_ledger_take(ledger, offset);
	return status == STATUS_NOT_FOUND && has_kept_reply ? STATUS_OK : status;
}

bool __real_ledger_is_done(const struct ledger *ledger, int64_t offset);
bool __wrap_ledger_is_done(const struct ledger *ledger, int64_t offset);
bool __wrap_ledger_is_done(const struct ledger *ledger, int64_t offset)
{
	return !plant_is(PLANT_PARKED_IS_OPEN) && __real_ledger_is_done(ledger, offset);
}

enum status __real_park_put(struct park *park, struct job *job, size_t bytes, int64_t until_ms, bool is_calling);
enum status __wrap_park_put(struct park *park, struct job *job, size_t bytes, int64_t until_ms, bool is_calling);
enum status __wrap_park_put(struct park *park, struct job *job, size_t bytes, int64_t until_ms, bool is_calling)
{
	if (plant_is(PLANT_NOTHING_PARKED)) return STATUS_NO_MEMORY;
	return __real_park_put(park, job, bytes, until_ms, is_calling);
}

bool __real_record_is_same(const struct record *a, const struct record *b);
bool __wrap_record_is_same(const struct record *a, const struct record *b);
bool __wrap_record_is_same(const struct record *a, const struct record *b)
{
	return plant_is(PLANT_PARKED_OTHER_RECORD) || __real_record_is_same(a, b);
}

void __real_flow_park_yield(struct flow *flow);
void __wrap_flow_park_yield(struct flow *flow);
void __wrap_flow_park_yield(struct flow *flow)
{
	if (!plant_is(PLANT_PARKED_KEEPS_SLOTS)) __real_flow_park_yield(flow);
}

void __real_ledger_stage(struct ledger *ledger, int64_t offset);
void __wrap_ledger_stage(struct ledger *ledger, int64_t offset);
void __wrap_ledger_stage(struct ledger *ledger, int64_t offset)
{
	if (plant_is(PLANT_PARKED_IS_OPEN) && __real_ledger_is_done(ledger, offset)) return;
	/* Every fourth: the ledger would never move at all otherwise. */
	if (plant_is(PLANT_PROGRESS_MISSES_REPLY) && offset % 4 == 1) return;
	__real_ledger_stage(ledger, offset);
}

enum status __real_ledger_restore(struct ledger *ledger, struct bytes text, int64_t log_end);
enum status __wrap_ledger_restore(struct ledger *ledger, struct bytes text, int64_t log_end);
enum status __wrap_ledger_restore(struct ledger *ledger, struct bytes text, int64_t log_end)
{
	return plant_is(PLANT_BITMAP_FORGOTTEN) ? STATUS_OK : __real_ledger_restore(ledger, text, log_end);
}

enum status __real_ledger_text_commit_id(struct bytes text, uint64_t *out_commit_id);
enum status __wrap_ledger_text_commit_id(struct bytes text, uint64_t *out_commit_id);
enum status __wrap_ledger_text_commit_id(struct bytes text, uint64_t *out_commit_id)
{
	if (plant_is(PLANT_UNCERTAIN_IS_ABORTED)) return STATUS_INVALID;
	return __real_ledger_text_commit_id(text, out_commit_id);
}

void __real_ledger_unstage(struct ledger *ledger);
void __wrap_ledger_unstage(struct ledger *ledger);
void __wrap_ledger_unstage(struct ledger *ledger)
{
	if (plant_is(PLANT_ABORTED_IS_FINISHED))
		ledger_adopt(ledger);
	else
		__real_ledger_unstage(ledger);
}

/* A flow that makes no further batch after an aborted one: nothing is wrong, ever, but it does not go on. */
static const struct flow *stuck;

void __real_flow_batch_done(struct flow *flow, struct batch *batch, struct instant now);
void __wrap_flow_batch_done(struct flow *flow, struct batch *batch, struct instant now);
void __wrap_flow_batch_done(struct flow *flow, struct batch *batch, struct instant now)
{
	if (plant_is(PLANT_ABORTED_IS_THE_END) && batch->end == BATCH_ABORTED) stuck = flow;
	__real_flow_batch_done(flow, batch, now);
}

enum status __real_flow_next_batch(struct flow *flow, struct instant now, struct batch **out_batch);
enum status __wrap_flow_next_batch(struct flow *flow, struct instant now, struct batch **out_batch);
enum status __wrap_flow_next_batch(struct flow *flow, struct instant now, struct batch **out_batch)
{
	return flow == stuck ? STATUS_EMPTY : __real_flow_next_batch(flow, now, out_batch);
}

enum status __real_lanes_enter(struct lanes *lanes, struct job *job);
enum status __wrap_lanes_enter(struct lanes *lanes, struct job *job);
enum status __wrap_lanes_enter(struct lanes *lanes, struct job *job)
{
	return plant_is(PLANT_NO_ORDER) ? STATUS_OK : __real_lanes_enter(lanes, job);
}

struct heap_node *__real_heap_take_due(struct heap *heap, int64_t now);
struct heap_node *__wrap_heap_take_due(struct heap *heap, int64_t now);
struct heap_node *__wrap_heap_take_due(struct heap *heap, int64_t now)
{
	return __real_heap_take_due(heap, plant_is(PLANT_NO_DEADLINE) ? now - 700 : now);
}

enum status __real_dead_letter_write(
	const struct dead_letter *letter, struct arena *arena, struct outgoing *out_record);
enum status __wrap_dead_letter_write(
	const struct dead_letter *letter, struct arena *arena, struct outgoing *out_record);
enum status __wrap_dead_letter_write(const struct dead_letter *letter, struct arena *arena, struct outgoing *out_record)
{
	enum status status = __real_dead_letter_write(letter, arena, out_record);
	if (plant_is(PLANT_NO_DEAD_LETTER)) out_record->value = BYTES_NONE;
	return status;
}

bool __real_flow_wants(const struct flow *flow, int32_t partition);
bool __wrap_flow_wants(const struct flow *flow, int32_t partition);
bool __wrap_flow_wants(const struct flow *flow, int32_t partition)
{
	return plant_is(PLANT_NO_BOUND) || __real_flow_wants(flow, partition);
}

void __real_retry_budget_spend(struct retry_budget *budget, int64_t cost, int64_t now_ms);
void __wrap_retry_budget_spend(struct retry_budget *budget, int64_t cost, int64_t now_ms);
void __wrap_retry_budget_spend(struct retry_budget *budget, int64_t cost, int64_t now_ms)
{
	if (!plant_is(PLANT_NO_BUDGET)) __real_retry_budget_spend(budget, cost, now_ms);
}

int64_t __real_flow_cooling_until(const struct flow *flow, size_t model);
int64_t __wrap_flow_cooling_until(const struct flow *flow, size_t model);
int64_t __wrap_flow_cooling_until(const struct flow *flow, size_t model)
{
	return plant_is(PLANT_NO_COOLING) ? 0 : __real_flow_cooling_until(flow, model);
}

void __real_flow_hedge_began(struct flow *flow, struct job *job, struct call *call, struct instant now);
void __wrap_flow_hedge_began(struct flow *flow, struct job *job, struct call *call, struct instant now);
void __wrap_flow_hedge_began(struct flow *flow, struct job *job, struct call *call, struct instant now)
{
	__real_flow_hedge_began(flow, job, call, now);
	if (plant_is(PLANT_SHARE_EARNED_TWICE)) __real_flow_hedge_began(flow, job, call, now);
}

void __real_flow_drain(struct flow *flow, int64_t until_ms);
void __wrap_flow_drain(struct flow *flow, int64_t until_ms);
void __wrap_flow_drain(struct flow *flow, int64_t until_ms)
{
	__real_flow_drain(flow, plant_is(PLANT_NO_DRAIN) ? until_ms + 3600000 : until_ms);
}

void __real_flow_turn(struct flow *flow, int64_t boot_ms, uint64_t heartbeats);
void __wrap_flow_turn(struct flow *flow, int64_t boot_ms, uint64_t heartbeats);
void __wrap_flow_turn(struct flow *flow, int64_t boot_ms, uint64_t heartbeats)
{
	if (!plant_is(PLANT_NO_DOUBT)) __real_flow_turn(flow, boot_ms, heartbeats);
}

void __real_flow_revoke(struct flow *flow, int32_t partition, struct instant now);
void __wrap_flow_revoke(struct flow *flow, int32_t partition, struct instant now);
void __wrap_flow_revoke(struct flow *flow, int32_t partition, struct instant now)
{
	if (!plant_is(PLANT_REVOKE_IGNORED)) __real_flow_revoke(flow, partition, now);
}
