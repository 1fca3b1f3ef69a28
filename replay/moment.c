/* Dates by digits, and days by the calendar of Pope Gregory. */
#include "replay/moment.h"

#include "replay/duration.h"

enum { DAY_S = 24 * 3600, FIRST_YEAR = 1970 };

static bool is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int64_t month_days(int64_t year, int64_t month)
{
	static const int DAYS[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	return month == 2 && is_leap(year) ? 29 : DAYS[month - 1];
}

/* The number at the end of `count` digits and the character `before` them; moves `text` behind it. */
static bool take(struct bytes *text, char before, size_t count, int64_t *out_number)
{
	int64_t number = 0;
	if (text->size < count + 1 || text->data[0] != before) return false;
	for (size_t i = 1; i <= count; i++) {
		char digit = text->data[i];
		if (digit < '0' || digit > '9') return false;
		number = number * 10 + (digit - '0');
	}
	*text = bytes_at(text->data + count + 1, text->size - count - 1);
	*out_number = number;
	return true;
}

/* `T12:00Z` or `T12:00:30Z`, in seconds. */
static bool take_time(struct bytes text, int64_t *out_s)
{
	int64_t hour = 0, minute = 0, second = 0;
	if (!take(&text, 'T', 2, &hour) || !take(&text, ':', 2, &minute)) return false;
	if (text.size > 1 && !take(&text, ':', 2, &second)) return false;
	if (!bytes_equal_text(text, "Z") || hour > 23 || minute > 59 || second > 59) return false;
	*out_s = (hour * 60 + minute) * 60 + second;
	return true;
}

static enum status parse_date(struct bytes text, int64_t *out_ms)
{
	int64_t year = 0, month = 0, day = 0, seconds = 0, days = 0;
	if (!take(&text, '@', 4, &year) || !take(&text, '-', 2, &month) || !take(&text, '-', 2, &day))
		return STATUS_INVALID;
	if (year < FIRST_YEAR || month < 1 || month > 12 || day < 1 || day > month_days(year, month))
		return STATUS_INVALID;
	if (text.size > 0 && !take_time(text, &seconds)) return STATUS_INVALID;
	for (int64_t y = FIRST_YEAR; y < year; y++)
		days += is_leap(y) ? 366 : 365;
	for (int64_t m = 1; m < month; m++)
		days += month_days(year, m);
	*out_ms = ((days + day - 1) * DAY_S + seconds) * 1000;
	return STATUS_OK;
}

enum status moment_parse(struct bytes text, int64_t now_ms, int64_t *out_ms)
{
	if (bytes_starts_with(text, BYTES_LITERAL("@"))) return parse_date(text, out_ms);
	int64_t ago_ms = 0;
	if (bytes_starts_with(text, BYTES_LITERAL("-"))) {
		enum status status = duration_parse(bytes_at(text.data + 1, text.size - 1), 1000, &ago_ms);
		if (status == STATUS_OK) *out_ms = now_ms - ago_ms;
		return status;
	}
	if (bytes_equal_text(text, "end")) {
		*out_ms = now_ms;
		return STATUS_OK;
	}
	if (!bytes_equal_text(text, "beginning")) return STATUS_INVALID;
	*out_ms = 0;
	return STATUS_OK;
}
