/* Thousands of random lives of a partition: the ledger against a plain set of marked offsets.
 *
 * A log with gaps is read, chats finish in any order, batches commit or abort, the process dies and another one begins
 * with the text of the last commit. The model marks every offset by itself and recounts; what the committed text promised
 * is remembered apart from it, so that a chat answered twice or never would show even if model and ledger agreed. */
#include <stdlib.h>
#include <string.h>

#include "common/random.h"
#include "tests/unit/ledger_judge.h"
#include "tests/unit/testing.h"
#include "worker/core/ledger.h"

/* Marks of an offset. */
enum {
	EXISTS = 1,   /* the log has a record there */
	DONE = 2,     /* finished, as the ledger should see it */
	STAGED = 4,   /* in the batch under way */
	OPEN = 8,     /* taken and not done */
	ANSWERED = 16 /* its reply is in the topic: survives everything */
};

struct scene {
	uint64_t seed;
	struct random random;
	struct ledger *ledger;
	int64_t base; /* offset of marks[0] */
	size_t count;
	unsigned char *marks;
	size_t watermark, next;

	size_t position; /* where the reader stands */
	size_t full_count, skip_count;

	/* The last commit: its place, its text, and what was DONE or STAGED then. */
	size_t committed;
	char text[LEDGER_TEXT_MAX];
	size_t text_size;
	unsigned char *committed_marks;
};

static bool has(const struct scene *scene, size_t at, unsigned marks)
{
	return at < scene->count && (scene->marks[at] & marks) != 0;
}

/* ---- the model ---- */

static void model_advance(struct scene *scene)
{
	while (has(scene, scene->watermark, DONE))
		scene->watermark++;
	if (scene->next < scene->watermark) scene->next = scene->watermark;
}

static enum status model_take(struct scene *scene, size_t at)
{
	while (scene->next < at) {
		if (scene->next - scene->watermark >= LEDGER_WINDOW) return STATUS_FULL;
		scene->marks[scene->next++] |= DONE;
		model_advance(scene);
	}
	if (scene->next > at) return STATUS_NOT_FOUND;
	if (at - scene->watermark >= LEDGER_WINDOW) return STATUS_FULL;
	scene->next = at + 1;
	if (has(scene, at, DONE)) return STATUS_NOT_FOUND;
	scene->marks[at] |= OPEN;
	return STATUS_OK;
}

static size_t model_offset(const struct scene *scene)
{
	size_t at = scene->watermark;
	while (has(scene, at, DONE | STAGED))
		at++;
	return at;
}

static size_t model_count(const struct scene *scene, size_t from, size_t to, unsigned marks)
{
	size_t count = 0;
	if (to > scene->count) to = scene->count;
	for (size_t at = from; at < to; at++)
		count += has(scene, at, marks);
	return count;
}

static struct bytes model_text(const struct scene *scene, uint64_t commit_id, char out_text[static JUDGE_TEXT_MAX])
{
	static bool finished[LEDGER_WINDOW];
	size_t first = model_offset(scene), size = 0;
	for (; size < LEDGER_WINDOW && first + size < scene->count; size++)
		finished[size] = has(scene, first + size, DONE | STAGED);
	return judge_text(scene->base + (int64_t)first, commit_id, finished, size, out_text);
}

/* ---- both against each other ---- */

static void check_figures(const struct scene *scene)
{
	const struct ledger *ledger = scene->ledger;
	size_t above = model_count(scene, scene->watermark, scene->watermark + LEDGER_WINDOW, DONE);
	size_t open = model_count(scene, scene->watermark, scene->next, OPEN);
	assert_for_seed(scene->seed, ledger_watermark(ledger) == scene->base + (int64_t)scene->watermark);
	assert_for_seed(scene->seed, ledger_offset(ledger) == scene->base + (int64_t)model_offset(scene));
	assert_for_seed(scene->seed, ledger_finished_above(ledger) == above);
	assert_for_seed(scene->seed, ledger_open(ledger) == open);
	assert_for_seed(scene->seed, ledger_has_room(ledger) == (scene->next - scene->watermark < LEDGER_WINDOW));
}

