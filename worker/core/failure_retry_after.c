/* The Retry-After header: seconds, milliseconds or a date. Knows nothing of locales or time zones: HTTP dates are English
 * and in GMT. */
#include <string.h>

#include "common/assertion.h"
#include "worker/core/failure.h"

enum { DAY_S = 86400, DAY_MS = DAY_S * 1000 };

struct http_date {
	int year, month, day; /* month 1..12 */
	int hour, minute, second;
};

/* Reads `digits` (1 to 9) digits at the front of `text` and moves it on. */
static bool take_digits(struct bytes *text, size_t digits, int *out_value)
{
	ASSERT(text != NULL);
	ASSERT(out_value != NULL);
	ASSERT(digits >= 1 && digits <= 9);
	if (text->size < digits) return false;
	int value = 0;
	for (size_t i = 0; i < digits; i++) {
		char digit = text->data[i];
		if (digit < '0' || digit > '9') return false;
		value = value * 10 + (digit - '0');
	}
	*text = bytes_at(text->data + digits, text->size - digits);
	*out_value = value;
	return true;
}

static bool take_char(struct bytes *text, char one)
{
	ASSERT(text != NULL);
	ASSERT(text->size == 0 || text->data != NULL);
	if (text->size == 0 || text->data[0] != one) return false;
	*text = bytes_at(text->data + 1, text->size - 1);
	return true;
}

static bool take_month(struct bytes *text, int *out_month)
{
	ASSERT(text != NULL);
	ASSERT(out_month != NULL);
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	if (text->size < 3) return false;
	for (int month = 0; month < 12; month++) {
		if (memcmp(months + month * 3, text->data, 3) != 0) continue;
		*text = bytes_at(text->data + 3, text->size - 3);
		*out_month = month + 1;
		return true;
	}
	return false;
}

static bool take_time(struct bytes *text, struct http_date *date)
{
	ASSERT(text != NULL);
	ASSERT(date != NULL);
	return take_digits(text, 2, &date->hour) && take_char(text, ':') && take_digits(text, 2, &date->minute) &&
	       take_char(text, ':') && take_digits(text, 2, &date->second);
}

static bool is_end(struct bytes text)
{
	return bytes_equal_text(text, " GMT");
}

/* "06 Nov 1994 08:49:37 GMT", after "Sun, ". */
static bool read_imf(struct bytes text, struct http_date *date)
{
	ASSERT(date != NULL);
	return take_digits(&text, 2, &date->day) && take_char(&text, ' ') && take_month(&text, &date->month) &&
	       take_char(&text, ' ') && take_digits(&text, 4, &date->year) && take_char(&text, ' ') &&
	       take_time(&text, date) && is_end(text);
}

/* "06-Nov-94 08:49:37 GMT", after "Sunday, ". RFC 9110: a year that seems over 50 years ahead is in the past, and then
 * its century does not matter here. */
static bool read_rfc850(struct bytes text, struct http_date *date)
{
	ASSERT(date != NULL);
	bool is_read = take_digits(&text, 2, &date->day) && take_char(&text, '-') && take_month(&text, &date->month) &&
		       take_char(&text, '-') && take_digits(&text, 2, &date->year) && take_char(&text, ' ') &&
		       take_time(&text, date) && is_end(text);
	date->year += date->year < 70 ? 2000 : 1900;
	return is_read;
}

/* "Nov  6 08:49:37 1994", after "Sun ". */
static bool read_asctime(struct bytes text, struct http_date *date)
{
	ASSERT(date != NULL);
	if (!take_month(&text, &date->month) || !take_char(&text, ' ')) return false;
	bool one_digit = take_char(&text, ' ');
	return take_digits(&text, one_digit ? 1 : 2, &date->day) && take_char(&text, ' ') && take_time(&text, date) &&
	       take_char(&text, ' ') && take_digits(&text, 4, &date->year) && text.size == 0;
}

