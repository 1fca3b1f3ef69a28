/* Points in time. */
#include "tests/unit/testing.h"

#include "replay/moment.h"

static const int64_t NOW_MS = 1800000000000;

static void moment_forms_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t ms;
	} ROWS[] = { { "beginning", 0 }, { "end", NOW_MS }, { "-1h", NOW_MS - 3600000 }, { "-90", NOW_MS - 90000 },
		{ "-250ms", NOW_MS - 250 }, { "@1970-01-01", 0 }, { "@1970-01-02T00:00Z", 86400000 },
		{ "@2026-01-01T00:00Z", 1767225600000 }, { "@2024-02-29T23:59:59Z", 1709251199000 },
		{ "@2000-03-01", 951868800000 }, { "@9999-12-31T00:00Z", 253402214400000 } };
	for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
		int64_t ms = -1;
		assert_int_equal(moment_parse(bytes_of(ROWS[i].text), NOW_MS, &ms), STATUS_OK);
		assert_int_equal(ms, ROWS[i].ms);
	}
}

static void moment_mistakes_are_invalid(void **state)
{
	(void)state;
	static const char *const TEXTS[] = { "", "-", "1h", "now", "@", "@2026", "@2026-13-01", "@2026-00-10",
		"@2026-02-29", "@2026-04-31", "@1900-01-01", "@2026-01-01T", "@2026-01-01T24:00Z", "@2026-01-01T10:60Z",
		"@2026-01-01T10:00:60Z", "@2026-01-01T10:00", "@2026-01-01T10:00+01:00", "@2026-01-01 10:00Z",
		"@26-01-01", "@2026-1-1", "@2026-01-01T10:00ZZ", "-1d", "--1h" };
	for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
		int64_t ms = -1;
		assert_int_equal(moment_parse(bytes_of(TEXTS[i]), NOW_MS, &ms), STATUS_INVALID);
		assert_int_equal(ms, -1);
	}
}

static void moment_more_than_30_days_ago_is_too_large(void **state)
{
	(void)state;
	int64_t ms = -1;
	assert_int_equal(moment_parse(BYTES_LITERAL("-721h"), NOW_MS, &ms), STATUS_TOO_LARGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moment_forms_are_read),
		cmocka_unit_test(moment_mistakes_are_invalid),
		cmocka_unit_test(moment_more_than_30_days_ago_is_too_large),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
