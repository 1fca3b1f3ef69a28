/* Takes secrets out of an answer: see the header. */
#include "worker/core/openrouter_mask.h"

#include "common/assertion.h"
#include "worker/core/openrouter_json.h"

/* The mask is shorter than any form of a secret, so nothing grows. */
_Static_assert(REDACTION_SECRET_MIN > sizeof("****") - 1, "masked text fits where the secret was");

struct mask {
	const struct redaction *redaction;
	struct arena *arena;
	bool has_found;
};

static enum status mask_text(struct mask *mask, struct bytes *text)
{
	ASSERT(text != NULL);
	if (!redaction_finds(mask->redaction, *text)) return STATUS_OK;
	ASSERT(text->size > 0);
	struct buffer masked;
	buffer_init(&masked, text->size);
	redaction_apply(mask->redaction, *text, &masked);
	enum status status = buffer_status(&masked);
	if (status == STATUS_OK) status = arena_copy(mask->arena, buffer_bytes(&masked), text);
	buffer_deinit(&masked);
	mask->has_found = true;
	return status == STATUS_OK ? STATUS_OK : STATUS_NO_MEMORY;
}

/* A number can be a secret, too, and is text then. */
static enum status mask_scalar(struct mask *mask, yyjson_val *value)
{
	ASSERT(value != NULL);
	bool is_number = yyjson_is_raw(value);
	if (!is_number && !yyjson_is_str(value)) return STATUS_OK;
	ASSERT(!yyjson_is_ctn(value));
	struct bytes text =
		is_number ? bytes_at(yyjson_get_raw(value), yyjson_get_len(value)) : openrouter_json_text(value);
	struct bytes before = text;
	enum status status = mask_text(mask, &text);
	if (status == STATUS_OK && text.data != before.data) (void)yyjson_set_strn(value, text.data, text.size);
	return status;
}

/* The depth was bounded when the answer was read. */
static enum status mask_value(struct mask *mask, yyjson_val *value)
{
	ASSERT(value != NULL);
	size_t index, count;
	yyjson_val *key, *member;
	enum status status = mask_scalar(mask, value);
	yyjson_arr_foreach(value, index, count, member)
	{
		if (status == STATUS_OK) status = mask_value(mask, member);
	}
	yyjson_obj_foreach(value, index, count, key, member)
	{
		if (status == STATUS_OK) status = mask_scalar(mask, key);
		if (status == STATUS_OK) status = mask_value(mask, member);
	}
	return status;
}

static enum status write_masked(struct mask *mask, yyjson_val *root, struct bytes *json)
{
	ASSERT(root != NULL);
	ASSERT(mask->has_found);
	struct buffer text;
	buffer_init(&text, json->size);
	openrouter_json_append(&text, root);
	enum status status = buffer_status(&text);
	if (status == STATUS_OK) status = arena_copy(mask->arena, buffer_bytes(&text), json);
	buffer_deinit(&text);
	return status == STATUS_OK ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status mask_json(struct mask *mask, struct bytes *json)
{
	ASSERT(json != NULL);
	if (json->size == 0) return STATUS_OK;
	UNINITIALIZED struct openrouter_json document;
	yyjson_val *root = NULL;
	struct mask found = { .redaction = mask->redaction, .arena = mask->arena };
	enum status status = openrouter_json_open(&document, *json, json->size, &root);
	if (status == STATUS_OK) status = mask_value(&found, root);
	if (status == STATUS_OK && found.has_found) status = write_masked(&found, root, json);
	openrouter_json_close(&document);
	mask->has_found = mask->has_found || found.has_found;
	if (status != STATUS_INVALID) return status;
	*json = BYTES_NONE;
	return STATUS_OK;
}

enum status openrouter_mask_answer(
	const struct redaction *redaction, struct arena *arena, struct chat_answer *answer, bool *out_found)
{
	ASSERT(redaction != NULL);
	ASSERT(arena != NULL);
	ASSERT(answer != NULL);
	struct bytes *const texts[] = { &answer->content, &answer->refusal, &answer->reasoning, &answer->finish_reason,
		&answer->model, &answer->provider, &answer->generation_id };
	struct bytes *const jsons[] = { &answer->tool_calls_json, &answer->annotations_json, &answer->images_json,
		&answer->usage_json };
	struct mask mask = { .redaction = redaction, .arena = arena };
	enum status status = STATUS_OK;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) && status == STATUS_OK; i++)
		status = mask_text(&mask, texts[i]);
	for (size_t i = 0; i < sizeof(jsons) / sizeof(jsons[0]) && status == STATUS_OK; i++)
		status = mask_json(&mask, jsons[i]);
	if (status == STATUS_OK) *out_found = mask.has_found;
	return status;
}