static void check_text(struct scene *scene)
{
	char text[LEDGER_TEXT_MAX], expected[JUDGE_TEXT_MAX];
	uint64_t commit_id = random_next(&scene->random), read_id = 0;
	size_t size = ledger_text(scene->ledger, commit_id, text);
	assert_for_seed(scene->seed, size <= LEDGER_TEXT_MAX);
	assert_for_seed(scene->seed, bytes_equal(bytes_at(text, size), model_text(scene, commit_id, expected)));
	assert_for_seed(scene->seed, ledger_text_commit_id(bytes_at(text, size), &read_id) == STATUS_OK);
	assert_for_seed(scene->seed, read_id == commit_id);
}

/* ---- what happens ---- */

static void take_some(struct scene *scene, size_t count)
{
	while (count-- > 0) {
		while (scene->position < scene->count && !has(scene, scene->position, EXISTS))
			scene->position++;
		if (scene->position == scene->count) return;
		size_t at = scene->position;
		enum status expected = model_take(scene, at);
		enum status seen = ledger_take(scene->ledger, scene->base + (int64_t)at);
		assert_for_seed(scene->seed, seen == expected);
		if (seen == STATUS_FULL) {
			scene->full_count++;
			return;
		}
		assert_for_seed(scene->seed, (seen == STATUS_NOT_FOUND) == has(scene, at, ANSWERED));
		scene->skip_count += seen == STATUS_NOT_FOUND;
		model_advance(scene);
		scene->position++;
	}
}

/* Stages each open chat with one chance in `odds`; the lowest one may be slow and left out. */
static void stage_some(struct scene *scene, uint64_t odds, bool lowest_is_slow)
{
	for (size_t at = scene->watermark; at < scene->next; at++) {
		if (!has(scene, at, OPEN) || has(scene, at, STAGED)) continue;
		if (at == scene->watermark && lowest_is_slow) continue;
		if (random_below(&scene->random, odds) != 0) continue;
		ledger_stage(scene->ledger, scene->base + (int64_t)at);
		scene->marks[at] |= STAGED;
	}
}

static void note_commit(struct scene *scene)
{
	scene->committed = model_offset(scene);
	scene->text_size = ledger_text(scene->ledger, 1 + random_next(&scene->random) / 2, scene->text);
	memcpy(scene->committed_marks, scene->marks, scene->count);
	for (size_t at = 0; at < scene->count; at++)
		if (has(scene, at, STAGED)) scene->marks[at] |= ANSWERED;
}

static void end_batch(struct scene *scene, bool is_committed)
{
	if (is_committed) {
		note_commit(scene);
		ledger_adopt(scene->ledger);
	} else {
		ledger_unstage(scene->ledger);
	}
	for (size_t at = 0; at < scene->count; at++) {
		if (!has(scene, at, STAGED)) continue;
		scene->marks[at] &= (unsigned char)~STAGED;
		if (is_committed) scene->marks[at] = (unsigned char)((scene->marks[at] | DONE) & ~OPEN);
	}
	model_advance(scene);
}

/* The process dies, with or without the batch under way having been committed, and the next one begins. */
static void restart(struct scene *scene, bool batch_was_committed)
{
	if (batch_was_committed) note_commit(scene);
	ledger_free(scene->ledger);
	scene->ledger = ledger_new(scene->base + (int64_t)scene->committed);
	enum status status = ledger_restore(
		scene->ledger, bytes_at(scene->text, scene->text_size), scene->base + (int64_t)scene->count);
	assert_for_seed(scene->seed, status == STATUS_OK);
	for (size_t at = 0; at < scene->count; at++) {
		bool is_done = (scene->committed_marks[at] & (DONE | STAGED)) != 0;
		scene->marks[at] &= EXISTS | ANSWERED;
		if (is_done) scene->marks[at] |= DONE;
	}
	scene->watermark = scene->committed;
	scene->next = scene->committed;
	scene->position = scene->committed;
}

