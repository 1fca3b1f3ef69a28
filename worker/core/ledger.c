/* Which offsets of one input partition are finished: see the header.
 *
 * Both bitmaps are rings: the bit of an offset is at offset % LEDGER_WINDOW, valid for offsets in
 * [watermark, watermark + LEDGER_WINDOW). Bits leave the ring cleared when the watermark passes them. */
#include "worker/core/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"
#include "worker/core/ledger_text.h"

struct ledger {
	int64_t watermark;
	int64_t next;        /* next offset expected from the log; > all that were taken */
	size_t done_count;   /* bits set in done */
	size_t staged_count; /* bits set in staged */
	uint64_t done[LEDGER_WINDOW / 64];
	uint64_t staged[LEDGER_WINDOW / 64];
};

static size_t place(int64_t offset)
{
	ASSERT(offset >= 0);
	ASSERT(offset >= 0);
	return (size_t)(offset % LEDGER_WINDOW);
}

static bool bit_is_set(const uint64_t *bits, int64_t offset)
{
	return (bits[place(offset) / 64] >> (place(offset) % 64) & 1) != 0;
}

static void bit_set(uint64_t *bits, int64_t offset)
{
	ASSERT(!bit_is_set(bits, offset));
	bits[place(offset) / 64] |= (uint64_t)1 << (place(offset) % 64);
}

static void bit_clear(uint64_t *bits, int64_t offset)
{
	ASSERT(bit_is_set(bits, offset));
	bits[place(offset) / 64] &= ~((uint64_t)1 << (place(offset) % 64));
}

static bool is_in_window(const struct ledger *ledger, int64_t offset)
{
	return offset >= ledger->watermark && offset - ledger->watermark < LEDGER_WINDOW;
}

/* What holds between all calls. */
static void check(const struct ledger *ledger)
{
	ASSERT(ledger->watermark >= 0);
	ASSERT(ledger->next >= ledger->watermark);
	ASSERT(ledger->done_count < LEDGER_WINDOW);
	ASSERT(ledger->staged_count <= LEDGER_WINDOW - ledger->done_count);
	/* A finished watermark would have moved on. */
	ASSERT(!bit_is_set(ledger->done, ledger->watermark));
	/* Only what was taken can be staged. */
	ASSERT((int64_t)ledger->staged_count <= ledger->next - ledger->watermark);
}

struct ledger *ledger_new(int64_t start)
{
	ASSERT(start >= 0);
	struct ledger *ledger = calloc(1, sizeof(*ledger));
	if (ledger == NULL) return NULL;
	ledger->watermark = start;
	ledger->next = start;
	return ledger;
}

void ledger_free(struct ledger *ledger)
{
	free(ledger);
}

static void mark_done(struct ledger *ledger, int64_t offset)
{
	ASSERT(is_in_window(ledger, offset));
	if (bit_is_set(ledger->done, offset)) return;
	ASSERT(!bit_is_set(ledger->staged, offset));
	bit_set(ledger->done, offset);
	ledger->done_count++;
	ASSERT(ledger->done_count <= LEDGER_WINDOW);
}

/* Moves the watermark over what is done. */
static void advance(struct ledger *ledger)
{
	while (ledger->done_count > 0 && bit_is_set(ledger->done, ledger->watermark)) {
		ASSERT(!bit_is_set(ledger->staged, ledger->watermark));
		bit_clear(ledger->done, ledger->watermark);
		ledger->done_count--;
		ledger->watermark++;
	}
	if (ledger->next < ledger->watermark) ledger->next = ledger->watermark;
	check(ledger);
}

enum status ledger_restore(struct ledger *ledger, struct bytes text, int64_t log_end)
{
	ASSERT(ledger->next == ledger->watermark);
	ASSERT(ledger->done_count == 0);
	ASSERT(ledger->staged_count == 0);
	struct ledger_text stored;
	if (ledger_text_read(text, &stored) != STATUS_OK) return STATUS_INVALID;
	if (stored.watermark != ledger->watermark || stored.watermark > log_end) return STATUS_INVALID;

	size_t bits = stored.bitmap_size * 8;
	for (size_t i = 0; i < bits; i++) {
		bool set = (stored.bitmap[i / 8] >> (i % 8) & 1) != 0;
		/* The watermark is the first offset that is not finished, and what is not in the log cannot be. */
		if (set && (i == 0 || (int64_t)i >= log_end - stored.watermark)) return STATUS_INVALID;
	}
	for (size_t i = 0; i < bits; i++)
		if ((stored.bitmap[i / 8] >> (i % 8) & 1) != 0) mark_done(ledger, ledger->watermark + (int64_t)i);
	check(ledger);
	return STATUS_OK;
}

/* Counts the offsets from `next` up to `offset` as done, as far as the window reaches. */
static void skip_to(struct ledger *ledger, int64_t offset)
{
	ASSERT(ledger->next <= offset);
	while (ledger->next < offset) {
		if (ledger->next == ledger->watermark && ledger->done_count == 0) {
			/* Nothing is open and nothing done ahead: a jump of any length is one step. */
			ledger->next = offset;
			ledger->watermark = offset;
			return;
		}
		if (!is_in_window(ledger, ledger->next)) return;
		mark_done(ledger, ledger->next);
		ledger->next++;
		if (bit_is_set(ledger->done, ledger->watermark)) advance(ledger);
	}
}

