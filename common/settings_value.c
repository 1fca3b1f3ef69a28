#include "common/settings_value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"
#include "common/redaction.h"

const char *setting_type_text(enum setting_type type)
{
	switch (type) {
	case SETTING_BOOL:
		return "true or false";
	case SETTING_INT:
		return "a whole number";
	case SETTING_FLOAT:
		return "a number";
	case SETTING_TEXT:
		return "a text";
	case SETTING_CHOICE:
		return "a word";
	case SETTING_LIST:
		return "a list of texts";
	case SETTING_PROPERTIES:
		return "a list of \"name=value\"";
	}
	ASSERT_UNREACHABLE();
}

static const char *unit_gap(const struct setting_row *row)
{
	return row->unit[0] == '\0' ? "" : " ";
}

static enum status read_bool(struct bytes text, struct setting_value *out_value, struct buffer *out_problem)
{
	bool is_true = bytes_equal_text(text, "true");
	if (!is_true && !bytes_equal_text(text, "false")) {
		buffer_append_text(out_problem, "must be true or false");
		return STATUS_INVALID;
	}
	out_value->boolean = is_true;
	return STATUS_OK;
}

static enum status check_range(const struct setting_row *row, double number, struct buffer *out_problem)
{
	if (number >= row->min && number <= row->max) return STATUS_OK;
	bool is_low = number < row->min;
	buffer_append_format(out_problem, "%.15g is %s, %s is %.15g%s%s", number, is_low ? "too small" : "too large",
		is_low ? "the least" : "the most", is_low ? row->min : row->max, unit_gap(row), row->unit);
	return STATUS_INVALID;
}

static enum status read_int(
	const struct setting_row *row, struct bytes text, struct setting_value *out_value, struct buffer *out_problem)
{
	int64_t integer;
	if (bytes_to_int64(text, &integer) != STATUS_OK) {
		buffer_append_format(out_problem, "must be a whole number from %.15g to %.15g%s%s", row->min, row->max,
			unit_gap(row), row->unit);
		return STATUS_INVALID;
	}
	enum status status = check_range(row, (double)integer, out_problem);
	if (status == STATUS_OK) out_value->integer = integer;
	return status;
}

/* Decimal only: no hexadecimal, no infinity, no comma. */
static bool to_double(struct bytes text, double *out_number)
{
	char copy[64];
	if (text.size == 0 || text.size >= sizeof copy) return false;
	memcpy(copy, text.data, text.size);
	copy[text.size] = '\0';
	if (strspn(copy, "0123456789+-.eE") != text.size) return false;
	char *end;
	*out_number = strtod(copy, &end);
	return *end == '\0' && isfinite(*out_number);
}

static enum status read_float(
	const struct setting_row *row, struct bytes text, struct setting_value *out_value, struct buffer *out_problem)
{
	double number;
	if (!to_double(text, &number)) {
		buffer_append_format(out_problem, "must be a number from %g to %g", row->min, row->max);
		return STATUS_INVALID;
	}
	enum status status = check_range(row, number, out_problem);
	if (status == STATUS_OK) out_value->number = number;
	return status;
}

/* A NUL-terminated copy; NULL without memory. */
static const char *copy_text(struct arena *arena, struct bytes text)
{
	char *copy = arena_alloc(arena, text.size + 1);
	if (copy == NULL) return NULL;
	if (text.size > 0) memcpy(copy, text.data, text.size);
	copy[text.size] = '\0';
	return copy;
}

static enum status read_text(const struct setting_row *row, struct bytes text, struct arena *arena,
	struct setting_value *out_value, struct buffer *out_problem)
{
	if (!bytes_is_utf8(text) || bytes_has_nul(text)) {
		buffer_append_text(out_problem, "must be UTF-8 without NUL");
	} else if ((double)text.size < row->min) {
		buffer_append_text(out_problem, "must not be empty");
	} else if ((double)text.size > row->max) {
		buffer_append_format(out_problem, "is too long, the most is %.0f bytes", row->max);
	} else {
		out_value->text = copy_text(arena, text);
		return out_value->text == NULL ? STATUS_NO_MEMORY : STATUS_OK;
	}
	return STATUS_INVALID;
}

/* The place of `word` among "a|b|c"; false when it is not there. */
static bool find_choice(const char *choices, struct bytes word, unsigned *out_choice)
{
	unsigned choice = 0;
	for (const char *start = choices;; choice++) {
		size_t size = strcspn(start, "|");
		if (bytes_equal(bytes_at(start, size), word)) {
			*out_choice = choice;
			return true;
		}
		if (start[size] == '\0') return false;
		start += size + 1;
	}
}

static void tell_choices(const char *choices, const char *what, struct buffer *out_problem)
{
	buffer_append_text(out_problem, what);
	for (const char *one = choices; *one != '\0'; one++) {
		if (*one == '|')
			buffer_append_text(out_problem, ", ");
		else
			buffer_append_char(out_problem, *one);
	}
}

static enum status check_item(
	const struct setting_row *row, struct bytes item, size_t number, struct buffer *out_problem)
{
	unsigned choice;
	const char *equals = item.size == 0 ? NULL : memchr(item.data, '=', item.size);
	if (item.size == 0)
		buffer_append_format(out_problem, "item %zu is empty", number);
	else if (!bytes_is_utf8(item) || bytes_has_nul(item))
		buffer_append_format(out_problem, "item %zu must be UTF-8 without NUL", number);
	else if (row->type == SETTING_PROPERTIES && (equals == NULL || equals == item.data))
		buffer_append_format(out_problem, "item %zu must have the form name=value", number);
	else if (row->choices[0] != '\0' && !find_choice(row->choices, item, &choice))
		tell_choices(row->choices, "may hold only ", out_problem);
	else
		return STATUS_OK;
	return STATUS_INVALID;
}

