/* The `provider` object of a request: see the header. */
#include "worker/core/openrouter_provider.h"

#include <string.h>

#include "common/assertion.h"
#include "schemas/wire.h"

/* What is looked at. */
enum { KEY_ONLY, KEY_ALLOW_FALLBACKS, KEY_IGNORE, KEY_COUNT };

struct preferences {
	struct wire_value object;
	struct wire_value slots[KEY_COUNT];
};

static bool is_letter_or_digit(char one)
{
	return (one >= 'a' && one <= 'z') || (one >= 'A' && one <= 'Z') || (one >= '0' && one <= '9');
}

static bool is_of_name(char one)
{
	static const char others[] = " ._-/()&+";
	return is_letter_or_digit(one) || (one != '\0' && strchr(others, one) != NULL);
}

bool openrouter_provider_name_is_sane(struct bytes name)
{
	ASSERT(name.size == 0 || name.data != NULL);
	if (name.size == 0 || name.size > OPENROUTER_PROVIDER_NAME_MAX) return false;
	if (!is_letter_or_digit(name.data[0]) || name.data[name.size - 1] == ' ') return false;
	for (size_t i = 0; i < name.size; i++)
		if (!is_of_name(name.data[i])) return false;
	return true;
}

/* False: not an object, or one whose meaning is not certain. */
static bool read_preferences(struct bytes provider, struct preferences *out_preferences)
{
	static const struct bytes names[KEY_COUNT] = { { "only", 4 }, { "allow_fallbacks", 15 }, { "ignore", 6 } };
	ASSERT(provider.size > 0);
	ASSERT(out_preferences != NULL);
	struct wire_fault fault;
	struct wire_value *object = &out_preferences->object;
	enum status status = wire_open(CHAT_CODING_JSON, provider, WIRE_DEPTH_MAX, object, &fault);
	if (status != STATUS_OK || fault.reason != REASON_NONE || object->kind != WIRE_MAP) return false;
	struct wire_found found;
	wire_collect(object, names, KEY_COUNT, out_preferences->slots, &found);
	return !found.repeated && !found.crowded;
}

static bool is_empty(const struct wire_value *container)
{
	struct wire_cursor cursor = wire_items(container);
	struct wire_value item;
	return !wire_next(&cursor, &item);
}

static bool allows(const struct preferences *preferences)
{
	ASSERT(preferences->object.kind == WIRE_MAP);
	const struct wire_value *only = &preferences->slots[KEY_ONLY];
	const struct wire_value *fallbacks = &preferences->slots[KEY_ALLOW_FALLBACKS];
	const struct wire_value *ignore = &preferences->slots[KEY_IGNORE];
	if (wire_is_given(only) && (only->kind != WIRE_ARRAY || !is_empty(only))) return false;
	if (wire_is_given(fallbacks) && (fallbacks->kind != WIRE_BOOL || !wire_truth(fallbacks))) return false;
	return !wire_is_given(ignore) || ignore->kind == WIRE_ARRAY;
}

bool openrouter_provider_may_ignore(struct bytes provider)
{
	ASSERT(provider.size == 0 || provider.data != NULL);
	struct preferences preferences;
	return provider.size == 0 || (read_preferences(provider, &preferences) && allows(&preferences));
}

static bool has_item(const struct wire_value *array, struct bytes text)
{
	ASSERT(text.size > 0);
	if (array->kind != WIRE_ARRAY) return false;
	struct wire_cursor cursor = wire_items(array);
	struct wire_value item;
	while (wire_next(&cursor, &item))
		if (item.kind == WIRE_TEXT && !item.has_escapes && bytes_equal(item.inside, text)) return true;
	return false;
}