enum status ledger_take(struct ledger *ledger, int64_t offset)
{
	ASSERT(offset >= 0);
	check(ledger);
	if (offset < ledger->next) return STATUS_NOT_FOUND;
	skip_to(ledger, offset);
	/* The watermark may have run over restored bits, the record's own among them. */
	if (ledger->next > offset) return STATUS_NOT_FOUND;
	if (ledger->next < offset || !is_in_window(ledger, offset)) return STATUS_FULL;
	ledger->next = offset + 1;
	if (!bit_is_set(ledger->done, offset)) return STATUS_OK;
	advance(ledger);
	return STATUS_NOT_FOUND;
}

void ledger_pass(struct ledger *ledger, int64_t end)
{
	ASSERT(end >= 0);
	check(ledger);
	if (ledger->next < end) skip_to(ledger, end);
	check(ledger);
}

bool ledger_has_room(const struct ledger *ledger)
{
	ASSERT(ledger != NULL);
	return is_in_window(ledger, ledger->next);
}

bool ledger_is_done(const struct ledger *ledger, int64_t offset)
{
	ASSERT(offset >= 0);
	check(ledger);
	if (offset < ledger->watermark) return true;
	return is_in_window(ledger, offset) && bit_is_set(ledger->done, offset);
}

void ledger_stage(struct ledger *ledger, int64_t offset)
{
	ASSERT(is_in_window(ledger, offset));
	ASSERT(offset < ledger->next);
	ASSERT(!bit_is_set(ledger->done, offset));
	ASSERT(!bit_is_set(ledger->staged, offset));
	bit_set(ledger->staged, offset);
	ledger->staged_count++;
	check(ledger);
}

void ledger_adopt(struct ledger *ledger)
{
	for (size_t i = 0; i < LEDGER_WINDOW / 64 && ledger->staged_count > 0; i++) {
		ASSERT((ledger->done[i] & ledger->staged[i]) == 0);
		size_t count = (size_t)__builtin_popcountll(ledger->staged[i]);
		ledger->done[i] |= ledger->staged[i];
		ledger->staged[i] = 0;
		ledger->done_count += count;
		ledger->staged_count -= count;
	}
	ASSERT(ledger->staged_count == 0);
	advance(ledger);
}

void ledger_unstage(struct ledger *ledger)
{
	memset(ledger->staged, 0, sizeof(ledger->staged));
	ledger->staged_count = 0;
	check(ledger);
}

static bool is_finished(const struct ledger *ledger, int64_t offset)
{
	return is_in_window(ledger, offset) && (bit_is_set(ledger->done, offset) || bit_is_set(ledger->staged, offset));
}

int64_t ledger_offset(const struct ledger *ledger)
{
	check(ledger);
	int64_t offset = ledger->watermark;
	while (is_finished(ledger, offset))
		offset++;
	ASSERT(offset - ledger->watermark <= LEDGER_WINDOW);
	return offset;
}

size_t ledger_text(const struct ledger *ledger, uint64_t commit_id, char out_text[static LEDGER_TEXT_MAX])
{
	struct ledger_text text = { .watermark = ledger_offset(ledger), .commit_id = commit_id };
	int64_t end = ledger->watermark + LEDGER_WINDOW;
	ASSERT(ledger->done_count + ledger->staged_count >= (size_t)(text.watermark - ledger->watermark));
	size_t left = ledger->done_count + ledger->staged_count - (size_t)(text.watermark - ledger->watermark);
	for (int64_t offset = text.watermark; offset < end && left > 0; offset++) {
		if (!is_finished(ledger, offset)) continue;
		size_t bit = (size_t)(offset - text.watermark);
		text.bitmap[bit / 8] = (uint8_t)(text.bitmap[bit / 8] | 1U << (bit % 8));
		text.bitmap_size = bit / 8 + 1;
		left--;
	}
	ASSERT(left == 0);
	ASSERT(text.bitmap_size <= sizeof(text.bitmap));
	return ledger_text_write(&text, out_text);
}

enum status ledger_text_commit_id(struct bytes text, uint64_t *out_commit_id)
{
	ASSERT(out_commit_id != NULL);
	struct ledger_text stored;
	if (ledger_text_read(text, &stored) != STATUS_OK) return STATUS_INVALID;
	*out_commit_id = stored.commit_id;
	return STATUS_OK;
}

int64_t ledger_watermark(const struct ledger *ledger)
{
	ASSERT(ledger->watermark >= 0);
	return ledger->watermark;
}

size_t ledger_finished_above(const struct ledger *ledger)
{
	ASSERT(ledger->done_count < LEDGER_WINDOW);
	ASSERT(ledger->done_count < LEDGER_WINDOW);
	return ledger->done_count;
}

size_t ledger_open(const struct ledger *ledger)
{
	size_t finished = 0;
	for (int64_t offset = ledger->watermark; offset < ledger->next && finished < ledger->done_count; offset++)
		if (bit_is_set(ledger->done, offset)) finished++;
	ASSERT(finished <= (size_t)(ledger->next - ledger->watermark));
	return (size_t)(ledger->next - ledger->watermark) - finished;
}
