/* The field table and its rules: see the header. */
#include "schemas/chat_fields.h"

#include <stdio.h>

#include "common/assertion.h"

enum { STOPS_MAX = 4, CLAUSE_SIZE = 96 };

struct field_row {
	enum chat_rule rule;
	enum chat_use use;
	double least;
	double most;
};

#define FIELD_ROW(member, key, rule, least, most, use) { CHAT_RULE_##rule, CHAT_USE_##use, least, most },
static const struct field_row field_rows[] = { CHAT_FIELD_TABLE(FIELD_ROW) };
#undef FIELD_ROW

#define FIELD_NAME(member, key, rule, least, most, use) { .data = key, .size = sizeof(key) - 1 },
static const struct bytes field_names[] = { CHAT_FIELD_TABLE(FIELD_NAME) };
#undef FIELD_NAME

_Static_assert(sizeof(field_rows) / sizeof(field_rows[0]) == CHAT_FIELD_COUNT, "one row a field");

static const struct field_row *field_row(enum chat_field field)
{
	ASSERT((int)field >= 0 && (int)field < (int)CHAT_FIELD_COUNT);
	return &field_rows[field];
}

const struct bytes *chat_field_names(void)
{
	return field_names;
}

const char *chat_field_name(enum chat_field field)
{
	ASSERT((int)field >= 0 && (int)field < (int)CHAT_FIELD_COUNT);
	return field_names[field].data;
}

enum chat_use chat_field_use(enum chat_field field)
{
	return field_row(field)->use;
}

bool chat_items_are(const struct wire_value *array, enum wire_kind kind)
{
	struct wire_cursor cursor = wire_items(array);
	struct wire_value item;
	while (wire_next(&cursor, &item))
		if (item.kind != kind) return false;
	return true;
}

static bool is_integer_in(const struct wire_value *value, const struct field_row *row)
{
	int64_t integer;
	if (value->kind != WIRE_INTEGER || wire_integer(value, &integer) != STATUS_OK) return false;
	return (double)integer >= row->least && (double)integer <= row->most;
}

static bool is_number_in(const struct wire_value *value, const struct field_row *row)
{
	double number;
	if (value->kind != WIRE_INTEGER && value->kind != WIRE_FLOAT) return false;
	if (wire_number(value, &number) != STATUS_OK) return false;
	return number >= row->least && number <= row->most;
}

static bool is_stop(const struct wire_value *value)
{
	if (value->kind == WIRE_TEXT) return true;
	if (value->kind != WIRE_ARRAY || !chat_items_are(value, WIRE_TEXT)) return false;
	size_t count = wire_count(value, STOPS_MAX + 1);
	return count >= 1 && count <= STOPS_MAX;
}

static bool is_one(const struct wire_value *value)
{
	int64_t integer;
	return wire_integer(value, &integer) == STATUS_OK && integer == 1;
}

static const char *range_clause(const struct field_row *row, const char *what, char *scratch)
{
	if (row->most >= CHAT_INTEGER_MOST && row->least <= CHAT_INTEGER_LEAST)
		snprintf(scratch, CLAUSE_SIZE, "must be %s of 64 bits", what);
	else if (row->most >= CHAT_INTEGER_MOST)
		snprintf(scratch, CLAUSE_SIZE, "must be %s from %.0f on", what, row->least);
	else
		snprintf(scratch, CLAUSE_SIZE, "must be %s from %.0f to %.0f", what, row->least, row->most);
	return scratch;
}

/* The rules that are about what is offered. NULL when the value is accepted. */
static const char *offer_clause(enum chat_rule rule, const struct wire_value *value, enum reason *out_reason)
{
	*out_reason = REASON_BAD_REQUEST;
	if (rule == CHAT_RULE_NEVER) return "is not offered: one record gets one reply";
	if (rule == CHAT_RULE_STREAM && value->kind == WIRE_BOOL)
		return wire_truth(value) ? "must be false: one record gets one reply" : NULL;
	if (rule == CHAT_RULE_ONE && value->kind == WIRE_INTEGER)
		return is_one(value) ? NULL : "must be 1: one record gets one reply";
	*out_reason = REASON_SCHEMA;
	return rule == CHAT_RULE_STREAM ? "must be true or false" : "must be an integer";
}

/* The rules that are about a type and a range. NULL when the value fits. */
static const char *type_clause(const struct field_row *row, const struct wire_value *value, char *scratch)
{
	enum wire_kind kind = value->kind;
	switch (row->rule) {
	case CHAT_RULE_TEXT:
		return kind == WIRE_TEXT ? NULL : "must be text";
	case CHAT_RULE_INTEGER:
		return is_integer_in(value, row) ? NULL : range_clause(row, "an integer", scratch);
	case CHAT_RULE_NUMBER:
		return is_number_in(value, row) ? NULL : range_clause(row, "a number", scratch);
	case CHAT_RULE_BOOL:
		return kind == WIRE_BOOL ? NULL : "must be true or false";
	case CHAT_RULE_MAP:
		return kind == WIRE_MAP ? NULL : "must be a map";
	case CHAT_RULE_ARRAY:
		return kind == WIRE_ARRAY && chat_items_are(value, WIRE_MAP) ? NULL : "must be an array of maps";
	case CHAT_RULE_TEXT_OR_MAP:
		return kind == WIRE_TEXT || kind == WIRE_MAP ? NULL : "must be text or a map";
	case CHAT_RULE_STOP:
		return is_stop(value) ? NULL : "must be text or an array of one to four texts";
	case CHAT_RULE_ANY:
	case CHAT_RULE_OWN:
	case CHAT_RULE_STREAM:
	case CHAT_RULE_ONE:
	case CHAT_RULE_NEVER:
		return NULL;
	}
	ASSERT_UNREACHABLE();
}

enum status chat_field_check(enum chat_field field, const struct wire_value *value, char scratch[static CLAUSE_SIZE],
	enum reason *out_reason, const char **out_clause)
{
	ASSERT(wire_is_given(value));
	const struct field_row *row = field_row(field);
	enum reason reason = REASON_SCHEMA;
	bool is_offer = row->rule == CHAT_RULE_STREAM || row->rule == CHAT_RULE_ONE || row->rule == CHAT_RULE_NEVER;
	const char *clause = is_offer ? offer_clause(row->rule, value, &reason) : type_clause(row, value, scratch);
	if (clause == NULL) return STATUS_OK;
	*out_reason = reason;
	*out_clause = clause;
	return STATUS_INVALID;
}