/* "Amazon Bedrock" is amazon-bedrock, "Z.AI" is z-ai. */
static struct bytes slug_of(struct bytes name, char out_slug[static OPENROUTER_PROVIDER_NAME_MAX])
{
	ASSERT(name.size <= OPENROUTER_PROVIDER_NAME_MAX);
	size_t size = 0;
	for (size_t i = 0; i < name.size; i++) {
		char one = name.data[i];
		bool is_upper = one >= 'A' && one <= 'Z';
		if (is_upper) one = (char)(one + ('a' - 'A'));
		bool is_kept = is_letter_or_digit(one) || one == '/';
		if (!is_kept && out_slug[size - 1] == '-') continue;
		out_slug[size++] = is_kept ? one : '-';
	}
	while (size > 1 && out_slug[size - 1] == '-')
		size--;
	ASSERT(size > 0);
	return bytes_at(out_slug, size);
}

/* The array's further items. */
struct list_writer {
	const struct wire_value *array; /* what is there; any other kind = nothing */
	struct buffer *out;
	bool is_first;
};

static void add_item(struct list_writer *writer, struct bytes text)
{
	ASSERT(writer->out != NULL);
	if (has_item(writer->array, text)) return;
	if (!writer->is_first) buffer_append_char(writer->out, ',');
	buffer_append_json_string(writer->out, text);
	writer->is_first = false;
}

static void add_names(struct list_writer *writer, const struct bytes *names, size_t count)
{
	ASSERT(count > 0);
	for (size_t i = 0; i < count; i++) {
		char text[OPENROUTER_PROVIDER_NAME_MAX];
		ASSERT(openrouter_provider_name_is_sane(names[i]));
		struct bytes slug = slug_of(names[i], text);
		add_item(writer, names[i]);
		if (!bytes_equal(slug, names[i])) add_item(writer, slug);
	}
}

static void append_until(struct buffer *out_object, struct bytes provider, const char *end)
{
	ASSERT(end >= provider.data);
	ASSERT(end <= provider.data + provider.size);
	buffer_append(out_object, bytes_at(provider.data, (size_t)(end - provider.data)));
}

static void append_from(struct buffer *out_object, struct bytes provider, const char *begin)
{
	ASSERT(begin >= provider.data);
	ASSERT(begin <= provider.data + provider.size);
	buffer_append(out_object, bytes_at(begin, (size_t)(provider.data + provider.size - begin)));
}

static const char *end_of(const struct wire_value *value)
{
	ASSERT(value->whole.size > 0);
	return value->whole.data + value->whole.size;
}

void openrouter_provider_write(
	struct bytes provider, const struct bytes *names, size_t count, struct buffer *out_object)
{
	ASSERT(names != NULL);
	ASSERT(out_object != NULL);
	if (provider.size == 0) provider = BYTES_LITERAL("{}");
	struct preferences preferences;
	bool is_readable = read_preferences(provider, &preferences);
	ASSERT(is_readable);
	ASSERT(allows(&preferences));
	const struct wire_value *ignore = &preferences.slots[KEY_IGNORE];
	struct list_writer writer = { .array = ignore, .out = out_object, .is_first = true };
	switch (ignore->kind) {
	case WIRE_ARRAY:
		writer.is_first = is_empty(ignore);
		append_until(out_object, provider, end_of(ignore) - 1);
		add_names(&writer, names, count);
		append_from(out_object, provider, end_of(ignore) - 1);
		return;
	case WIRE_NULL:
		append_until(out_object, provider, ignore->whole.data);
		buffer_append_char(out_object, '[');
		add_names(&writer, names, count);
		buffer_append_char(out_object, ']');
		append_from(out_object, provider, end_of(ignore));
		return;
	case WIRE_NONE:
		append_until(out_object, provider, end_of(&preferences.object) - 1);
		buffer_append_text(out_object, is_empty(&preferences.object) ? "\"ignore\":[" : ",\"ignore\":[");
		add_names(&writer, names, count);
		buffer_append_char(out_object, ']');
		append_from(out_object, provider, end_of(&preferences.object) - 1);
		return;
	case WIRE_BOOL:
	case WIRE_INTEGER:
	case WIRE_FLOAT:
	case WIRE_TEXT:
	case WIRE_BINARY:
	case WIRE_EXTENSION:
	case WIRE_MAP:
		break;
	}
	ASSERT_UNREACHABLE();
}
