/* Texts of ledgers: what was written is read, and nothing else is. */
#include "worker/core/ledger_text.h"

#include <stdlib.h>
#include <string.h>

#include "common/random.h"
#include "tests/unit/assertion_trap.h"
#include "tests/unit/ledger_judge.h"

enum { LOG_END = 1000000 };

static bool is_accepted(struct bytes view)
{
	struct ledger_text text;
	uint64_t commit_id;
	enum status status = ledger_text_read(view, &text);
	assert_int_equal(ledger_text_commit_id(view, &commit_id), status);
	assert_true(status == STATUS_OK || status == STATUS_INVALID);
	return status == STATUS_OK;
}

static void set_bit(struct ledger_text *text, size_t bit)
{
	text->bitmap[bit / 8] = (uint8_t)(text->bitmap[bit / 8] | 1U << (bit % 8));
	if (text->bitmap_size < bit / 8 + 1) text->bitmap_size = bit / 8 + 1;
}

/* Bits with a density that differs from text to text. */
static struct ledger_text random_text(struct random *random)
{
	struct ledger_text text = { .watermark = (int64_t)(random_next(random) >> (1 + random_below(random, 63))),
		.commit_id = random_next(random) >> random_below(random, 64) };
	uint64_t bits = random_below(random, LEDGER_WINDOW), density = 1 + random_below(random, 100);
	for (size_t bit = 1; bit < bits; bit++)
		if (random_below(random, density) == 0) set_bit(&text, bit);
	return text;
}

static struct bytes judged(const struct ledger_text *text, char out_text[static JUDGE_TEXT_MAX])
{
	static bool finished[LEDGER_WINDOW];
	for (size_t i = 0; i < LEDGER_WINDOW; i++)
		finished[i] = (text->bitmap[i / 8] >> (i % 8) & 1) != 0;
	return judge_text(text->watermark, text->commit_id, finished, LEDGER_WINDOW, out_text);
}

static void ledger_text_random_ones_are_as_judged_and_come_back(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 1500; seed++) {
		struct random random;
		char written[LEDGER_TEXT_MAX], expected[JUDGE_TEXT_MAX];
		struct ledger_text again;
		random_init(&random, seed);
		struct ledger_text text = random_text(&random);
		struct bytes view = bytes_at(written, ledger_text_write(&text, written));
		assert_for_seed(seed, bytes_equal(view, judged(&text, expected)));
		for (size_t i = 0; i < view.size; i++)
			assert_for_seed(seed, view.data[i] > ' ' && view.data[i] < 0x7f);
		assert_for_seed(seed, ledger_text_read(view, &again) == STATUS_OK);
		assert_for_seed(seed, again.watermark == text.watermark && again.commit_id == text.commit_id);
		assert_for_seed(seed, again.bitmap_size == text.bitmap_size);
		assert_for_seed(seed, memcmp(again.bitmap, text.bitmap, sizeof(text.bitmap)) == 0);
	}
}

static void ledger_text_largest_is_exactly_the_maximum(void **state)
{
	(void)state;
	struct ledger_text text = { .watermark = INT64_MAX, .commit_id = UINT64_MAX };
	char written[LEDGER_TEXT_MAX];
	for (size_t bit = 0; bit < LEDGER_WINDOW; bit++)
		set_bit(&text, bit);
	size_t size = ledger_text_write(&text, written);
	/* The maximum has room for one more digit than a watermark can have. */
	assert_int_equal(size, LEDGER_TEXT_MAX - 1);
	assert_true(LEDGER_TEXT_MAX < 4096);
	assert_true(is_accepted(bytes_at(written, size)));
}

static void ledger_text_not_trimmed_asserts(void **state)
{
	(void)state;
	struct ledger_text text = { .bitmap_size = 1 };
	char written[LEDGER_TEXT_MAX];
	expect_assert_failure(assert_int_equal(ledger_text_write(&text, written), 0));
	text = (struct ledger_text){ .watermark = -1 };
	expect_assert_failure(assert_int_equal(ledger_text_write(&text, written), 0));
}