enum status settings_value_read_list(const struct setting_row *row, const struct settings_list *items,
	struct arena *arena, struct setting_value *out_value, struct buffer *out_problem)
{
	if ((double)items->count > row->max) {
		buffer_append_format(out_problem, "has %zu items, the most is %.0f", items->count, row->max);
		return STATUS_INVALID;
	}
	const char **copies = arena_calloc(arena, items->count, sizeof *copies);
	if (copies == NULL) return STATUS_NO_MEMORY;
	for (size_t i = 0; i < items->count; i++) {
		struct bytes item = bytes_of(items->items[i]);
		enum status status = check_item(row, item, i + 1, out_problem);
		if (status != STATUS_OK) return status;
		copies[i] = copy_text(arena, item);
		if (copies[i] == NULL) return STATUS_NO_MEMORY;
	}
	out_value->list = (struct settings_list){ .items = copies, .count = items->count };
	return STATUS_OK;
}

static size_t next_item(const char *separators, struct bytes text)
{
	size_t size = 0;
	while (size < text.size && strchr(separators, text.data[size]) == NULL)
		size++;
	return size;
}

static enum status read_list(const struct setting_row *row, struct bytes text, struct arena *arena,
	struct setting_value *out_value, struct buffer *out_problem)
{
	const char *separators = row->type == SETTING_PROPERTIES ? ";\n" : ",";
	text = bytes_trim(text);
	size_t count = text.size == 0 ? 0 : 1;
	for (size_t i = 0; i < text.size; i++)
		count += strchr(separators, text.data[i]) != NULL && text.data[i] != '\0';
	const char **items = arena_calloc(arena, count, sizeof *items);
	if (items == NULL) return STATUS_NO_MEMORY;
	for (size_t i = 0; i < count; i++) {
		size_t size = next_item(separators, text);
		items[i] = copy_text(arena, bytes_trim(bytes_at(text.data, size)));
		if (items[i] == NULL) return STATUS_NO_MEMORY;
		if (i + 1 < count) text = bytes_at(text.data + size + 1, text.size - size - 1);
	}
	const struct settings_list list = { .items = items, .count = count };
	return settings_value_read_list(row, &list, arena, out_value, out_problem);
}

enum status settings_value_read(const struct setting_row *row, struct bytes text, struct arena *arena,
	struct setting_value *out_value, struct buffer *out_problem)
{
	switch (row->type) {
	case SETTING_BOOL:
		return read_bool(bytes_trim(text), out_value, out_problem);
	case SETTING_INT:
		return read_int(row, bytes_trim(text), out_value, out_problem);
	case SETTING_FLOAT:
		return read_float(row, bytes_trim(text), out_value, out_problem);
	case SETTING_TEXT:
		return read_text(row, text, arena, out_value, out_problem);
	case SETTING_CHOICE:
		if (find_choice(row->choices, bytes_trim(text), &out_value->choice)) return STATUS_OK;
		tell_choices(row->choices, "must be one of ", out_problem);
		return STATUS_INVALID;
	case SETTING_LIST:
	case SETTING_PROPERTIES:
		return read_list(row, text, arena, out_value, out_problem);
	}
	ASSERT_UNREACHABLE();
}

static void show_item(const struct setting_row *row, const char *item, struct buffer *out_text)
{
	const char *equals = strchr(item, '=');
	bool is_masked = row->type == SETTING_PROPERTIES && equals != NULL &&
			 redaction_name_is_secret(bytes_at(item, (size_t)(equals - item)));
	if (is_masked)
		buffer_append_format(out_text, "%.*s=****", (int)(equals - item), item);
	else
		buffer_append_text(out_text, item);
}

static void show_list(const struct setting_row *row, const struct settings_list *list, struct buffer *out_text)
{
	for (size_t i = 0; i < list->count; i++) {
		if (i > 0) buffer_append_char(out_text, row->type == SETTING_PROPERTIES ? ';' : ',');
		show_item(row, list->items[i], out_text);
	}
}

static void show_choice(const struct setting_row *row, unsigned choice, struct buffer *out_text)
{
	const char *word = row->choices;
	for (unsigned i = 0; i < choice; i++)
		word += strcspn(word, "|") + 1;
	buffer_append(out_text, bytes_at(word, strcspn(word, "|")));
}

void settings_value_show(const struct setting_row *row, const struct setting_value *value, struct buffer *out_text)
{
	switch (row->type) {
	case SETTING_BOOL:
		buffer_append_text(out_text, value->boolean ? "true" : "false");
		break;
	case SETTING_INT:
		buffer_append_int(out_text, value->integer);
		break;
	case SETTING_FLOAT:
		buffer_append_format(out_text, "%.15g", value->number);
		break;
	case SETTING_TEXT:
		buffer_append_text(out_text, row->is_secret && value->text[0] != '\0' ? "****" : value->text);
		break;
	case SETTING_CHOICE:
		show_choice(row, value->choice, out_text);
		break;
	case SETTING_LIST:
	case SETTING_PROPERTIES:
		show_list(row, &value->list, out_text);
		break;
	}
}

/* The table gives out its texts as const; the memory is its own arena's. */
static void wipe_text(const char *text)
{
	if (text != NULL) explicit_bzero((void *)(uintptr_t)text, strlen(text));
}

void settings_value_wipe(const struct setting_row *row, const struct setting_value *value)
{
	if (row->is_secret) wipe_text(value->text);
	if (row->type != SETTING_PROPERTIES) return;
	for (size_t i = 0; i < value->list.count; i++)
		wipe_text(value->list.items[i]);
}
