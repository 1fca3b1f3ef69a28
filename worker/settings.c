/* From the table's values to the members of `struct settings`. */
#include "worker/settings.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/arena.h"
#include "common/assertion.h"
#include "common/settings_file.h"
#include "worker/settings_check.h"

enum { SETTINGS_RESOLVED_MAX = 1048576 };

#define KIND_BOOL SETTING_BOOL
#define KIND_INT SETTING_INT
#define KIND_FLOAT SETTING_FLOAT
#define KIND_TEXT SETTING_TEXT
#define KIND_SECRET SETTING_TEXT, .is_secret = true
#define KIND_LIST SETTING_LIST
#define KIND_PROPERTIES SETTING_PROPERTIES
#define KIND_CHOICE_settings_delivery SETTING_CHOICE
#define KIND_CHOICE_settings_start_from SETTING_CHOICE
#define KIND_CHOICE_settings_http_version SETTING_CHOICE
#define KIND_CHOICE_settings_ordering SETTING_CHOICE
#define KIND_CHOICE_log_level SETTING_CHOICE
#define KIND_CHOICE_log_format SETTING_CHOICE

#define ONE_ROW(section, name, KIND, default_, min_, max_, unit_, choices_, help_) \
	{ .key = #section "." #name,                                               \
		.type = KIND_##KIND,                                               \
		.default_text = default_,                                          \
		.min = min_,                                                       \
		.max = max_,                                                       \
		.unit = unit_,                                                     \
		.choices = choices_,                                               \
		.help = help_ },
#define SECTION_ROWS(section, ROWS) ROWS(ONE_ROW)

/* A row for each reason but the empty one. */
#define TEXT_ROW_NONE(word)
#define TEXT_ROW_REJECTED(word) TEXT_ROW_FALLBACK(word)
#define TEXT_ROW_FALLBACK(word)           \
	{ .key = "fallback.texts." word,  \
		.type = SETTING_TEXT,     \
		.default_text = "",       \
		.max = SETTINGS_TEXT_MAX, \
		.unit = "",               \
		.choices = "",            \
		.help = "The text for reason " word ". Empty: fallback.text." },
#define TEXT_ROW(member, word, class, ...) TEXT_ROW_##class(word)

static const struct setting_row rows[] = { SETTINGS_SECTIONS(SECTION_ROWS) REASON_TABLE(TEXT_ROW) };

#define ONE_OFFSET(section, name, ...) offsetof(struct settings, section.name),
#define SECTION_OFFSETS(section, ROWS) ROWS(ONE_OFFSET)
#define TEXT_OFFSET_NONE(member)
#define TEXT_OFFSET_REJECTED(member) TEXT_OFFSET_FALLBACK(member)
#define TEXT_OFFSET_FALLBACK(member) offsetof(struct settings, fallback_texts) + (member) * sizeof(const char *),
#define TEXT_OFFSET(member, word, class, ...) TEXT_OFFSET_##class(member)

static const size_t offsets[] = { SETTINGS_SECTIONS(SECTION_OFFSETS) REASON_TABLE(TEXT_OFFSET) };

enum { ROW_COUNT = sizeof rows / sizeof rows[0] };
_Static_assert(sizeof offsets / sizeof offsets[0] == ROW_COUNT, "each row has its member");
_Static_assert(sizeof(enum settings_delivery) == sizeof(unsigned), "choices are stored as unsigned");
_Static_assert(sizeof(enum log_level) == sizeof(unsigned), "choices are stored as unsigned");

static void fill_member(void *member, enum setting_type type, const struct setting_value *value)
{
	switch (type) {
	case SETTING_BOOL:
		memcpy(member, &value->boolean, sizeof value->boolean);
		break;
	case SETTING_INT:
		memcpy(member, &value->integer, sizeof value->integer);
		break;
	case SETTING_FLOAT:
		memcpy(member, &value->number, sizeof value->number);
		break;
	case SETTING_TEXT:
		memcpy(member, &value->text, sizeof value->text);
		break;
	case SETTING_CHOICE:
		memcpy(member, &value->choice, sizeof value->choice);
		break;
	case SETTING_LIST:
	case SETTING_PROPERTIES:
		memcpy(member, &value->list, sizeof value->list);
		break;
	}
}

static const char *copy_text(struct settings *settings, struct bytes text)
{
	char *copy = arena_alloc(settings->arena, text.size + 1);
	if (copy == NULL) return NULL;
	memcpy(copy, text.data, text.size);
	copy[text.size] = '\0';
	return copy;
}

static const char *own_transactional_id(struct settings *settings)
{
	char host[256] = "";
	if (gethostname(host, sizeof host - 1) != 0) return settings->kafka.group_id;
	struct buffer id;
	buffer_init(&id, 1024);
	buffer_append_format(&id, "%s-%s", settings->kafka.group_id, host);
	const char *text = buffer_status(&id) == STATUS_OK ? copy_text(settings, buffer_bytes(&id)) : NULL;
	buffer_deinit(&id);
	return text;
}

static bool has_property(const struct settings_list *list, const char *item)
{
	size_t size = strcspn(item, "=") + 1;
	for (size_t i = 0; i < list->count; i++) {
		if (strncmp(list->items[i], item, size) == 0) return true;
	}
	return false;
}

