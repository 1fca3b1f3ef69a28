/* The rules of the request's fields, one value at a time. */
#include "chat_support.h"

#include "schemas/chat_fields.h"

struct verdict {
	enum status status;
	enum reason reason;
	char clause[96];
};

static struct verdict check(enum chat_field field, const char *json)
{
	struct wire_value value;
	struct wire_fault fault;
	assert_int_equal(wire_open(CHAT_CODING_JSON, bytes_of(json), 8, &value, &fault), STATUS_OK);
	struct verdict verdict = { .reason = REASON_NONE };
	char scratch[96];
	const char *clause = "";
	verdict.status = chat_field_check(field, &value, scratch, &verdict.reason, &clause);
	snprintf(verdict.clause, sizeof(verdict.clause), "%s", clause);
	return verdict;
}

static void expect_good(enum chat_field field, const char *json)
{
	struct verdict verdict = check(field, json);
	if (verdict.status != STATUS_OK) fail_msg("%s = %s: %s", chat_field_name(field), json, verdict.clause);
	assert_int_equal(verdict.reason, REASON_NONE);
}

static void expect_bad(enum chat_field field, const char *json, enum reason reason)
{
	struct verdict verdict = check(field, json);
	if (verdict.status != STATUS_INVALID) fail_msg("%s = %s was accepted", chat_field_name(field), json);
	assert_int_equal(verdict.reason, reason);
	assert_true(strlen(verdict.clause) > 5);
}

static void chat_field_check_numbers_take_their_whole_range(void **state)
{
	(void)state;
	static const struct {
		enum chat_field field;
		const char *least, *most, *below, *above;
	} rows[] = {
		{ CHAT_FIELD_TEMPERATURE, "0", "2.0", "-0.001", "2.001" },
		{ CHAT_FIELD_TOP_P, "0.0", "1", "-1", "1.0001" },
		{ CHAT_FIELD_MIN_P, "0", "1", "-1e-9", "2" },
		{ CHAT_FIELD_FREQUENCY_PENALTY, "-2", "2", "-2.1", "2.1" },
		{ CHAT_FIELD_PRESENCE_PENALTY, "-2", "2", "-3", "3" },
		{ CHAT_FIELD_REPETITION_PENALTY, "0", "2", "-0.1", "2.5" },
		{ CHAT_FIELD_TOP_K, "0", "2147483647", "-1", "2147483648" },
		{ CHAT_FIELD_MAX_TOKENS, "1", "2147483647", "0", "2147483648" },
		{ CHAT_FIELD_MAX_COMPLETION_TOKENS, "1", "2147483647", "0", "-5" },
		{ CHAT_FIELD_SEED, "-9223372036854775808", "9223372036854775807", "-9223372036854775809",
			"9223372036854775808" },
		{ CHAT_FIELD_DEADLINE_MS, "1", "9223372036854775807", "0", "9223372036854775808" },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		expect_good(rows[i].field, rows[i].least);
		expect_good(rows[i].field, rows[i].most);
		expect_bad(rows[i].field, rows[i].below, REASON_SCHEMA);
		expect_bad(rows[i].field, rows[i].above, REASON_SCHEMA);
		expect_bad(rows[i].field, "\"1\"", REASON_SCHEMA);
		expect_bad(rows[i].field, "true", REASON_SCHEMA);
		expect_bad(rows[i].field, "[]", REASON_SCHEMA);
	}
}

static void chat_field_check_integers_have_no_fraction(void **state)
{
	(void)state;
	expect_bad(CHAT_FIELD_TOP_K, "1.0", REASON_SCHEMA);
	expect_bad(CHAT_FIELD_MAX_TOKENS, "1e2", REASON_SCHEMA);
	expect_bad(CHAT_FIELD_SEED, "0.5", REASON_SCHEMA);
}

