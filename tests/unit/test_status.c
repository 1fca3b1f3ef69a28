/* Every status has a text of its own, and success is zero. */
#include "common/status.h"

#include <ctype.h>
#include <string.h>

#include "tests/unit/assertion_trap.h"

#define STATUS_LISTED(member, text) member,
static const enum status statuses[] = { STATUS_TABLE(STATUS_LISTED) };
#undef STATUS_LISTED

enum { STATUS_COUNT = sizeof(statuses) / sizeof(statuses[0]) };

static void status_ok_is_zero(void **state)
{
	(void)state;
	assert_int_equal(STATUS_OK, 0);
	assert_string_equal(status_text(STATUS_OK), "ok");
}

static void status_texts_differ_and_are_lower_case(void **state)
{
	(void)state;
	for (size_t i = 0; i < STATUS_COUNT; i++) {
		const char *text = status_text(statuses[i]);
		assert_non_null(text);
		assert_true(strlen(text) > 0);
		for (const char *at = text; *at != '\0'; at++)
			assert_false(isupper((unsigned char)*at));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(text, status_text(statuses[k]));
	}
}

static void status_members_are_numbered_without_gaps(void **state)
{
	(void)state;
	for (size_t i = 0; i < STATUS_COUNT; i++)
		assert_int_equal(statuses[i], i);
}

static void status_text_of_no_member_asserts(void **state)
{
	(void)state;
	volatile int outside = STATUS_COUNT;
	expect_assert_failure((void)status_text((enum status)outside));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_ok_is_zero),
		cmocka_unit_test(status_texts_differ_and_are_lower_case),
		cmocka_unit_test(status_members_are_numbered_without_gaps),
		cmocka_unit_test(status_text_of_no_member_asserts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