/* After the name of the day, which decides the form but is not checked against the date. */
static bool read_date(struct bytes text, struct http_date *date)
{
	ASSERT(date != NULL);
	const char *comma = text.size == 0 ? NULL : memchr(text.data, ',', text.size);
	if (comma != NULL) {
		size_t at = (size_t)(comma - text.data);
		struct bytes rest = bytes_at(comma + 1, text.size - at - 1);
		if (!take_char(&rest, ' ')) return false;
		return at == 3 ? read_imf(rest, date) : read_rfc850(rest, date);
	}
	if (text.size < 4 || text.data[3] != ' ') return false;
	return read_asctime(bytes_at(text.data + 4, text.size - 4), date);
}

static bool is_possible(const struct http_date *date)
{
	ASSERT(date != NULL);
	return date->year >= 1 && date->month >= 1 && date->month <= 12 && date->day >= 1 && date->day <= 31 &&
	       date->hour <= 23 && date->minute <= 59 && date->second <= 60;
}

/* Days since 1970-01-01 of the proleptic Gregorian calendar; years are counted from March, so that a leap day is the
 * last of its year. */
static int64_t days_since_epoch(int year, int month, int day)
{
	ASSERT(year >= 1);
	ASSERT(month >= 1);
	ASSERT(month <= 12);
	ASSERT(day >= 1);
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

static int64_t date_to_ms(const struct http_date *date)
{
	ASSERT(is_possible(date));
	ASSERT(date->month >= 1 && date->month <= 12);
	int64_t days = days_since_epoch(date->year, date->month, date->day);
	return (days * DAY_S + date->hour * 3600 + date->minute * 60 + date->second) * 1000;
}

static int64_t capped(int64_t wait_ms)
{
	return wait_ms < 0 ? 0 : wait_ms > DAY_MS ? DAY_MS : wait_ms;
}

/* A decimal number of units of `unit_ms` each; parts of a millisecond are rounded up, so that nothing comes early. */
static bool read_number(struct bytes text, int64_t unit_ms, int64_t *out_ms)
{
	ASSERT(out_ms != NULL);
	ASSERT(unit_ms == 1 || unit_ms == 1000);
	bool negative = take_char(&text, '-');
	int64_t ms = 0;
	size_t digits = 0;
	for (; digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9'; digits++)
		if (ms <= DAY_MS) ms = ms * 10 + (text.data[digits] - '0') * unit_ms;
	if (digits == 0) return false;

	text = bytes_at(text.data + digits, text.size - digits);
	bool rounds_up = false;
	if (take_char(&text, '.')) {
		int64_t place_ms = unit_ms;
		size_t decimals = 0;
		for (; decimals < text.size && text.data[decimals] >= '0' && text.data[decimals] <= '9'; decimals++) {
			place_ms /= 10;
			ms += (text.data[decimals] - '0') * place_ms;
			rounds_up = rounds_up || (place_ms == 0 && text.data[decimals] != '0');
		}
		if (decimals == 0 || decimals != text.size) return false;
	} else if (text.size != 0) {
		return false;
	}
	*out_ms = negative ? 0 : ms + (rounds_up ? 1 : 0);
	return true;
}

int64_t failure_rate_limit_reset(struct bytes value, int64_t now_ms)
{
	/* Fewer seconds than these are no date after 2001, fewer milliseconds neither. */
	static const int64_t first_second = 1000000000, first_ms = 1000000000000;
	ASSERT(now_ms >= 0);
	int64_t number;
	if (bytes_to_int64(bytes_trim(value), &number) != STATUS_OK || number < 0) return -1;
	if (number >= first_ms) return capped(number - now_ms);
	ASSERT(number < first_ms);
	return capped(number >= first_second ? number * 1000 - now_ms : number * 1000);
}

int64_t failure_retry_after(struct bytes value, bool in_ms, int64_t now_ms)
{
	ASSERT(now_ms >= 0);
	struct bytes text = bytes_trim(value);
	int64_t wait_ms;
	if (read_number(text, in_ms ? 1 : 1000, &wait_ms)) return capped(wait_ms);

	struct http_date date = { 0 };
	if (in_ms || !read_date(text, &date) || !is_possible(&date)) return -1;
	return capped(date_to_ms(&date) - now_ms);
}