static void chat_field_check_coarse_types(void **state)
{
	(void)state;
	static const struct {
		enum chat_field field;
		const char *good, *bad;
	} rows[] = {
		{ CHAT_FIELD_PROVIDER, "{}", "[]" },
		{ CHAT_FIELD_LOGIT_BIAS, "{\"1\":2}", "1" },
		{ CHAT_FIELD_TOOLS, "[{}]", "[1]" },
		{ CHAT_FIELD_TOOLS, "[]", "{}" },
		{ CHAT_FIELD_TOOL_CHOICE, "\"auto\"", "[]" },
		{ CHAT_FIELD_TOOL_CHOICE, "{}", "true" },
		{ CHAT_FIELD_PARALLEL_TOOL_CALLS, "false", "0" },
		{ CHAT_FIELD_RESPONSE_FORMAT, "{}", "\"json\"" },
		{ CHAT_FIELD_REASONING, "{}", "\"high\"" },
		{ CHAT_FIELD_REASONING_EFFORT, "\"high\"", "{}" },
		{ CHAT_FIELD_VERBOSITY, "\"low\"", "1" },
		{ CHAT_FIELD_PLUGINS, "[{}]", "[[]]" },
		{ CHAT_FIELD_USER, "\"\"", "1" },
		{ CHAT_FIELD_METADATA, "{}", "[]" },
		{ CHAT_FIELD_SESSION_ID, "\"s\"", "1" },
		{ CHAT_FIELD_SERVICE_TIER, "\"flex\"", "{}" },
		{ CHAT_FIELD_PROMPT_CACHE_KEY, "\"k\"", "1" },
		{ CHAT_FIELD_STOP, "\"x\"", "1" },
		{ CHAT_FIELD_STOP, "[\"a\",\"b\",\"c\",\"d\"]", "[\"a\",\"b\",\"c\",\"d\",\"e\"]" },
		{ CHAT_FIELD_STOP, "[\"a\"]", "[]" },
		{ CHAT_FIELD_STOP, "[\"a\"]", "[1]" },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		expect_good(rows[i].field, rows[i].good);
		expect_bad(rows[i].field, rows[i].bad, REASON_SCHEMA);
	}
}

static void chat_field_check_what_is_not_offered_is_a_bad_request(void **state)
{
	(void)state;
	expect_good(CHAT_FIELD_STREAM, "false");
	expect_bad(CHAT_FIELD_STREAM, "true", REASON_BAD_REQUEST);
	expect_bad(CHAT_FIELD_STREAM, "1", REASON_SCHEMA);
	expect_good(CHAT_FIELD_N, "1");
	expect_bad(CHAT_FIELD_N, "2", REASON_BAD_REQUEST);
	expect_bad(CHAT_FIELD_N, "99999999999999999999", REASON_BAD_REQUEST);
	expect_bad(CHAT_FIELD_N, "1.0", REASON_SCHEMA);
	expect_bad(CHAT_FIELD_STREAM_OPTIONS, "{}", REASON_BAD_REQUEST);
	expect_bad(CHAT_FIELD_DEBUG, "false", REASON_BAD_REQUEST);
	expect_good(CHAT_FIELD_USAGE, "[\"anything\"]");
}

static void chat_field_check_clause_tells_the_range(void **state)
{
	(void)state;
	assert_string_equal(check(CHAT_FIELD_TEMPERATURE, "3").clause, "must be a number from 0 to 2");
	assert_string_equal(check(CHAT_FIELD_DEADLINE_MS, "0").clause, "must be an integer from 1 on");
	assert_string_equal(check(CHAT_FIELD_SEED, "0.5").clause, "must be an integer of 64 bits");
}

static void chat_field_names_are_all_different(void **state)
{
	(void)state;
	const struct bytes *names = chat_field_names();
	for (int i = 0; i < (int)CHAT_FIELD_COUNT; i++) {
		assert_int_equal(names[i].size, strlen(chat_field_name((enum chat_field)i)));
		for (int j = 0; j < i; j++)
			assert_false(bytes_equal(names[i], names[j]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chat_field_check_numbers_take_their_whole_range),
		cmocka_unit_test(chat_field_check_integers_have_no_fraction),
		cmocka_unit_test(chat_field_check_coarse_types),
		cmocka_unit_test(chat_field_check_what_is_not_offered_is_a_bad_request),
		cmocka_unit_test(chat_field_check_clause_tells_the_range),
		cmocka_unit_test(chat_field_names_are_all_different),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
