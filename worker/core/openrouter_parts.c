/* The parts of an answer: see the header. */
#include "worker/core/openrouter_parts.h"

#include <string.h>

#include "common/assertion.h"
#include "worker/core/openrouter_json.h"

void openrouter_parts_init(struct openrouter_parts *parts, struct arena *arena, size_t size_max)
{
	ASSERT(parts != NULL);
	ASSERT(size_max > 0);
	ASSERT(arena != NULL);
	*parts = (struct openrouter_parts){ .arena = arena, .prompt_tokens = -1, .completion_tokens = -1 };
	buffer_init(&parts->content, size_max);
	buffer_init(&parts->refusal, size_max);
	buffer_init(&parts->reasoning, size_max);
	buffer_init(&parts->tool_calls, size_max);
	buffer_init(&parts->annotations, size_max);
	buffer_init(&parts->images, size_max);
	buffer_init(&parts->usage, size_max);
	openrouter_tools_init(&parts->tools, arena, size_max);
}

void openrouter_parts_deinit(struct openrouter_parts *parts)
{
	ASSERT(parts != NULL);
	buffer_deinit(&parts->content);
	buffer_deinit(&parts->refusal);
	buffer_deinit(&parts->reasoning);
	buffer_deinit(&parts->tool_calls);
	buffer_deinit(&parts->annotations);
	buffer_deinit(&parts->images);
	buffer_deinit(&parts->usage);
	openrouter_tools_deinit(&parts->tools);
}

bool openrouter_name_is_safe(struct bytes name)
{
	ASSERT(name.size == 0 || name.data != NULL);
	if (name.size == 0 || name.size > OPENROUTER_NAME_MAX) return false;
	if (name.data[0] == ' ' || name.data[name.size - 1] == ' ') return false;
	for (size_t i = 0; i < name.size; i++)
		if (name.data[i] < 0x20 || name.data[i] > 0x7e) return false;
	return true;
}

static void add_text(struct openrouter_parts *parts, struct buffer *buffer, struct bytes text)
{
	ASSERT(parts != NULL);
	ASSERT(buffer != NULL);
	openrouter_json_append_text(buffer, text);
	if (!bytes_is_blank(text)) parts->content_count++;
}

/* The text of a part {"type":"text","text":…}; the other kinds have none. */
static struct bytes part_text(yyjson_val *part)
{
	if (!bytes_equal_text(openrouter_json_text(yyjson_obj_get(part, "type")), "text")) return BYTES_NONE;
	return openrouter_json_text(yyjson_obj_get(part, "text"));
}

static enum status add_content(struct openrouter_parts *parts, yyjson_val *content)
{
	ASSERT(parts != NULL);
	if (content == NULL || yyjson_is_null(content)) return STATUS_OK;
	parts->has_content = true;
	if (yyjson_is_str(content)) {
		add_text(parts, &parts->content, openrouter_json_text(content));
		return STATUS_OK;
	}
	if (!yyjson_is_arr(content)) return STATUS_INVALID;
	size_t index, count;
	yyjson_val *part;
	yyjson_arr_foreach(content, index, count, part) add_text(parts, &parts->content, part_text(part));
	return STATUS_OK;
}

static void add_reasoning(struct openrouter_parts *parts, yyjson_val *message)
{
	ASSERT(yyjson_is_obj(message));
	struct bytes text = openrouter_json_text(yyjson_obj_get(message, "reasoning"));
	if (text.size > 0) add_text(parts, &parts->reasoning, text);
	parts->has_reasoning = parts->has_reasoning || !bytes_is_blank(text) ||
			       yyjson_arr_size(yyjson_obj_get(message, "reasoning_details")) > 0;
}

/* Calls of a delta are fragments; those of a whole message are passed on as they are. */
static enum status add_tool_calls(struct openrouter_parts *parts, yyjson_val *calls, bool is_delta)
{
	ASSERT(parts != NULL);
	if (calls == NULL || yyjson_is_null(calls)) return STATUS_OK;
	if (!yyjson_is_arr(calls)) return STATUS_INVALID;
	if (yyjson_arr_size(calls) == 0) return STATUS_OK;
	parts->content_count++;
	if (is_delta) return openrouter_tools_add(&parts->tools, calls);
	if (yyjson_arr_size(calls) > OPENROUTER_TOOL_CALLS_MAX) return STATUS_TOO_LARGE;
	openrouter_json_append_members(&parts->tool_calls, calls);
	return STATUS_OK;
}

static enum status add_message(struct openrouter_parts *parts, yyjson_val *message, bool is_delta)
{
	ASSERT(message != NULL);
	if (!yyjson_is_obj(message)) return STATUS_INVALID;
	enum status status = add_content(parts, yyjson_obj_get(message, "content"));
	if (status == STATUS_OK) status = add_tool_calls(parts, yyjson_obj_get(message, "tool_calls"), is_delta);
	if (status != STATUS_OK) return status;

