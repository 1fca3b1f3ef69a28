/* Tool calls put together from the fragments of a stream.
 *
 * A fragment names its call by `index`; the first one brings id, type and name, all together make up the arguments. Not
 * every provider keeps to that: a fragment with another id than the call of its index begins a new call, one without an
 * index belongs to the call with its id, else to the latest, and a name that only repeats itself is not appended. The
 * calls are kept in the order of their indexes. Fields that are not known here (as "extra_content") are passed on from
 * the first fragment that has any.
 *
 * Owner: whoever embeds it; one thread. Ids and names live in the arena given, arguments in own memory until deinit. */
#ifndef WORKER_CORE_OPENROUTER_TOOLS_H
#define WORKER_CORE_OPENROUTER_TOOLS_H

#include <yyjson.h>

#include "common/arena.h"
#include "common/buffer.h"

/* Calls of one answer. */
enum { OPENROUTER_TOOL_CALLS_MAX = 128 };

struct openrouter_tool {
	int64_t index;
	struct bytes id, type, name; /* in the arena */
	struct buffer arguments;
	struct buffer extra; /* `,"key":value` for each other field of the call */
};

struct openrouter_tools {
	struct arena *arena; /* borrowed */
	struct openrouter_tool *items;
	size_t count;
	size_t capacity;
	size_t arguments_max; /* bytes of one call's arguments */
};

void openrouter_tools_init(struct openrouter_tools *tools, struct arena *arena, size_t arguments_max);
void openrouter_tools_deinit(struct openrouter_tools *tools);

/* The fragments of one event. STATUS_INVALID: not what the format allows; STATUS_TOO_LARGE: a bound was passed;
 * STATUS_NO_MEMORY. After a failure the calls are of no use. */
NODISCARD enum status openrouter_tools_add(struct openrouter_tools *tools, yyjson_val *fragments);

/* Appends the calls as the members of a JSON array, separated by commas. */
void openrouter_tools_write(const struct openrouter_tools *tools, struct buffer *out_members);

#endif
