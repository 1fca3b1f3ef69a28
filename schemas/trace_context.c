/* Child spans: see the header. */
#include "schemas/trace_context.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/assertion.h"

enum {
	VERSION_SIZE = 2,
	TRACE_ID_AT = 3,
	TRACE_ID_SIZE = 32,
	SPAN_ID_AT = 36,
	SPAN_ID_SIZE = 16,
	FLAGS_AT = 53,
	FLAGS_SIZE = 2,
	STATE_SIZE_MAX = 512,
};

static bool is_lower_hex(const char *at, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!((at[i] >= '0' && at[i] <= '9') || (at[i] >= 'a' && at[i] <= 'f'))) return false;
	return true;
}

static bool is_id(const char *at, size_t size)
{
	if (!is_lower_hex(at, size)) return false;
	for (size_t i = 0; i < size; i++)
		if (at[i] != '0') return true;
	return false;
}

/* Later versions may add fields behind a dash; what is in front of it keeps its meaning. */
static bool has_good_version(struct bytes parent)
{
	const char *version = parent.data;
	if (!is_lower_hex(version, VERSION_SIZE) || memcmp(version, "ff", VERSION_SIZE) == 0) return false;
	if (parent.size == TRACE_PARENT_SIZE) return true;
	return memcmp(version, "00", VERSION_SIZE) != 0 && parent.data[TRACE_PARENT_SIZE] == '-';
}

static bool is_parent(struct bytes parent)
{
	if (parent.size < TRACE_PARENT_SIZE || !has_good_version(parent)) return false;
	const char *at = parent.data;
	if (at[TRACE_ID_AT - 1] != '-' || at[SPAN_ID_AT - 1] != '-' || at[FLAGS_AT - 1] != '-') return false;
	return is_id(at + TRACE_ID_AT, TRACE_ID_SIZE) && is_id(at + SPAN_ID_AT, SPAN_ID_SIZE) &&
	       is_lower_hex(at + FLAGS_AT, FLAGS_SIZE);
}

enum status trace_context_child(struct bytes parent, uint64_t span_id, char out_child[static TRACE_PARENT_SIZE + 1])
{
	ASSERT(span_id != 0);
	if (!is_parent(parent)) return STATUS_INVALID;
	int size = snprintf(out_child, TRACE_PARENT_SIZE + 1, "00-%.*s-%016" PRIx64 "-%.*s", (int)TRACE_ID_SIZE,
		parent.data + TRACE_ID_AT, span_id, (int)FLAGS_SIZE, parent.data + FLAGS_AT);
	ASSERT(size == TRACE_PARENT_SIZE);
	return STATUS_OK;
}

bool trace_context_is_state(struct bytes state)
{
	if (state.size == 0 || state.size > STATE_SIZE_MAX) return false;
	for (size_t i = 0; i < state.size; i++)
		if (state.data[i] < 0x20 || state.data[i] > 0x7e) return false;
	return true;
}