	add_text(parts, &parts->refusal, openrouter_json_text(yyjson_obj_get(message, "refusal")));
	add_reasoning(parts, message);
	openrouter_json_append_members(&parts->annotations, yyjson_obj_get(message, "annotations"));
	yyjson_val *images = yyjson_obj_get(message, "images");
	if (yyjson_arr_size(images) > 0) parts->content_count++;
	openrouter_json_append_members(&parts->images, images);
	return STATUS_OK;
}

static enum openrouter_finish finish_of_word(struct bytes word)
{
	ASSERT(word.size > 0);
	static const struct {
		const char *word;
		enum openrouter_finish finish;
	} rows[] = {
		{ "length", OPENROUTER_FINISH_LENGTH },
		{ "max_tokens", OPENROUTER_FINISH_LENGTH },
		{ "tool_calls", OPENROUTER_FINISH_TOOL_CALLS },
		{ "function_call", OPENROUTER_FINISH_TOOL_CALLS },
		{ "content_filter", OPENROUTER_FINISH_CONTENT_FILTER },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (bytes_equal_text(word, rows[i].word)) return rows[i].finish;
	return OPENROUTER_FINISH_STOP;
}

static bool has_parts(const struct openrouter_parts *parts)
{
	ASSERT(parts != NULL);
	return parts->content.size > 0 || parts->tool_calls.size > 0 || parts->tools.count > 0;
}

static enum status add_choice_message(struct openrouter_parts *parts, yyjson_val *choice)
{
	ASSERT(yyjson_is_obj(choice));
	ASSERT(parts->has_choice);
	yyjson_val *delta = yyjson_obj_get(choice, "delta");
	if (yyjson_is_obj(delta)) return add_message(parts, delta, true);
	if (delta != NULL && !yyjson_is_null(delta)) return STATUS_INVALID;

	/* A stream may end with the whole message once more. */
	yyjson_val *message = yyjson_obj_get(choice, "message");
	if (message == NULL || yyjson_is_null(message) || has_parts(parts)) return STATUS_OK;
	return add_message(parts, message, false);
}

static enum status add_choice(struct openrouter_parts *parts, yyjson_val *choice)
{
	ASSERT(choice != NULL);
	if (!yyjson_is_obj(choice)) return STATUS_INVALID;
	if (openrouter_json_count(yyjson_obj_get(choice, "index")) > 0) return STATUS_OK;
	parts->has_choice = true;
	enum status status = add_choice_message(parts, choice);
	if (status != STATUS_OK) return status;
	struct bytes word = openrouter_json_text(yyjson_obj_get(choice, "finish_reason"));
	if (word.size > 0) parts->finish = finish_of_word(word);
	return STATUS_OK;
}

static enum status add_name(struct openrouter_parts *parts, yyjson_val *root, const char *key, struct bytes *name)
{
	ASSERT(yyjson_is_obj(root));
	ASSERT(key != NULL);
	ASSERT(name != NULL);
	if (name->size > 0) return STATUS_OK;
	struct bytes text = openrouter_json_text(yyjson_obj_get(root, key));
	return openrouter_name_is_safe(text) ? arena_copy(parts->arena, text, name) : STATUS_OK;
}

static void add_usage(struct openrouter_parts *parts, yyjson_val *usage)
{
	ASSERT(parts->prompt_tokens >= -1);
	ASSERT(parts->completion_tokens >= -1);
	if (!yyjson_is_obj(usage)) return;
	buffer_clear(&parts->usage);
	openrouter_json_append(&parts->usage, usage);
	parts->cost_usd = openrouter_json_amount(yyjson_obj_get(usage, "cost"));
	parts->prompt_tokens = openrouter_json_count(yyjson_obj_get(usage, "prompt_tokens"));
	parts->completion_tokens = openrouter_json_count(yyjson_obj_get(usage, "completion_tokens"));
}

static enum status parts_status(const struct openrouter_parts *parts)
{
	ASSERT(parts != NULL);
	const struct buffer *const buffers[] = { &parts->content, &parts->refusal, &parts->reasoning,
		&parts->tool_calls, &parts->annotations, &parts->images, &parts->usage };
	for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++)
		if (buffer_status(buffers[i]) != STATUS_OK) return buffer_status(buffers[i]);
	return STATUS_OK;
}

enum status openrouter_parts_add(struct openrouter_parts *parts, yyjson_val *root)
{
	ASSERT(root != NULL);
	ASSERT(parts != NULL);
	if (!yyjson_is_obj(root)) return STATUS_INVALID;
	enum status status = add_name(parts, root, "id", &parts->id);
	if (status == STATUS_OK) status = add_name(parts, root, "model", &parts->model);
	if (status == STATUS_OK) status = add_name(parts, root, "provider", &parts->provider);
	if (status != STATUS_OK) return status;
	add_usage(parts, yyjson_obj_get(root, "usage"));

