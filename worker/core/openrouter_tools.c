/* Tool calls from fragments: see the header. */
#include "worker/core/openrouter_tools.h"

#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"
#include "worker/core/openrouter_json.h"

void openrouter_tools_init(struct openrouter_tools *tools, struct arena *arena, size_t arguments_max)
{
	ASSERT(tools != NULL);
	ASSERT(arena != NULL);
	*tools = (struct openrouter_tools){ .arena = arena, .arguments_max = arguments_max };
}

void openrouter_tools_deinit(struct openrouter_tools *tools)
{
	ASSERT(tools != NULL);
	ASSERT(tools->count <= tools->capacity);
	for (size_t i = 0; i < tools->count; i++) {
		buffer_deinit(&tools->items[i].arguments);
		buffer_deinit(&tools->items[i].extra);
	}
	free(tools->items);
	openrouter_tools_init(tools, tools->arena, tools->arguments_max);
}

/* The latest call with this index. */
static struct openrouter_tool *find_index(struct openrouter_tools *tools, int64_t index)
{
	ASSERT(index >= 0);
	ASSERT(tools->count <= OPENROUTER_TOOL_CALLS_MAX);
	for (size_t i = tools->count; i > 0; i--)
		if (tools->items[i - 1].index == index) return &tools->items[i - 1];
	return NULL;
}

static struct openrouter_tool *find_id(struct openrouter_tools *tools, struct bytes id)
{
	ASSERT(id.size > 0);
	for (size_t i = tools->count; i > 0; i--)
		if (bytes_equal(tools->items[i - 1].id, id)) return &tools->items[i - 1];
	return NULL;
}

/* The call that a fragment belongs to; NULL = it begins a new one. */
static struct openrouter_tool *find_call(struct openrouter_tools *tools, int64_t index, struct bytes id)
{
	ASSERT(index >= -1);
	if (index >= 0) {
		struct openrouter_tool *tool = find_index(tools, index);
		bool is_other = tool != NULL && id.size > 0 && tool->id.size > 0 && !bytes_equal(tool->id, id);
		return is_other ? find_id(tools, id) : tool;
	}
	if (id.size > 0) return find_id(tools, id);
	return tools->count == 0 ? NULL : &tools->items[tools->count - 1];
}

static enum status tools_reserve(struct openrouter_tools *tools)
{
	ASSERT(tools->count <= tools->capacity);
	if (tools->count < tools->capacity) return STATUS_OK;
	if (tools->count >= OPENROUTER_TOOL_CALLS_MAX) return STATUS_TOO_LARGE;
	size_t capacity = tools->capacity == 0 ? 4 : tools->capacity * 2;
	struct openrouter_tool *items = realloc(tools->items, capacity * sizeof(*items));
	if (items == NULL) return STATUS_NO_MEMORY;
	tools->items = items;
	tools->capacity = capacity;
	return STATUS_OK;
}

/* A new call behind those with the same or a smaller index. */
static enum status tools_insert(struct openrouter_tools *tools, int64_t index, struct openrouter_tool **out_tool)
{
	ASSERT(index >= -1);
	ASSERT(out_tool != NULL);
	enum status status = tools_reserve(tools);
	if (status != STATUS_OK) return status;
	ASSERT(tools->count < tools->capacity);
	if (index < 0) index = tools->count == 0 ? 0 : tools->items[tools->count - 1].index + 1;

	size_t at = tools->count;
	while (at > 0 && tools->items[at - 1].index > index)
		at--;
	struct openrouter_tool *tool = &tools->items[at];
	memmove(tool + 1, tool, (tools->count - at) * sizeof(*tool));
	*tool = (struct openrouter_tool){ .index = index };
	buffer_init(&tool->arguments, tools->arguments_max);
	buffer_init(&tool->extra, tools->arguments_max);
	tools->count++;
	*out_tool = tool;
	return STATUS_OK;
}

/* The first text that came stays. */
static enum status keep_first(struct arena *arena, yyjson_val *value, struct bytes *kept)
{
	ASSERT(arena != NULL);
	ASSERT(kept != NULL);
	struct bytes text = openrouter_json_text(value);
	if (text.size == 0 || kept->size > 0) return STATUS_OK;
	return arena_copy(arena, text, kept);
}

static enum status add_name(struct arena *arena, yyjson_val *value, struct bytes *name)
{
	ASSERT(arena != NULL);
	ASSERT(name != NULL);
	struct bytes text = openrouter_json_text(value);
	if (text.size == 0 || bytes_equal(text, *name)) return STATUS_OK;
	char *joined = arena_alloc(arena, name->size + text.size);
	if (joined == NULL) return STATUS_NO_MEMORY;
	if (name->size > 0) memcpy(joined, name->data, name->size);
	memcpy(joined + name->size, text.data, text.size);
	*name = bytes_at(joined, name->size + text.size);
	return STATUS_OK;
}

