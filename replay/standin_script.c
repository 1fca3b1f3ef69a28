/* The grammar of chat scripts and failure shares. */
#include "replay/standin_script.h"

#include <string.h>

#include "common/assertion.h"

static const char *const SETTING_WORDS[] = { "ttft", "latency", "tps", "deltas" };
_Static_assert(sizeof SETTING_WORDS / sizeof SETTING_WORDS[0] == SCRIPT_SETTING_COUNT, "one word a setting");

static const int64_t NUMBER_MAX = 3600 * 1000;

const char *behaviour_word(enum behaviour behaviour)
{
#define BEHAVIOUR_CASE(member, word, help) \
	case member:                       \
		return word;
	switch (behaviour) {
		BEHAVIOUR_TABLE(BEHAVIOUR_CASE)
	}
#undef BEHAVIOUR_CASE
	ASSERT_UNREACHABLE();
}

static enum status behaviour_of_word(struct bytes word, enum behaviour *out_behaviour)
{
#define BEHAVIOUR_MATCH(member, text, help) \
	if (bytes_equal_text(word, text)) { \
		*out_behaviour = member;    \
		return STATUS_OK;           \
	}
	BEHAVIOUR_TABLE(BEHAVIOUR_MATCH)
#undef BEHAVIOUR_MATCH
	return STATUS_NOT_FOUND;
}

static enum status error_status_of(struct bytes word, int *out_status)
{
	int64_t number = 0;
	if (bytes_to_int64(word, &number) != STATUS_OK) return STATUS_INVALID;
	if (number < STATUS_CODE_ERROR_MIN || number > STATUS_CODE_ERROR_MAX) return STATUS_INVALID;
	*out_status = (int)number;
	return STATUS_OK;
}

/* Takes the next word off the front of `*rest`; an empty view when there is none. */
static struct bytes take_word(struct bytes *rest)
{
	size_t start = 0;
	while (start < rest->size && rest->data[start] == ' ')
		start++;
	size_t end = start;
	while (end < rest->size && rest->data[end] != ' ')
		end++;
	struct bytes word = bytes_at(rest->data + start, end - start);
	*rest = bytes_at(rest->data + end, rest->size - end);
	return word;
}

static enum status take_number(struct bytes *rest, int64_t *out_number)
{
	int64_t number = 0;
	if (bytes_to_int64(take_word(rest), &number) != STATUS_OK) return STATUS_INVALID;
	if (number < 0 || number > NUMBER_MAX) return STATUS_INVALID;
	*out_number = number;
	return STATUS_OK;
}

static enum status take_name(struct bytes *rest, struct bytes *out_name)
{
	struct bytes name = take_word(rest);
	if (name.size == 0) return STATUS_INVALID;
	*out_name = name;
	return STATUS_OK;
}

static enum status read_qualifier(struct bytes word, struct bytes *rest, struct script_item *item)
{
	if (bytes_equal_text(word, "once")) {
		item->times = 1;
		return STATUS_OK;
	}
	if (bytes_equal_text(word, "times")) return take_number(rest, &item->times);
	if (bytes_equal_text(word, "retry-after")) return take_number(rest, &item->retry_after_s);
	if (bytes_equal_text(word, "model")) return take_name(rest, &item->model);
	if (bytes_equal_text(word, "type")) return take_name(rest, &item->error_type);
	return STATUS_INVALID;
}

static enum status read_setting(size_t setting, struct bytes *rest, struct script_item *item)
{
	item->is_setting = true;
	item->setting = (enum script_setting)setting;
	enum status status = take_number(rest, &item->number);
	if (status != STATUS_OK) return status;
	return take_word(rest).size == 0 ? STATUS_OK : STATUS_INVALID;
}

/* STATUS_NOT_FOUND: the head is none of ours, so this is ordinary text. */
static enum status read_head(struct bytes *rest, struct script_item *item)
{
	struct bytes word = take_word(rest);
	for (size_t i = 0; i < SCRIPT_SETTING_COUNT; i++) {
		if (bytes_equal_text(word, SETTING_WORDS[i])) return read_setting(i, rest, item);
	}
	if (error_status_of(word, &item->status) == STATUS_OK) {
		item->behaviour = BEHAVIOUR_STATUS;
		return STATUS_OK;
	}
	if (behaviour_of_word(word, &item->behaviour) != STATUS_OK) return STATUS_NOT_FOUND;
	if (item->behaviour == BEHAVIOUR_STATUS) return error_status_of(take_word(rest), &item->status);
	return STATUS_OK;
}