static void step(struct scene *scene, size_t burst)
{
	uint64_t kind = random_below(&scene->random, 20);
	if (kind < 9) {
		take_some(scene, (size_t)random_below(&scene->random, burst));
	} else if (kind < 14) {
		stage_some(scene, 1 + random_below(&scene->random, 8), random_below(&scene->random, 2) == 0);
	} else if (kind < 18) {
		end_batch(scene, random_below(&scene->random, 4) != 0);
	} else {
		restart(scene, random_below(&scene->random, 2) == 0);
	}
}

/* Runs of records and runs of nothing, as transaction markers, aborted batches and compaction leave them. */
static void make_log(struct scene *scene)
{
	size_t run_max = 1 + (size_t)random_below(&scene->random, scene->count);
	uint64_t gap_share = random_below(&scene->random, 4);
	for (size_t at = 0; at < scene->count;) {
		size_t run = 1 + (size_t)random_below(&scene->random, run_max);
		bool exists = random_below(&scene->random, 4) >= gap_share;
		for (; run > 0 && at < scene->count; run--)
			scene->marks[at++] = exists ? EXISTS : 0;
	}
}

static void open_scene(struct scene *scene, uint64_t seed, size_t count)
{
	*scene = (struct scene){ .seed = seed, .count = count };
	random_init(&scene->random, seed);
	scene->base = (int64_t)random_below(&scene->random, (uint64_t)1 << random_below(&scene->random, 60));
	scene->marks = calloc(count, 1);
	scene->committed_marks = calloc(count, 1);
	scene->ledger = ledger_new(scene->base);
	make_log(scene);
	note_commit(scene);
}

static void close_scene(struct scene *scene)
{
	ledger_free(scene->ledger);
	free(scene->marks);
	free(scene->committed_marks);
}

/* Lets everything end well: afterwards every record of the log is answered. */
static void finish_scene(struct scene *scene)
{
	end_batch(scene, true);
	for (size_t rounds = 0; rounds < scene->count + 4; rounds++) {
		take_some(scene, scene->count);
		stage_some(scene, 1, false);
		end_batch(scene, true);
		if (scene->position == scene->count) break;
	}
	check_figures(scene);
	check_text(scene);
	for (size_t at = 0; at < scene->count; at++)
		assert_for_seed(scene->seed, has(scene, at, EXISTS) == has(scene, at, ANSWERED));
}

static void ledger_short_lives_agree_with_the_model(void **state)
{
	(void)state;
	size_t skips = 0;
	for (uint64_t seed = 1; seed <= 6000; seed++) {
		struct scene scene;
		struct random size;
		random_init(&size, seed);
		open_scene(&scene, seed, 1 + (size_t)random_below(&size, 120));
		for (int steps = 0; steps < 50; steps++) {
			step(&scene, 20);
			check_figures(&scene);
			if (steps % 8 == 0) check_text(&scene);
		}
		finish_scene(&scene);
		skips += scene.skip_count;
		close_scene(&scene);
	}
	assert_true(skips > 10000);
}

static void ledger_long_lives_with_a_full_window_agree_with_the_model(void **state)
{
	(void)state;
	size_t fulls = 0, skips = 0;
	for (uint64_t seed = 1; seed <= 30; seed++) {
		struct scene scene;
		open_scene(&scene, seed, 3 * (size_t)LEDGER_WINDOW + 1000);
		for (int steps = 0; steps < 60; steps++) {
			step(&scene, 8000);
			check_figures(&scene);
			if (steps % 4 == 0) check_text(&scene);
		}
		finish_scene(&scene);
		fulls += scene.full_count;
		skips += scene.skip_count;
		close_scene(&scene);
	}
	assert_true(fulls > 50);
	assert_true(skips > 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ledger_short_lives_agree_with_the_model),
		cmocka_unit_test(ledger_long_lives_with_a_full_window_agree_with_the_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