	yyjson_val *choices = yyjson_obj_get(root, "choices");
	if (choices != NULL && !yyjson_is_null(choices) && !yyjson_is_arr(choices)) return STATUS_INVALID;
	yyjson_val *choice = yyjson_arr_get_first(choices);
	if (choice != NULL) status = add_choice(parts, choice);
	return status == STATUS_OK ? parts_status(parts) : status;
}

/* What is told: only calls make it "tool_calls", and calls that are whole make it nothing else. */
static struct bytes finish_word(enum openrouter_finish finish, bool has_calls)
{
	switch (finish) {
	case OPENROUTER_FINISH_LENGTH:
		return BYTES_LITERAL("length");
	case OPENROUTER_FINISH_CONTENT_FILTER:
		return BYTES_LITERAL("content_filter");
	case OPENROUTER_FINISH_NONE:
	case OPENROUTER_FINISH_STOP:
	case OPENROUTER_FINISH_TOOL_CALLS:
		return has_calls ? BYTES_LITERAL("tool_calls") : BYTES_LITERAL("stop");
	}
	ASSERT_UNREACHABLE();
}

static enum status copy_text(struct arena *arena, const struct buffer *text, struct bytes *out_copy)
{
	ASSERT(text->status == STATUS_OK);
	ASSERT(out_copy != NULL);
	return text->size == 0 ? STATUS_OK : arena_copy(arena, buffer_bytes(text), out_copy);
}

/* Puts the brackets around the members of an array. */
static enum status copy_array(struct arena *arena, const struct buffer *members, struct bytes *out_json)
{
	ASSERT(members->status == STATUS_OK);
	ASSERT(out_json != NULL);
	if (members->size == 0) return STATUS_OK;
	char *json = arena_alloc(arena, members->size + 2);
	if (json == NULL) return STATUS_NO_MEMORY;
	json[0] = '[';
	memcpy(json + 1, members->data, members->size);
	json[members->size + 1] = ']';
	*out_json = bytes_at(json, members->size + 2);
	return STATUS_OK;
}

static bool is_answer(const struct openrouter_parts *parts)
{
	ASSERT(parts != NULL);
	return parts->tool_calls.size > 0 || parts->images.size > 0 || !bytes_is_blank(buffer_bytes(&parts->content)) ||
	       !bytes_is_blank(buffer_bytes(&parts->refusal));
}

static enum status copy_answer(struct openrouter_parts *parts, struct chat_answer *out_answer)
{
	ASSERT(out_answer != NULL);
	ASSERT(is_answer(parts));
	struct arena *arena = parts->arena;
	struct chat_answer answer = {
		.content = parts->has_content ? bytes_at("", 0) : BYTES_NONE,
		.finish_reason = finish_word(parts->finish, parts->tool_calls.size > 0),
		.model = parts->model,
		.provider = parts->provider,
		.generation_id = parts->id,
		.cost_usd = parts->cost_usd,
		.prompt_tokens = parts->prompt_tokens,
		.completion_tokens = parts->completion_tokens,
	};
	enum status status = copy_text(arena, &parts->content, &answer.content);
	if (status == STATUS_OK) status = copy_text(arena, &parts->refusal, &answer.refusal);
	if (status == STATUS_OK) status = copy_text(arena, &parts->reasoning, &answer.reasoning);
	if (status == STATUS_OK) status = copy_text(arena, &parts->usage, &answer.usage_json);
	if (status == STATUS_OK) status = copy_array(arena, &parts->tool_calls, &answer.tool_calls_json);
	if (status == STATUS_OK) status = copy_array(arena, &parts->annotations, &answer.annotations_json);
	if (status == STATUS_OK) status = copy_array(arena, &parts->images, &answer.images_json);
	if (status == STATUS_OK) *out_answer = answer;
	return status;
}

static enum answer_defect defect_of(const struct openrouter_parts *parts)
{
	ASSERT(!is_answer(parts));
	if (!parts->has_choice) return ANSWER_DEFECT_NO_CHOICES;
	if (parts->finish == OPENROUTER_FINISH_CONTENT_FILTER) return ANSWER_DEFECT_FILTERED;
	return parts->has_reasoning ? ANSWER_DEFECT_REASONING : ANSWER_DEFECT_BLANK;
}

enum status openrouter_parts_verdict(
	struct openrouter_parts *parts, struct chat_answer *out_answer, enum answer_defect *out_defect)
{
	ASSERT(out_answer != NULL);
	ASSERT(out_defect != NULL);
	ASSERT(parts != NULL);
	openrouter_tools_write(&parts->tools, &parts->tool_calls);
	enum status status = parts_status(parts);
	if (status != STATUS_OK) return status;
	if (is_answer(parts)) return copy_answer(parts, out_answer);
	*out_defect = defect_of(parts);
	return STATUS_EMPTY;
}
