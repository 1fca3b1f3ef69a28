/* All lives of a small partition: every state that a log of OFFSETS offsets can lead a ledger into, and every step from each.
 *
 * Random lives (test_ledger_model.c) reach far and meet little twice; here nothing is left out, for each log of so many
 * offsets, with and without a record at each of them, also where the ring begins anew. A state is what has become of each
 * offset, where the reader stands and what the last commit says; states are found breadth first, and a ledger is brought
 * into one by the steps that led there. */
#include <stdlib.h>

#include "tests/unit/testing.h"
#include "worker/core/ledger_text.h"

enum { OFFSETS = 6, LOGS = 1 << OFFSETS, STATES = 1 << (2 * OFFSETS + 3 + OFFSETS), FOUND_MAX = 1 << 14 };

enum mark { UNSEEN, OPEN, STAGED, FINISHED };

struct state {
	enum mark marks[OFFSETS];
	unsigned position;  /* the offset that is read next */
	unsigned committed; /* a bit for each offset that the last commit calls finished */
};

/* A step: take what comes next, end the batch, begin anew from the last commit, or stage the offset STAGE + n. */
enum { TAKE, COMMIT, ABORT, RESTART, STAGE, STEPS = STAGE + OFFSETS };

/* How a state was reached first. */
struct found {
	struct state state;
	size_t before; /* index of the state before */
	int step;
};

struct search {
	unsigned log; /* a bit for each offset that has a record */
	int64_t base; /* offset 0 of the log */
	struct found *found;
	size_t found_count;
	unsigned char *is_known; /* by number of the state */

	struct ledger *ledger;
	struct ledger_text committed;
};