static void add_extra(struct openrouter_tool *tool, yyjson_val *fragment)
{
	ASSERT(yyjson_is_obj(fragment));
	if (tool->extra.size > 0) return;
	static const char *const known[] = { "index", "id", "type", "function" };
	size_t index, count;
	yyjson_val *key, *value;
	yyjson_obj_foreach(fragment, index, count, key, value)
	{
		bool is_known = yyjson_is_null(value);
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			is_known = is_known || yyjson_equals_str(key, known[i]);
		if (is_known) continue;
		buffer_append_char(&tool->extra, ',');
		openrouter_json_append_string(&tool->extra, openrouter_json_text(key));
		buffer_append_char(&tool->extra, ':');
		openrouter_json_append(&tool->extra, value);
	}
}

/* Arguments are JSON in a string; a provider that sends the value itself is understood. */
static void add_arguments(struct openrouter_tool *tool, yyjson_val *arguments)
{
	ASSERT(tool != NULL);
	if (yyjson_is_str(arguments))
		openrouter_json_append_text(&tool->arguments, openrouter_json_text(arguments));
	else if (yyjson_is_ctn(arguments))
		openrouter_json_append(&tool->arguments, arguments);
}

static enum status tools_add_one(struct openrouter_tools *tools, yyjson_val *fragment)
{
	ASSERT(fragment != NULL);
	if (!yyjson_is_obj(fragment)) return STATUS_INVALID;
	yyjson_val *id = yyjson_obj_get(fragment, "id");
	yyjson_val *function = yyjson_obj_get(fragment, "function");
	if (function != NULL && !yyjson_is_obj(function) && !yyjson_is_null(function)) return STATUS_INVALID;
	int64_t index = openrouter_json_count(yyjson_obj_get(fragment, "index"));
	if (index > INT32_MAX) index = -1;

	enum status status = STATUS_OK;
	struct openrouter_tool *tool = find_call(tools, index, openrouter_json_text(id));
	if (tool == NULL) status = tools_insert(tools, index, &tool);
	if (status == STATUS_OK) status = keep_first(tools->arena, id, &tool->id);
	if (status == STATUS_OK) status = keep_first(tools->arena, yyjson_obj_get(fragment, "type"), &tool->type);
	if (status == STATUS_OK) status = add_name(tools->arena, yyjson_obj_get(function, "name"), &tool->name);
	if (status != STATUS_OK) return status;
	add_arguments(tool, yyjson_obj_get(function, "arguments"));
	add_extra(tool, fragment);
	status = buffer_status(&tool->arguments);
	return status == STATUS_OK ? buffer_status(&tool->extra) : status;
}

enum status openrouter_tools_add(struct openrouter_tools *tools, yyjson_val *fragments)
{
	ASSERT(fragments != NULL);
	ASSERT(tools != NULL);
	if (!yyjson_is_arr(fragments)) return STATUS_INVALID;
	size_t index, count;
	yyjson_val *fragment;
	yyjson_arr_foreach(fragments, index, count, fragment)
	{
		enum status status = tools_add_one(tools, fragment);
		if (status != STATUS_OK) return status;
	}
	return STATUS_OK;
}

static void write_member(struct buffer *out, const char *before, struct bytes text)
{
	ASSERT(out != NULL);
	ASSERT(before != NULL);
	buffer_append_text(out, before);
	openrouter_json_append_string(out, text);
}

void openrouter_tools_write(const struct openrouter_tools *tools, struct buffer *out_members)
{
	ASSERT(out_members != NULL);
	ASSERT(tools != NULL);
	for (size_t i = 0; i < tools->count; i++) {
		const struct openrouter_tool *tool = &tools->items[i];
		if (out_members->size > 0) buffer_append_char(out_members, ',');
		buffer_append_char(out_members, '{');
		if (tool->id.size > 0) {
			write_member(out_members, "\"id\":", tool->id);
			buffer_append_char(out_members, ',');
		}
		write_member(out_members, "\"type\":", tool->type.size > 0 ? tool->type : BYTES_LITERAL("function"));
		write_member(out_members, ",\"function\":{\"name\":", tool->name);
		write_member(out_members, ",\"arguments\":", buffer_bytes(&tool->arguments));
		buffer_append_char(out_members, '}');
		buffer_append(out_members, buffer_bytes(&tool->extra));
		buffer_append_char(out_members, '}');
	}
}
