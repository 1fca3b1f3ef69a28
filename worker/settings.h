/* The settings of chat-worker: one typed member for each row of worker/settings_rows.h, named `section.name` as in
 * the file, for example `settings->kafka.group_id` or `settings->chat.deadline_ms`.
 *
 * They are read once, at start, from (later wins) defaults, file, environment (`CHAT_WORKER_` and the key in upper
 * case with dots as underscores; secrets and properties also `<NAME>_FILE`) and flags, checked one by one and against
 * each other, and never change afterwards. Every mistake is collected and told with setting and place, never with a
 * value that could be a secret.
 *
 * Owner: main. Threads: any may read. Reading the files blocks; nothing else does. */
#ifndef WORKER_SETTINGS_H
#define WORKER_SETTINGS_H

#include "common/log.h"
#include "common/redaction.h"
#include "common/settings_table.h"
#include "schemas/reason.h"
#include "worker/settings_rows.h"

enum settings_delivery { SETTINGS_DELIVERY_EXACTLY_ONCE, SETTINGS_DELIVERY_AT_LEAST_ONCE };
enum settings_start_from { SETTINGS_START_FROM_EARLIEST, SETTINGS_START_FROM_LATEST };
enum settings_http_version { SETTINGS_HTTP_VERSION_AUTO, SETTINGS_HTTP_VERSION_1_1, SETTINGS_HTTP_VERSION_2 };
#define SETTINGS_VARIABLE_PREFIX "CHAT_WORKER_"
#define SETTINGS_FILE_VARIABLE "CHAT_WORKER_CONFIG" /* names the file when there is no -c */

enum settings_ordering { SETTINGS_ORDERING_CONVERSATION, SETTINGS_ORDERING_NONE };

/* The C type of each kind. Texts are never NULL: "" is not given. Everything is owned by the settings. */
#define SETTINGS_TYPE_BOOL bool
#define SETTINGS_TYPE_INT int64_t
#define SETTINGS_TYPE_FLOAT double
#define SETTINGS_TYPE_TEXT const char *
#define SETTINGS_TYPE_SECRET const char *
#define SETTINGS_TYPE_LIST struct settings_list
#define SETTINGS_TYPE_PROPERTIES struct settings_list /* items "name=value", checked to have that form */
#define SETTINGS_TYPE_CHOICE_settings_delivery enum settings_delivery
#define SETTINGS_TYPE_CHOICE_settings_start_from enum settings_start_from
#define SETTINGS_TYPE_CHOICE_settings_http_version enum settings_http_version
#define SETTINGS_TYPE_CHOICE_settings_ordering enum settings_ordering
#define SETTINGS_TYPE_CHOICE_log_level enum log_level
#define SETTINGS_TYPE_CHOICE_log_format enum log_format

#define SETTINGS_MEMBER(section, name, KIND, ...) SETTINGS_TYPE_##KIND name;
#define SETTINGS_STRUCT(section, ROWS) \
	struct settings_##section {    \
		ROWS(SETTINGS_MEMBER)  \
	};
SETTINGS_SECTIONS(SETTINGS_STRUCT)
#undef SETTINGS_STRUCT
#undef SETTINGS_MEMBER

#define SETTINGS_SECTION_MEMBER(section, ROWS) struct settings_##section section;
struct settings {
	SETTINGS_SECTIONS(SETTINGS_SECTION_MEMBER)
	const char *fallback_texts[REASON_COUNT]; /* `fallback.texts.<reason>`, else fallback.text; never empty */
	struct settings_table *table;             /* owned: values with origins, for messages and `config` */
	struct arena *arena;                      /* owned: what was made from other settings */
};
#undef SETTINGS_SECTION_MEMBER

/* Where settings come from besides the defaults. All pointers are borrowed for the call; zeroed = defaults only. */
struct settings_sources {
	const char *file;                  /* NULL = none; when it cannot be read that is an error */
	char **environment;                /* as `environ`; NULL = none */
	const struct settings_flag *flags; /* in their order: `--set key=value`, `-X`, `--log-format`, … */
	size_t flag_count;
};

struct settings_flag {
	const char *name; /* as told in messages: "--set", "-X" */
	const char *key;  /* "" when the argument had none */
	const char *value;
	bool appends; /* adds an item to a list: -X */
};

/* Everything at its default; required settings are "". For tests as it is. NULL when memory is missing. */
NODISCARD struct settings *settings_new(void);

/* Accepts NULL. */
void settings_free(struct settings *settings);

/* Reads all sources, fills the members and cross-checks them. STATUS_INVALID when at least one error was found: all
 * are in the table (settings_table_problem()), and the members must not be used. Warnings alone give STATUS_OK.
 * Resolves what depends on other settings: chat.deadline_max_ms, kafka.transactional_id, fallback_texts. */
NODISCARD enum status settings_load(struct settings *settings, const struct settings_sources *sources);

/* What only this host can tell, for `run` and for `check` with the environment: openrouter.ca_file can be read. Adds
 * problems to the table. Blocks for opening the file. */
void settings_check_host(struct settings *settings);

/* Does the librdkafka property of this name hold something that must not be shown? */
static inline bool settings_property_is_secret(struct bytes name)
{
	return redaction_name_is_secret(name);
}

#endif
