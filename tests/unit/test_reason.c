/* The closed list of reasons. */
#include "chat_support.h"

#include "schemas/reason.h"

static void reason_word_every_member_is_found_again(void **state)
{
	(void)state;
	for (int i = 1; i < (int)REASON_COUNT; i++) {
		enum reason found = REASON_NONE;
		const char *word = reason_word((enum reason)i);
		assert_true(strlen(word) > 0);
		assert_int_equal(reason_of_word(bytes_of(word), &found), STATUS_OK);
		assert_int_equal(found, i);
	}
}

static void reason_of_word_unknown_is_not_found(void **state)
{
	(void)state;
	const char *words[] = { "", "none", "Timeout", "timeout ", "timeou" };
	for (size_t i = 0; i < COUNT(words); i++) {
		enum reason found = REASON_INTERNAL;
		assert_int_equal(reason_of_word(bytes_of(words[i]), &found), STATUS_NOT_FOUND);
		assert_int_equal(found, REASON_INTERNAL);
	}
}

static void reason_message_is_a_sentence(void **state)
{
	(void)state;
	for (int i = 1; i < (int)REASON_COUNT; i++) {
		const char *message = reason_message((enum reason)i);
		size_t size = strlen(message);
		assert_in_range(size, 10, 512);
		assert_int_equal(message[size - 1], '.');
		assert_in_range(message[0], 'A', 'Z');
	}
}

static void reason_class_rejected_is_never_retryable(void **state)
{
	(void)state;
	int rejected = 0;
	for (int i = 1; i < (int)REASON_COUNT; i++) {
		enum reason reason = (enum reason)i;
		assert_int_not_equal(reason_class(reason), REASON_CLASS_NONE);
		if (reason_class(reason) != REASON_CLASS_REJECTED) continue;
		assert_false(reason_is_retryable(reason));
		rejected++;
	}
	assert_int_equal(rejected, 7);
}

static void reason_none_is_empty(void **state)
{
	(void)state;
	assert_string_equal(reason_word(REASON_NONE), "");
	assert_string_equal(reason_message(REASON_NONE), "");
	assert_int_equal(reason_class(REASON_NONE), REASON_CLASS_NONE);
	assert_false(reason_is_retryable(REASON_NONE));
}

static void reason_is_retryable_follows_the_table(void **state)
{
	(void)state;
	assert_true(reason_is_retryable(REASON_TIMEOUT));
	assert_true(reason_is_retryable(REASON_DEADLINE));
	assert_true(reason_is_retryable(REASON_SHUTDOWN));
	assert_false(reason_is_retryable(REASON_REFUSED));
	assert_false(reason_is_retryable(REASON_MODEL_UNAVAILABLE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reason_word_every_member_is_found_again),
		cmocka_unit_test(reason_of_word_unknown_is_not_found),
		cmocka_unit_test(reason_message_is_a_sentence),
		cmocka_unit_test(reason_class_rejected_is_never_retryable),
		cmocka_unit_test(reason_none_is_empty),
		cmocka_unit_test(reason_is_retryable_follows_the_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
