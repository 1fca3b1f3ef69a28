/* Durations: digits, at most three decimals, a unit. */
#include "replay/duration.h"

static const int64_t DURATION_MAX_MS = (int64_t)30 * 24 * 3600 * 1000;

static bool is_digit(char one)
{
	return one >= '0' && one <= '9';
}

static enum status unit_of(struct bytes text, int64_t bare_unit_ms, int64_t *out_unit_ms)
{
	static const struct {
		const char *text;
		int64_t unit_ms;
	} UNITS[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 }, { "h", 3600 * 1000 } };
	if (text.size == 0) {
		*out_unit_ms = bare_unit_ms;
		return STATUS_OK;
	}
	for (size_t i = 0; i < sizeof UNITS / sizeof UNITS[0]; i++) {
		if (!bytes_equal_text(text, UNITS[i].text)) continue;
		*out_unit_ms = UNITS[i].unit_ms;
		return STATUS_OK;
	}
	return STATUS_INVALID;
}

enum status duration_parse(struct bytes text, int64_t bare_unit_ms, int64_t *out_ms)
{
	size_t i = 0;
	int64_t thousandths = 0;
	for (; i < text.size && is_digit(text.data[i]); i++) {
		if (thousandths > DURATION_MAX_MS * 1000) return STATUS_TOO_LARGE;
		thousandths = thousandths * 10 + (text.data[i] - '0') * 1000;
	}
	if (i == 0) return STATUS_INVALID;
	if (i < text.size && text.data[i] == '.') {
		int64_t weight = 100;
		size_t point = i++;
		for (; i < text.size && is_digit(text.data[i]); i++, weight /= 10)
			thousandths += (text.data[i] - '0') * weight;
		if (i == point + 1) return STATUS_INVALID;
	}
	int64_t unit_ms = 0;
	enum status status = unit_of(bytes_at(text.data + i, text.size - i), bare_unit_ms, &unit_ms);
	if (status != STATUS_OK) return status;
	if (thousandths > DURATION_MAX_MS * 1000 / unit_ms) return STATUS_TOO_LARGE;
	*out_ms = thousandths * unit_ms / 1000;
	return STATUS_OK;
}