/* Bodies with a right check sum: only the form decides. */
struct body_case {
	const char *body;
	bool is_good;
};

static const struct body_case body_cases[] = {
	{ "1:0:0000000000000000::", true },
	{ "1:5:00000000000000ff:AQ:", true },
	{ "1:5:00000000000000ff:_w:", true },
	{ "1:5:00000000000000ff:-A:", true },
	{ "1:9223372036854775807:ffffffffffffffff:AAE:", true },
	{ "1:5:00000000000000ff:AAAB:", true },
	{ "0:5:00000000000000ff:AQ:", false },
	{ "2:5:00000000000000ff:AQ:", false },
	{ "01:5:00000000000000ff:AQ:", false },
	{ ":5:00000000000000ff:AQ:", false },
	{ "1 :5:00000000000000ff:AQ:", false },
	{ "1::00000000000000ff:AQ:", false },
	{ "1:-5:00000000000000ff:AQ:", false },
	{ "1:-0:00000000000000ff:AQ:", false },
	{ "1:05:00000000000000ff:AQ:", false },
	{ "1:00:00000000000000ff:AQ:", false },
	{ "1:+5:00000000000000ff:AQ:", false },
	{ "1: 5:00000000000000ff:AQ:", false },
	{ "1:5.0:00000000000000ff:AQ:", false },
	{ "1:9223372036854775808:00000000000000ff:AQ:", false },
	{ "1:99999999999999999999:00000000000000ff:AQ:", false },
	{ "1:5:ff:AQ:", false },
	{ "1:5::AQ:", false },
	{ "1:5:000000000000000ff:AQ:", false },
	{ "1:5:0000000000000ff:AQ:", false },
	{ "1:5:00000000000000FF:AQ:", false },
	{ "1:5:00000000000000fg:AQ:", false },
	{ "1:5:0x000000000000ff:AQ:", false },
	{ "1:5:00000000000000ff:A:", false },
	{ "1:5:00000000000000ff:AQAAA:", false },
	{ "1:5:00000000000000ff:AQ==:", false },
	{ "1:5:00000000000000ff:AR:", false },
	{ "1:5:00000000000000ff:AAF:", false },
	{ "1:5:00000000000000ff:/w:", false },
	{ "1:5:00000000000000ff:+A:", false },
	{ "1:5:00000000000000ff:A Q:", false },
	{ "1:5:00000000000000ff:AA:", false },
	{ "1:5:00000000000000ff:AQA:", false },
	{ "1:5:00000000000000ff:AQAA:", false },
	{ "1:5:00000000000000ff:AQ", false },
	{ "1:5:00000000000000ff:AQ::", false },
	{ "1:5:00000000000000ff:AQ:x:", false },
	{ "1:5:00000000000000ff:AQ:x", false },
	{ "1:5:00000000000000ff:", false },
	{ "1:5:00000000000000ff", false },
	{ "1:5:", false },
	{ "1", false },
	{ ":", false },
	{ "::::", false },
	{ "{\"v\":1}:", false },
};

static void ledger_text_forms(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(body_cases) / sizeof(body_cases[0]); i++) {
		char text[JUDGE_TEXT_MAX];
		if (is_accepted(judge_sealed(body_cases[i].body, text)) != body_cases[i].is_good)
			fail_msg("%s", body_cases[i].body);
	}
}

static void ledger_text_bitmap_larger_than_the_window_is_refused(void **state)
{
	(void)state;
	char text[JUDGE_TEXT_MAX];
	static bool finished[LEDGER_WINDOW + 16];
	finished[LEDGER_WINDOW - 1] = true;
	assert_true(is_accepted(judge_text(5, 1, finished, LEDGER_WINDOW, text)));
	for (size_t more = 0; more < 16; more++) {
		memset(finished, 0, sizeof(finished));
		finished[LEDGER_WINDOW + more] = true;
		assert_false(is_accepted(judge_text(5, 1, finished, LEDGER_WINDOW + more + 1, text)));
	}
}