#define assert_of(search, fact)                                                                                 \
	do {                                                                                                    \
		if (!(fact)) fail_msg("log %u from %lld: %s", (search)->log, (long long)(search)->base, #fact); \
	} while (0)

static size_t number_of(const struct state *state)
{
	size_t number = state->committed;
	for (int at = 0; at < OFFSETS; at++)
		number = number << 2 | (size_t)state->marks[at];
	return number << 3 | state->position;
}

static bool is_finished(const struct state *state, unsigned at)
{
	return state->marks[at] == FINISHED || state->marks[at] == STAGED;
}

static unsigned finished_bits(const struct state *state)
{
	unsigned bits = 0;
	for (unsigned at = 0; at < OFFSETS; at++)
		if (is_finished(state, at)) bits |= 1U << at;
	return bits;
}

static unsigned first_open(unsigned bits)
{
	unsigned at = 0;
	while ((bits >> at & 1) != 0)
		at++;
	return at;
}

static struct ledger_text text_of(const struct search *search)
{
	char text[LEDGER_TEXT_MAX];
	struct ledger_text read;
	size_t size = ledger_text(search->ledger, 7, text);
	assert_of(search, ledger_text_read(bytes_at(text, size), &read) == STATUS_OK);
	return read;
}

/* ---- steps, of the state and of the ledger alike ---- */

static bool may_step(const struct search *search, const struct state *state, int step)
{
	unsigned left = search->log >> state->position;
	if (step == TAKE) return left != 0;
	if (step >= STAGE) return state->marks[step - STAGE] == OPEN;
	return true;
}

static void take(struct search *search, struct state *state)
{
	while ((search->log >> state->position & 1) == 0)
		state->marks[state->position++] = FINISHED;
	unsigned at = state->position++;
	enum status expected = state->marks[at] == FINISHED ? STATUS_NOT_FOUND : STATUS_OK;
	assert_of(search, ledger_take(search->ledger, search->base + at) == expected);
	if (expected == STATUS_OK) state->marks[at] = OPEN;
}

static void end_batch(struct search *search, struct state *state, bool is_committed)
{
	if (is_committed) {
		state->committed = finished_bits(state);
		search->committed = text_of(search);
		ledger_adopt(search->ledger);
	} else {
		ledger_unstage(search->ledger);
	}
	for (unsigned at = 0; at < OFFSETS; at++)
		if (state->marks[at] == STAGED) state->marks[at] = is_committed ? FINISHED : OPEN;
}

static void restart(struct search *search, struct state *state)
{
	char text[LEDGER_TEXT_MAX];
	size_t size = ledger_text_write(&search->committed, text);
	ledger_free(search->ledger);
	search->ledger = ledger_new(search->committed.watermark);
	assert_non_null(search->ledger);
	enum status status = ledger_restore(search->ledger, bytes_at(text, size), search->base + OFFSETS);
	assert_of(search, status == STATUS_OK);
	state->position = first_open(state->committed);
	for (unsigned at = 0; at < OFFSETS; at++)
		state->marks[at] = (state->committed >> at & 1) != 0 ? FINISHED : UNSEEN;
}

static void do_step(struct search *search, struct state *state, int step)
{
	if (step == TAKE)
		take(search, state);
	else if (step == RESTART)
		restart(search, state);
	else if (step == COMMIT || step == ABORT)
		end_batch(search, state, step == COMMIT);
	else {
		ledger_stage(search->ledger, search->base + (step - STAGE));
		state->marks[step - STAGE] = STAGED;
	}
}

/* ---- what holds in every state ---- */

static void check_text(const struct search *search, const struct state *state)
{
	struct ledger_text text = text_of(search);
	unsigned first = first_open(finished_bits(state));
	assert_of(search, text.watermark == search->base + first);
	unsigned bits = text.bitmap_size == 0 ? 0 : text.bitmap[0];
	assert_of(search, text.bitmap_size <= 1);
	assert_of(search, bits << first == (finished_bits(state) & ~((1U << first) - 1)));
}

static void check(const struct search *search, const struct state *state)
{
	unsigned watermark = 0, above = 0, open = 0;
	while (watermark < OFFSETS && state->marks[watermark] == FINISHED)
		watermark++;
	for (unsigned at = watermark; at < OFFSETS; at++) {
		above += state->marks[at] == FINISHED;
		open += state->marks[at] == OPEN || state->marks[at] == STAGED;
	}
	assert_of(search, ledger_watermark(search->ledger) == search->base + watermark);
	assert_of(search, ledger_offset(search->ledger) == search->base + first_open(finished_bits(state)));
	assert_of(search, ledger_finished_above(search->ledger) == above);
	assert_of(search, ledger_open(search->ledger) == open);
	check_text(search, state);
}

/* ---- the search ---- */

static struct state begin(struct search *search)
{
	struct state state = { .position = 0 };
	ledger_free(search->ledger);
	search->ledger = ledger_new(search->base);
	assert_non_null(search->ledger);
	search->committed = (struct ledger_text){ .watermark = search->base, .commit_id = 7 };
	return state;
}

static struct state go_to(struct search *search, size_t index)
{
	if (index == 0) return begin(search);
	struct state state = go_to(search, search->found[index].before);
	do_step(search, &state, search->found[index].step);
	return state;
}

static void note(struct search *search, const struct state *state, size_t before, int step)
{
	size_t number = number_of(state);
	if (search->is_known[number] != 0) return;
	search->is_known[number] = 1;
	assert_of(search, search->found_count < FOUND_MAX);
	search->found[search->found_count++] = (struct found){ .state = *state, .before = before, .step = step };
}

static size_t search_log(unsigned log, int64_t base)
{
	struct search search = { .log = log, .base = base };
	search.found = calloc(FOUND_MAX, sizeof(struct found));
	search.is_known = calloc(STATES, 1);
	struct state state = begin(&search);
	note(&search, &state, 0, 0);
	for (size_t i = 0; i < search.found_count; i++)
		for (int step = 0; step < STEPS; step++) {
			if (!may_step(&search, &search.found[i].state, step)) continue;
			state = go_to(&search, i);
			assert_of(&search, number_of(&state) == number_of(&search.found[i].state));
			do_step(&search, &state, step);
			check(&search, &state);
			note(&search, &state, i, step);
		}
	ledger_free(search.ledger);
	free(search.found);
	free(search.is_known);
	return search.found_count;
}

static void ledger_every_life_of_six_offsets_is_as_marked(void **context)
{
	(void)context;
	size_t states = 0;
	for (unsigned log = 1; log < LOGS; log++)
		states += search_log(log, 0);
	assert_true(states > 10000);
}

static void ledger_every_life_over_the_end_of_the_ring_is_as_marked(void **context)
{
	(void)context;
	for (int64_t base = LEDGER_WINDOW - OFFSETS + 1; base < LEDGER_WINDOW; base++)
		assert_true(search_log(LOGS - 1, base) > 100);
}

static void ledger_text_every_bitmap_of_14_comes_back(void **context)
{
	(void)context;
	for (unsigned bits = 0; bits < 1U << 14; bits++) {
		char written[LEDGER_TEXT_MAX];
		struct ledger_text again, text = { .watermark = bits, .commit_id = bits + 1 };
		text.bitmap[0] = (uint8_t)bits;
		text.bitmap[1] = (uint8_t)(bits >> 8);
		text.bitmap_size = bits >= 256 ? 2 : bits > 0 ? 1 : 0;
		struct bytes view = bytes_at(written, ledger_text_write(&text, written));
		assert_for_seed(bits, ledger_text_read(view, &again) == STATUS_OK);
		assert_memory_equal(&again, &text, sizeof(text));

		struct ledger *ledger = ledger_new(bits);
		assert_non_null(ledger);
		enum status status = ledger_restore(ledger, view, (int64_t)bits + 14);
		/* The watermark itself is never finished. */
		assert_for_seed(bits, status == ((bits & 1) != 0 ? STATUS_INVALID : STATUS_OK));
		for (unsigned at = 0; at < 14; at++) {
			enum status expected =
				status == STATUS_OK && (bits >> at & 1) != 0 ? STATUS_NOT_FOUND : STATUS_OK;
			assert_for_seed(bits, ledger_take(ledger, (int64_t)bits + at) == expected);
		}
		ledger_free(ledger);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ledger_every_life_of_six_offsets_is_as_marked),
		cmocka_unit_test(ledger_every_life_over_the_end_of_the_ring_is_as_marked),
		cmocka_unit_test(ledger_text_every_bitmap_of_14_comes_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
