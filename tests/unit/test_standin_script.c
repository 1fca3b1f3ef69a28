/* The grammar of chat scripts and failure shares. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "replay/standin_script.h"

static struct script_item only_item(const char *text)
{
	struct script_item item, more;
	size_t cursor = 0;
	assert_int_equal(script_next(bytes_of(text), &cursor, &item), STATUS_OK);
	assert_int_equal(script_next(bytes_of(text), &cursor, &more), STATUS_EMPTY);
	return item;
}

static enum status first_status(const char *text)
{
	struct script_item item;
	size_t cursor = 0;
	return script_next(bytes_of(text), &cursor, &item);
}

static void script_bare_status_is_read(void **state)
{
	(void)state;
	struct script_item item = only_item("please [[429]] now");
	assert_false(item.is_setting);
	assert_int_equal(item.behaviour, BEHAVIOUR_STATUS);
	assert_int_equal(item.status, 429);
	assert_int_equal(item.times, 0);
	assert_int_equal(item.retry_after_s, -1);
	assert_false(bytes_is_given(item.model));
	assert_false(bytes_is_given(item.error_type));
	assert_int_equal(item.place, 7);
}

static void script_all_qualifiers_are_read(void **state)
{
	(void)state;
	struct script_item item = only_item("[[ status 503  times 4 model a/b:free retry-after 2 type overloaded ]]");
	assert_int_equal(item.behaviour, BEHAVIOUR_STATUS);
	assert_int_equal(item.status, 503);
	assert_int_equal(item.times, 4);
	assert_int_equal(item.retry_after_s, 2);
	assert_true(bytes_equal_text(item.model, "a/b:free"));
	assert_true(bytes_equal_text(item.error_type, "overloaded"));
}

static void script_once_is_one_time(void **state)
{
	(void)state;
	assert_int_equal(only_item("[[stall once]]").times, 1);
}

static void script_every_behaviour_has_its_word(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum behaviour behaviour;
	} ROWS[] = { { "[[answer]]", BEHAVIOUR_ANSWER }, { "[[stall]]", BEHAVIOUR_STALL },
		{ "[[hang]]", BEHAVIOUR_HANG }, { "[[cut]]", BEHAVIOUR_CUT }, { "[[error]]", BEHAVIOUR_ERROR },
		{ "[[empty]]", BEHAVIOUR_EMPTY }, { "[[tool]]", BEHAVIOUR_TOOL }, { "[[refusal]]", BEHAVIOUR_REFUSAL },
		{ "[[garbage]]", BEHAVIOUR_GARBAGE } };
	for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
		struct script_item item = only_item(ROWS[i].text);
		assert_int_equal(item.behaviour, ROWS[i].behaviour);
		assert_int_equal(item.status, 200);
		assert_memory_equal(behaviour_word(item.behaviour), ROWS[i].text + 2, strlen(ROWS[i].text) - 4);
	}
}

static void script_settings_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum script_setting setting;
	} ROWS[] = { { "[[ttft 12]]", SCRIPT_TTFT }, { "[[latency 12]]", SCRIPT_LATENCY }, { "[[tps 12]]", SCRIPT_TPS },
		{ "[[deltas 12]]", SCRIPT_DELTAS } };
	for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
		struct script_item item = only_item(ROWS[i].text);
		assert_true(item.is_setting);
		assert_int_equal(item.setting, ROWS[i].setting);
		assert_int_equal(item.number, 12);
	}
}

static void script_items_come_in_order(void **state)
{
	(void)state;
	struct bytes text = BYTES_LITERAL("[[500]] and [[no]] [[latency 5]][[tool]]");
	struct script_item item;
	size_t cursor = 0;
	assert_int_equal(script_next(text, &cursor, &item), STATUS_OK);
	assert_int_equal(item.status, 500);
	assert_int_equal(script_next(text, &cursor, &item), STATUS_OK);
	assert_true(item.is_setting);
	assert_int_equal(script_next(text, &cursor, &item), STATUS_OK);
	assert_int_equal(item.behaviour, BEHAVIOUR_TOOL);
	assert_int_equal(script_next(text, &cursor, &item), STATUS_EMPTY);
	assert_int_equal(script_next(text, &cursor, &item), STATUS_EMPTY);
}

static void script_ordinary_text_has_no_items(void **state)
{
	(void)state;
	static const char *const TEXTS[] = { "", "[", "[[", "[[]]", "[[ ]]", "[429]", "[[429", "[[429]", "]][[",
		"[[a, b]]", "[[42]]", "[[4290]]", "[[200]]", "[[399]]", "[[600]]", "[[-429]]", "[[Stall]]",
		"[[stalled]]" };
	for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++)
		assert_int_equal(first_status(TEXTS[i]), STATUS_EMPTY);
}

static void script_after_other_brackets_is_found(void **state)
{
	(void)state;
	assert_int_equal(only_item("[[[429]]").status, 429);
	assert_int_equal(only_item("[[x]] [[y [[404]]").status, 404);
}

static void script_mistakes_behind_a_known_head_are_invalid(void **state)
{
	(void)state;
	static const char *const TEXTS[] = { "[[429 twice]]", "[[429 times]]", "[[429 times x]]", "[[429 times -1]]",
		"[[429 model]]", "[[429 type]]", "[[429 retry-after]]", "[[429 retry-after soon]]", "[[status]]",
		"[[status 200]]", "[[status x]]", "[[latency]]", "[[latency x]]", "[[latency 5 once]]", "[[stall 5]]",
		"[[latency 99999999999]]" };
	for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++)
		assert_int_equal(first_status(TEXTS[i]), STATUS_INVALID);
}

static void fail_spec_rows_are_read(void **state)
{
	(void)state;
	struct fail_spec spec;
	assert_int_equal(fail_spec_parse(BYTES_LITERAL("429:5%, 502:1.25%,stall:0.5%"), &spec), STATUS_OK);
	assert_int_equal(spec.count, 3);
	assert_int_equal(spec.rows[0].status, 429);
	assert_int_equal(spec.rows[0].behaviour, BEHAVIOUR_STATUS);
	assert_true(spec.rows[1].share > 0.01249 && spec.rows[1].share < 0.01251);
	assert_int_equal(spec.rows[2].behaviour, BEHAVIOUR_STALL);
	assert_int_equal(spec.rows[2].status, 200);
}

static void fail_spec_empty_is_no_failures(void **state)
{
	(void)state;
	struct fail_spec spec = { .count = 9 };
	int status = 0;
	assert_int_equal(fail_spec_parse(BYTES_NONE, &spec), STATUS_OK);
	assert_int_equal(spec.count, 0);
	assert_int_equal(fail_spec_pick(&spec, 0.0, &status), BEHAVIOUR_ANSWER);
	assert_int_equal(status, 200);
}

static void fail_spec_mistakes_are_invalid(void **state)
{
	(void)state;
	static const char *const TEXTS[] = { "429", "429:", "429:5", "429:%", "429:x%", "429:-5%", ",", "nothing:5%",
		"status:5%", "200:5%", "429:.5%", "429:1.2.3%", "429:60%,502:41%", "429:1000000000000%", ":5%" };
	for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
		struct fail_spec spec = { .count = 77 };
		assert_int_equal(fail_spec_parse(bytes_of(TEXTS[i]), &spec), STATUS_INVALID);
		assert_int_equal(spec.count, 77);
	}
}

static void fail_spec_last_comma_is_forgiven(void **state)
{
	(void)state;
	struct fail_spec spec;
	assert_int_equal(fail_spec_parse(BYTES_LITERAL("429:5%,"), &spec), STATUS_OK);
	assert_int_equal(spec.count, 1);
}

static void fail_spec_at_its_bound_is_full(void **state)
{
	(void)state;
	struct fail_spec spec;
	char text[FAIL_ROWS_MAX * 8 + 16] = "";
	for (int i = 0; i < FAIL_ROWS_MAX; i++)
		strcat(text, "429:1%,");
	assert_int_equal(fail_spec_parse(bytes_of(text), &spec), STATUS_OK);
	assert_int_equal(spec.count, FAIL_ROWS_MAX);
	strcat(text, "502:1%");
	assert_int_equal(fail_spec_parse(bytes_of(text), &spec), STATUS_FULL);
}

static void fail_spec_whole_share_may_be_given(void **state)
{
	(void)state;
	struct fail_spec spec;
	assert_int_equal(fail_spec_parse(BYTES_LITERAL("429:99.9%,502:0.1%"), &spec), STATUS_OK);
}

static void fail_spec_pick_follows_the_shares(void **state)
{
	(void)state;
	struct fail_spec spec;
	int status = 0;
	assert_int_equal(fail_spec_parse(BYTES_LITERAL("429:50%,stall:25%"), &spec), STATUS_OK);
	assert_int_equal(fail_spec_pick(&spec, 0.0, &status), BEHAVIOUR_STATUS);
	assert_int_equal(status, 429);
	assert_int_equal(fail_spec_pick(&spec, 0.49, &status), BEHAVIOUR_STATUS);
	assert_int_equal(fail_spec_pick(&spec, 0.5, &status), BEHAVIOUR_STALL);
	assert_int_equal(status, 200);
	assert_int_equal(fail_spec_pick(&spec, 0.74, &status), BEHAVIOUR_STALL);
	assert_int_equal(fail_spec_pick(&spec, 0.75, &status), BEHAVIOUR_ANSWER);
	assert_int_equal(fail_spec_pick(&spec, 0.999, &status), BEHAVIOUR_ANSWER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(script_bare_status_is_read),
		cmocka_unit_test(script_all_qualifiers_are_read),
		cmocka_unit_test(script_once_is_one_time),
		cmocka_unit_test(script_every_behaviour_has_its_word),
		cmocka_unit_test(script_settings_are_read),
		cmocka_unit_test(script_items_come_in_order),
		cmocka_unit_test(script_ordinary_text_has_no_items),
		cmocka_unit_test(script_after_other_brackets_is_found),
		cmocka_unit_test(script_mistakes_behind_a_known_head_are_invalid),
		cmocka_unit_test(fail_spec_rows_are_read),
		cmocka_unit_test(fail_spec_empty_is_no_failures),
		cmocka_unit_test(fail_spec_mistakes_are_invalid),
		cmocka_unit_test(fail_spec_last_comma_is_forgiven),
		cmocka_unit_test(fail_spec_at_its_bound_is_full),
		cmocka_unit_test(fail_spec_whole_share_may_be_given),
		cmocka_unit_test(fail_spec_pick_follows_the_shares),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