/* What -X says about a property is stronger than what the lists for one side say. */
static enum status drop_overridden(struct settings *settings, struct settings_list *list)
{
	const struct settings_list *strong = &settings->kafka.properties;
	size_t index = settings_table_find(settings->table, "kafka.properties");
	if (settings_table_value(settings->table, index)->origin != SETTING_FLAG) return STATUS_OK;
	const char **kept = arena_calloc(settings->arena, list->count, sizeof *kept);
	if (kept == NULL) return STATUS_NO_MEMORY;
	size_t count = 0;
	for (size_t i = 0; i < list->count; i++) {
		if (!has_property(strong, list->items[i])) kept[count++] = list->items[i];
	}
	*list = (struct settings_list){ .items = kept, .count = count };
	return STATUS_OK;
}

static enum status resolve(struct settings *settings)
{
	for (size_t i = 0; i < REASON_COUNT; i++) {
		const char *text = settings->fallback_texts[i];
		if (i == REASON_NONE || text[0] == '\0') settings->fallback_texts[i] = settings->fallback.text;
	}
	if (settings->chat.deadline_max_ms == 0) settings->chat.deadline_max_ms = settings->chat.deadline_ms;
	if (settings->kafka.transactional_id[0] == '\0')
		settings->kafka.transactional_id = own_transactional_id(settings);
	struct bytes url = bytes_of(settings->openrouter.base_url);
	while (url.size > 0 && url.data[url.size - 1] == '/')
		url.size--;
	settings->openrouter.base_url = copy_text(settings, url);
	if (settings->kafka.transactional_id == NULL || settings->openrouter.base_url == NULL) return STATUS_NO_MEMORY;
	enum status status = drop_overridden(settings, &settings->kafka.consumer_properties);
	return status == STATUS_OK ? drop_overridden(settings, &settings->kafka.producer_properties) : status;
}

static void fill(struct settings *settings)
{
	for (size_t i = 0; i < ROW_COUNT; i++) {
		char *member = (char *)settings + offsets[i];
		fill_member(member, rows[i].type, settings_table_value(settings->table, i));
	}
}

struct settings *settings_new(void)
{
	struct settings *settings = calloc(1, sizeof *settings);
	if (settings == NULL) return NULL;
	settings->table = settings_table_new(rows, ROW_COUNT);
	settings->arena = arena_new(SETTINGS_RESOLVED_MAX);
	if (settings->table == NULL || settings->arena == NULL) {
		settings_free(settings);
		return NULL;
	}
	fill(settings);
	if (resolve(settings) == STATUS_OK) return settings;
	settings_free(settings);
	return NULL;
}

void settings_free(struct settings *settings)
{
	if (settings == NULL) return;
	settings_table_free(settings->table);
	arena_free(settings->arena);
	free(settings);
}

/* Adds one item to what the list holds so far. */
static void append_flag(
	struct settings *settings, const struct settings_flag *flag, const struct setting_source *source)
{
	size_t index = settings_table_find(settings->table, flag->key);
	ASSERT(index < ROW_COUNT);
	struct settings_list before = settings_table_value(settings->table, index)->list;
	const char **items = calloc(before.count + 1, sizeof *items);
	if (items == NULL) {
		settings_table_error_at(settings->table, flag->name, "out of memory");
		return;
	}
	for (size_t i = 0; i < before.count; i++)
		items[i] = before.items[i];
	items[before.count] = flag->value;
	const struct settings_list list = { .items = items, .count = before.count + 1 };
	settings_table_set_list(settings->table, flag->key, &list, source);
	free(items);
}

/* Arguments of a process can be read by others on the host. */
static void warn_of_exposure(struct settings *settings, const struct settings_flag *flag)
{
	size_t index = settings_table_find(settings->table, flag->key);
	if (index == ROW_COUNT) return;
	bool is_secret = rows[index].is_secret && flag->value[0] != '\0';
	if (rows[index].type == SETTING_PROPERTIES)
		is_secret = redaction_name_is_secret(bytes_at(flag->value, strcspn(flag->value, "=")));
	if (is_secret)
		settings_table_warn_at(settings->table, flag->name,
			"%s: a secret on the command line can be seen in the list of processes", flag->key);
}

static void read_flags(struct settings *settings, const struct settings_sources *sources)
{
	for (size_t i = 0; i < sources->flag_count; i++) {
		const struct settings_flag *flag = &sources->flags[i];
		const struct setting_source source = { .origin = SETTING_FLAG, .place = flag->name };
		if (flag->appends)
			append_flag(settings, flag, &source);
		else
			settings_table_set(settings->table, flag->key, bytes_of(flag->value), &source);
		warn_of_exposure(settings, flag);
	}
}

enum status settings_load(struct settings *settings, const struct settings_sources *sources)
{
	enum status file_status = STATUS_OK;
	if (sources->file != NULL) file_status = settings_file_read(settings->table, sources->file);
	if (sources->environment != NULL)
		settings_table_set_environment(
			settings->table, SETTINGS_VARIABLE_PREFIX, sources->environment, SETTINGS_FILE_VARIABLE);
	read_flags(settings, sources);
	fill(settings);
	/* Without the file, most of what could be said about the rest would be wrong. */
	if (file_status == STATUS_OK) {
		settings_check_values(settings);
		settings_check_texts(settings);
	}
	if (resolve(settings) != STATUS_OK) settings_table_error_at(settings->table, "settings", "out of memory");
	return settings_table_error_count(settings->table) == 0 ? STATUS_OK : STATUS_INVALID;
}
