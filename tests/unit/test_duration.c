/* Durations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "replay/duration.h"

static void duration_units_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t bare_unit_ms, ms;
	} ROWS[] = { { "250ms", 1, 250 }, { "60s", 1, 60000 }, { "5m", 1, 300000 }, { "2h", 1, 7200000 }, { "0", 1, 0 },
		{ "7", 1, 7 }, { "7", 1000, 7000 }, { "1.5s", 1, 1500 }, { "0.25", 1000, 250 }, { "1.5ms", 1, 1 },
		{ "0.0005s", 1, 0 }, { "0.5m", 1, 30000 }, { "720h", 1, 2592000000 } };
	for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
		int64_t ms = -1;
		assert_int_equal(duration_parse(bytes_of(ROWS[i].text), ROWS[i].bare_unit_ms, &ms), STATUS_OK);
		assert_int_equal(ms, ROWS[i].ms);
	}
}

static void duration_mistakes_are_invalid(void **state)
{
	(void)state;
	static const char *const TEXTS[] = { "", "s", "-1s", "+1s", "1 s", "1d", "1S", "1.s", ".5s", "1.5.5s", "1ss",
		"soon" };
	for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
		int64_t ms = -1;
		assert_int_equal(duration_parse(bytes_of(TEXTS[i]), 1, &ms), STATUS_INVALID);
		assert_int_equal(ms, -1);
	}
}

static void duration_over_thirty_days_is_too_large(void **state)
{
	(void)state;
	static const char *const TEXTS[] = { "721h", "2592000001", "99999999999999999999999999999999s" };
	for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
		int64_t ms = -1;
		assert_int_equal(duration_parse(bytes_of(TEXTS[i]), 1, &ms), STATUS_TOO_LARGE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(duration_units_are_read),
		cmocka_unit_test(duration_mistakes_are_invalid),
		cmocka_unit_test(duration_over_thirty_days_is_too_large),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
