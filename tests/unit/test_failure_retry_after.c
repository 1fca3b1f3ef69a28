/* The wait that headers ask for: Retry-After in all its forms, and X-RateLimit-Reset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "worker/core/failure.h"

/* 1994-11-06 08:49:37 GMT, the moment of the examples in RFC 9110. */
static const int64_t example_ms = 784111777000;

static void assert_wait(const char *value, int64_t now_ms, int64_t expected_ms)
{
	assert_int_equal(failure_retry_after(bytes_of(value), false, now_ms), expected_ms);
}

static void failure_retry_after_reads_seconds(void **state)
{
	(void)state;
	assert_wait("0", 0, 0);
	assert_wait("1", 0, 1000);
	assert_wait(" 120 ", 0, 120000);
	assert_wait("1.5", 0, 1500);
	assert_wait("0.0001", 0, 1);
	assert_wait("2.0000", 0, 2000);
	assert_wait("86400", 0, 86400000);
	assert_wait("86401", 0, 86400000);
	assert_wait("99999999999999999999999999", 0, 86400000);
	assert_wait("-5", 0, 0);
}

static void failure_retry_after_reads_milliseconds(void **state)
{
	(void)state;
	assert_int_equal(failure_retry_after(BYTES_LITERAL("250"), true, 0), 250);
	assert_int_equal(failure_retry_after(BYTES_LITERAL("250.2"), true, 0), 251);
	assert_int_equal(failure_retry_after(BYTES_LITERAL("999999999999"), true, 0), 86400000);
	assert_int_equal(failure_retry_after(BYTES_LITERAL("Sun, 06 Nov 1994 08:49:37 GMT"), true, 0), -1);
}

static void failure_retry_after_reads_all_three_dates(void **state)
{
	(void)state;
	static const char *const dates[] = { "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
		"Sun Nov  6 08:49:37 1994" };
	for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
		assert_wait(dates[i], example_ms - 2500, 2500);
		assert_wait(dates[i], example_ms, 0);
		assert_wait(dates[i], example_ms + 1000, 0);
		assert_wait(dates[i], 0, 86400000);
	}
	assert_wait("Thu, 01 Jan 1970 00:00:10 GMT", 0, 10000);
	/* Leap days, and the end of a year. */
	assert_wait("Thu, 29 Feb 2024 23:59:59 GMT", 1709251198000, 1000);
	assert_wait("Fri, 01 Mar 2024 00:00:00 GMT", 1709251198000, 2000);
	assert_wait("Tue, 29 Feb 2000 00:00:00 GMT", 951782399000, 1000);
	assert_wait("Wed Dec 31 23:59:59 2025", 1767225598000, 1000);
	assert_wait("Saturday, 01-Jan-00 00:00:00 GMT", 946684799000, 1000);
}

static void failure_rate_limit_reset_reads_milliseconds_seconds_and_waits(void **state)
{
	(void)state;
	static const struct {
		const char *value;
		int64_t expected_ms;
	} rows[] = {
		{ "1700000060000", 60000 },
		{ " 1700000060000 ", 60000 },
		{ "1700000060", 60000 },
		{ "60", 60000 },
		{ "0", 0 },
		{ "1699999999999", 0 },
		{ "1699999999", 0 },
		{ "1790000000000", 86400000 },
		{ "100000", 86400000 },
		{ "9223372036854775807", 86400000 },
		{ "-1", -1 },
		{ "", -1 },
		{ "6m0s", -1 },
		{ "1.5", -1 },
		{ "99999999999999999999", -1 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t wait_ms = failure_rate_limit_reset(bytes_of(rows[i].value), 1700000000000);
		if (wait_ms != rows[i].expected_ms) fail_msg("%s: %d", rows[i].value, (int)wait_ms);
	}
}

static void failure_retry_after_takes_no_junk(void **state)
{
	(void)state;
	static const char *const junk[] = { "", " ", "-", ".", "1.", ".5", "soon", "1 2", "1s", "0x10", "1e3", "+1",
		"١", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 GMT+1",
		"Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT",
		"Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
		"Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 0000 08:49:37 GMT", "Sun,06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-1994 08:49:37 GMT", "Sun Nov 6 08:49:37 1994", "Sun Nov  6 08:49:37 1994 GMT", "Sun",
		",", "Sun, ", "Sun Nov", "Sunday, 06-Nov" };
	for (size_t i = 0; i < sizeof(junk) / sizeof(junk[0]); i++)
		assert_wait(junk[i], 0, -1);
	assert_int_equal(failure_retry_after(BYTES_NONE, false, 0), -1);
}

/* Nothing is made up for what is missing, wherever a date ends or has a wrong character. */
static void failure_retry_after_takes_no_date_that_is_cut_or_changed(void **state)
{
	(void)state;
	static const char *const dates[] = { "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
		"Sun Nov  6 08:49:37 1994" };
	for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
		const char *first = strchr(dates[i], ' ');
		for (const char *end = dates[i] + strlen(dates[i]) - 1; end > dates[i]; end--)
			assert_int_equal(
				failure_retry_after(bytes_at(dates[i], (size_t)(end - dates[i])), false, 0), -1);
		/* What the day is called is not looked at. */
		for (const char *at = first; *at != '\0'; at++) {
			char changed[64];
			(void)strcpy(changed, dates[i]);
			changed[at - dates[i]] = '#';
			assert_wait(changed, 0, -1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failure_retry_after_reads_seconds),
		cmocka_unit_test(failure_retry_after_reads_milliseconds),
		cmocka_unit_test(failure_retry_after_reads_all_three_dates),
		cmocka_unit_test(failure_rate_limit_reset_reads_milliseconds_seconds_and_waits),
		cmocka_unit_test(failure_retry_after_takes_no_junk),
		cmocka_unit_test(failure_retry_after_takes_no_date_that_is_cut_or_changed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