static void ledger_text_foreign_ones_are_refused(void **state)
{
	(void)state;
	static const char *const foreign[] = { "", " ", "hello", "00000000", "1:5:00000000000000ff:AQ:00000000", "NULL",
		"{\"offset\":5}", "1:5:00000000000000ff:AQ", "consumer-1-2c0a6b1e-6f0e-4c2e-9d9e-0a5a1b2c3d4e" };
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		assert_false(is_accepted(bytes_of(foreign[i])));
	assert_false(is_accepted(BYTES_NONE));
	char large[5000];
	memset(large, 'A', sizeof(large));
	for (size_t size = 1; size < sizeof(large); size += 7)
		assert_false(is_accepted(bytes_at(large, size)));
}

/* Every single bit of a text of some length, and one bit of each byte of the longest. */
static void flip_bits(const struct ledger_text *text, size_t step)
{
	char written[LEDGER_TEXT_MAX];
	size_t size = ledger_text_write(text, written);
	for (size_t bit = 0; bit < size * 8; bit += step) {
		written[bit / 8] = (char)(written[bit / 8] ^ (1 << (bit % 8)));
		if (is_accepted(bytes_at(written, size))) fail_msg("bit %zu", bit);
		written[bit / 8] = (char)(written[bit / 8] ^ (1 << (bit % 8)));
	}
	assert_true(is_accepted(bytes_at(written, size)));
}

static void ledger_text_any_flipped_bit_is_refused(void **state)
{
	(void)state;
	struct ledger_text text = { .watermark = 123456789, .commit_id = 0x0123456789abcdefULL };
	for (size_t bit = 1; bit < 3000; bit += 1 + bit % 5)
		set_bit(&text, bit);
	flip_bits(&text, 1);
	for (size_t bit = 3000; bit < LEDGER_WINDOW; bit += 3)
		set_bit(&text, bit);
	flip_bits(&text, 9);
}

static void ledger_text_cut_or_lengthened_is_refused(void **state)
{
	(void)state;
	struct ledger_text text = { .watermark = 77, .commit_id = 1 };
	char written[LEDGER_TEXT_MAX + 1];
	for (size_t bit = 1; bit < 2000; bit += 7)
		set_bit(&text, bit);
	size_t size = ledger_text_write(&text, written);
	for (size_t cut = 0; cut < size; cut++) {
		assert_false(is_accepted(bytes_at(written, cut)));
		assert_false(is_accepted(bytes_at(written + size - cut, cut)));
	}
	for (int more = 0; more < 256; more++) {
		written[size] = (char)more;
		assert_false(is_accepted(bytes_at(written, size + 1)));
	}
}

/* Whatever is accepted is exactly what would be written for it: a text has one form. */
static void ledger_text_accepted_only_in_its_one_form(void **state)
{
	(void)state;
	static const char alphabet[] = "0123456789abcdefABCDEF:-_=+/ gAQwz";
	size_t accepted = 0;
	for (uint64_t seed = 1; seed <= 60000; seed++) {
		struct random random;
		char body[JUDGE_TEXT_MAX] = "1:4711:00000000000000ff:AAEBCg:", sealed[JUDGE_TEXT_MAX];
		random_init(&random, seed);
		for (uint64_t changes = random_below(&random, 3); changes > 0; changes--)
			body[random_below(&random, strlen(body))] =
				alphabet[random_below(&random, sizeof(alphabet) - 1)];
		struct bytes view = judge_sealed(body, sealed);
		struct ledger_text text;
		if (ledger_text_read(view, &text) != STATUS_OK) continue;
		char again[LEDGER_TEXT_MAX];
		assert_for_seed(seed, bytes_equal(view, bytes_at(again, ledger_text_write(&text, again))));
		accepted++;
	}
	assert_in_range(accepted, 20000, 59000);
}