static enum status read_item(struct bytes inside, struct script_item *item)
{
	struct bytes rest = inside;
	enum status status = read_head(&rest, item);
	if (status != STATUS_OK) return status;
	for (struct bytes word = take_word(&rest); word.size > 0; word = take_word(&rest)) {
		status = read_qualifier(word, &rest, item);
		if (status != STATUS_OK) return status;
	}
	return STATUS_OK;
}

/* The offset of `pair` (two equal characters) at or after `from`, or the text's size. */
static size_t find_pair(struct bytes text, size_t from, char one)
{
	for (size_t i = from; i + 1 < text.size; i++) {
		if (text.data[i] == one && text.data[i + 1] == one) return i;
	}
	return text.size;
}

enum status script_next(struct bytes text, size_t *cursor, struct script_item *out_item)
{
	for (;;) {
		size_t open = find_pair(text, *cursor, '[');
		size_t close = find_pair(text, open, ']');
		if (close >= text.size) return STATUS_EMPTY;
		struct script_item item = { .status = STATUS_CODE_OK, .retry_after_s = -1, .place = open };
		enum status status = read_item(bytes_at(text.data + open + 2, close - open - 2), &item);
		if (status == STATUS_NOT_FOUND) {
			*cursor = open + 1;
			continue;
		}
		if (status != STATUS_OK) return status;
		*cursor = close + 2;
		*out_item = item;
		return STATUS_OK;
	}
}

/* "5%" or "0.5%": at most six digits each side of the point. */
static enum status parse_share(struct bytes text, double *out_share)
{
	double percent = 0.0, weight = 1.0;
	bool behind_point = false;
	if (text.size < 2 || text.size > 14 || text.data[text.size - 1] != '%') return STATUS_INVALID;
	for (size_t i = 0; i + 1 < text.size; i++) {
		char one = text.data[i];
		if (one == '.' && !behind_point && i > 0) {
			behind_point = true;
			continue;
		}
		if (one < '0' || one > '9') return STATUS_INVALID;
		if (behind_point) weight /= 10.0;
		percent = behind_point ? percent + (one - '0') * weight : percent * 10.0 + (one - '0');
	}
	*out_share = percent / 100.0;
	return STATUS_OK;
}

static enum status parse_fail_row(struct bytes row, struct fail_spec *spec)
{
	const char *colon = row.size > 0 ? memchr(row.data, ':', row.size) : NULL;
	if (colon == NULL) return STATUS_INVALID;
	struct bytes word = bytes_at(row.data, (size_t)(colon - row.data));
	struct bytes share = bytes_at(colon + 1, row.size - word.size - 1);
	if (spec->count == FAIL_ROWS_MAX) return STATUS_FULL;
	int code = STATUS_CODE_OK;
	enum behaviour behaviour = BEHAVIOUR_STATUS;
	if (error_status_of(word, &code) != STATUS_OK) {
		if (behaviour_of_word(word, &behaviour) != STATUS_OK) return STATUS_INVALID;
		if (behaviour == BEHAVIOUR_STATUS) return STATUS_INVALID;
	}
	spec->rows[spec->count].behaviour = behaviour;
	spec->rows[spec->count].status = code;
	enum status status = parse_share(share, &spec->rows[spec->count].share);
	if (status == STATUS_OK) spec->count++;
	return status;
}

enum status fail_spec_parse(struct bytes text, struct fail_spec *out_spec)
{
	struct fail_spec spec = { .count = 0 };
	double sum = 0.0;
	size_t start = 0;
	while (start < text.size) {
		const char *comma = memchr(text.data + start, ',', text.size - start);
		size_t end = comma != NULL ? (size_t)(comma - text.data) : text.size;
		enum status status = parse_fail_row(bytes_trim(bytes_at(text.data + start, end - start)), &spec);
		if (status != STATUS_OK) return status;
		sum += spec.rows[spec.count - 1].share;
		start = end + 1;
	}
	if (sum > 1.0 + 1e-9) return STATUS_INVALID;
	*out_spec = spec;
	return STATUS_OK;
}

enum behaviour fail_spec_pick(const struct fail_spec *spec, double chance, int *out_status)
{
	double sum = 0.0;
	for (size_t i = 0; i < spec->count; i++) {
		sum += spec->rows[i].share;
		if (chance >= sum) continue;
		*out_status = spec->rows[i].status;
		return spec->rows[i].behaviour;
	}
	*out_status = STATUS_CODE_OK;
	return BEHAVIOUR_ANSWER;
}