static void assert_restore(int64_t start, struct bytes text, int64_t log_end, enum status expected)
{
	struct ledger *ledger = ledger_new(start);
	assert_int_equal(ledger_restore(ledger, text, log_end), expected);
	if (expected != STATUS_OK) {
		/* As if nothing had been tried. */
		assert_int_equal(ledger_watermark(ledger), start);
		assert_int_equal(ledger_finished_above(ledger), 0);
		for (int64_t offset = start; offset < start + 100; offset++)
			assert_int_equal(ledger_take(ledger, offset), STATUS_OK);
	}
	ledger_free(ledger);
}

static void ledger_restore_of_anything_doubtful_changes_nothing(void **state)
{
	(void)state;
	char text[JUDGE_TEXT_MAX];
	bool finished[40] = { false };
	finished[3] = true;
	finished[9] = true;
	struct bytes good = judge_text(50, 1, finished, 40, text);
	assert_restore(50, good, LOG_END, STATUS_OK);
	assert_restore(50, good, 60, STATUS_OK);
	/* Finished at the log's end or beyond: another log than the one that was read. */
	assert_restore(50, good, 59, STATUS_INVALID);
	assert_restore(50, good, 50, STATUS_INVALID);
	assert_restore(50, good, 0, STATUS_INVALID);
	/* Another watermark than the committed offset. */
	assert_restore(49, good, LOG_END, STATUS_INVALID);
	assert_restore(51, good, LOG_END, STATUS_INVALID);
	assert_restore(0, good, LOG_END, STATUS_INVALID);
	assert_restore(50, BYTES_NONE, LOG_END, STATUS_INVALID);
	assert_restore(50, bytes_at(good.data, good.size - 1), LOG_END, STATUS_INVALID);
	/* The watermark itself is finished: then it would not be the watermark. */
	finished[0] = true;
	assert_restore(50, judge_text(50, 1, finished, 40, text), LOG_END, STATUS_INVALID);
}

static void ledger_restore_of_an_empty_bitmap_at_the_log_end(void **state)
{
	(void)state;
	char text[JUDGE_TEXT_MAX];
	assert_restore(50, judge_sealed("1:50:0000000000000001::", text), 50, STATUS_OK);
	assert_restore(50, judge_sealed("1:50:0000000000000001::", text), 49, STATUS_INVALID);
}

static void ledger_text_commit_id_is_read_whatever_the_watermark(void **state)
{
	(void)state;
	char text[JUDGE_TEXT_MAX];
	uint64_t commit_id = 0;
	struct bytes view = judge_sealed("1:123:fedcba9876543210:AQ:", text);
	assert_int_equal(ledger_text_commit_id(view, &commit_id), STATUS_OK);
	assert_true(commit_id == 0xfedcba9876543210ULL);
	assert_int_equal(ledger_text_commit_id(bytes_at(text, view.size - 1), &commit_id), STATUS_INVALID);
	assert_true(commit_id == 0xfedcba9876543210ULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ledger_text_random_ones_are_as_judged_and_come_back),
		cmocka_unit_test(ledger_text_largest_is_exactly_the_maximum),
		cmocka_unit_test(ledger_text_not_trimmed_asserts),
		cmocka_unit_test(ledger_text_forms),
		cmocka_unit_test(ledger_text_bitmap_larger_than_the_window_is_refused),
		cmocka_unit_test(ledger_text_foreign_ones_are_refused),
		cmocka_unit_test(ledger_text_any_flipped_bit_is_refused),
		cmocka_unit_test(ledger_text_cut_or_lengthened_is_refused),
		cmocka_unit_test(ledger_text_accepted_only_in_its_one_form),
		cmocka_unit_test(ledger_restore_of_anything_doubtful_changes_nothing),
		cmocka_unit_test(ledger_restore_of_an_empty_bitmap_at_the_log_end),
		cmocka_unit_test(ledger_text_commit_id_is_read_whatever_the_watermark),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
