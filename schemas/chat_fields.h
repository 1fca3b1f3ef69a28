/* The table of a request's fields: name, what a value has to be, and where it goes. Adding a field is adding a row.
 *
 * Fields with use OPTION are passed on in the order of the table. Only the coarse type of what belongs to OpenRouter
 * is checked; ranges are checked where a wrong value would only come back as an error of the provider.
 *
 * Threads: any. Nothing blocks, nothing is allocated. */
#ifndef SCHEMAS_CHAT_FIELDS_H
#define SCHEMAS_CHAT_FIELDS_H

#include "schemas/reason.h"
#include "schemas/wire.h"

/* What a value has to be. */
enum chat_rule {
	CHAT_RULE_ANY,         /* anything: accepted and dropped */
	CHAT_RULE_OWN,         /* checked by its reader */
	CHAT_RULE_TEXT,        /* text */
	CHAT_RULE_INTEGER,     /* integer from least to most */
	CHAT_RULE_NUMBER,      /* number from least to most */
	CHAT_RULE_BOOL,        /* true or false */
	CHAT_RULE_MAP,         /* map */
	CHAT_RULE_ARRAY,       /* array of maps */
	CHAT_RULE_TEXT_OR_MAP, /* text or map */
	CHAT_RULE_STOP,        /* text, or an array of one to four texts */
	CHAT_RULE_STREAM,      /* false */
	CHAT_RULE_ONE,         /* 1 */
	CHAT_RULE_NEVER        /* must not be there */
};

/* What becomes of the value. */
enum chat_use { CHAT_USE_READ, CHAT_USE_OPTION, CHAT_USE_DROP };

#define CHAT_INTEGER_LEAST (-0x1p63)
#define CHAT_INTEGER_MOST 0x1p63

/* member, key, rule, least, most, use */
#define CHAT_FIELD_TABLE(ROW)                                                            \
	ROW(REQUEST_ID, "request_id", OWN, 0, 0, READ)                                   \
	ROW(CONVERSATION_ID, "conversation_id", OWN, 0, 0, READ)                         \
	ROW(MESSAGES, "messages", OWN, 0, 0, READ)                                       \
	ROW(DEADLINE_MS, "deadline_ms", INTEGER, 1, CHAT_INTEGER_MOST, READ)             \
	ROW(MODEL, "model", OWN, 0, 0, READ)                                             \
	ROW(MODELS, "models", OWN, 0, 0, READ)                                           \
	ROW(TEMPERATURE, "temperature", NUMBER, 0, 2, READ)                              \
	ROW(MAX_TOKENS, "max_tokens", INTEGER, 1, INT32_MAX, READ)                       \
	ROW(MAX_COMPLETION_TOKENS, "max_completion_tokens", INTEGER, 1, INT32_MAX, READ) \
	ROW(PROVIDER, "provider", MAP, 0, 0, READ)                                       \
	ROW(TOP_P, "top_p", NUMBER, 0, 1, OPTION)                                        \
	ROW(TOP_K, "top_k", INTEGER, 0, INT32_MAX, OPTION)                               \
	ROW(MIN_P, "min_p", NUMBER, 0, 1, OPTION)                                        \
	ROW(FREQUENCY_PENALTY, "frequency_penalty", NUMBER, -2, 2, OPTION)               \
	ROW(PRESENCE_PENALTY, "presence_penalty", NUMBER, -2, 2, OPTION)                 \
	ROW(REPETITION_PENALTY, "repetition_penalty", NUMBER, 0, 2, OPTION)              \
	ROW(SEED, "seed", INTEGER, CHAT_INTEGER_LEAST, CHAT_INTEGER_MOST, OPTION)        \
	ROW(STOP, "stop", STOP, 0, 0, OPTION)                                            \
	ROW(LOGIT_BIAS, "logit_bias", MAP, 0, 0, OPTION)                                 \
	ROW(TOOLS, "tools", ARRAY, 0, 0, OPTION)                                         \
	ROW(TOOL_CHOICE, "tool_choice", TEXT_OR_MAP, 0, 0, OPTION)                       \
	ROW(PARALLEL_TOOL_CALLS, "parallel_tool_calls", BOOL, 0, 0, OPTION)              \
	ROW(RESPONSE_FORMAT, "response_format", MAP, 0, 0, OPTION)                       \
	ROW(REASONING, "reasoning", MAP, 0, 0, OPTION)                                   \
	ROW(REASONING_EFFORT, "reasoning_effort", TEXT, 0, 0, OPTION)                    \
	ROW(VERBOSITY, "verbosity", TEXT, 0, 0, OPTION)                                  \
	ROW(PLUGINS, "plugins", ARRAY, 0, 0, OPTION)                                     \
	ROW(USER, "user", TEXT, 0, 0, OPTION)                                            \
	ROW(METADATA, "metadata", MAP, 0, 0, OPTION)                                     \
	ROW(SESSION_ID, "session_id", TEXT, 0, 0, OPTION)                                \
	ROW(SERVICE_TIER, "service_tier", TEXT, 0, 0, OPTION)                            \
	ROW(PROMPT_CACHE_KEY, "prompt_cache_key", TEXT, 0, 0, OPTION)                    \
	ROW(STREAM, "stream", STREAM, 0, 0, DROP)                                        \
	ROW(N, "n", ONE, 0, 0, DROP)                                                     \
	ROW(STREAM_OPTIONS, "stream_options", NEVER, 0, 0, DROP)                         \
	ROW(DEBUG, "debug", NEVER, 0, 0, DROP)                                           \
	ROW(USAGE, "usage", ANY, 0, 0, DROP)

#define CHAT_FIELD_MEMBER(member, key, rule, least, most, use) CHAT_FIELD_##member,
enum chat_field { CHAT_FIELD_TABLE(CHAT_FIELD_MEMBER) };
#undef CHAT_FIELD_MEMBER

#define CHAT_FIELD_ONE(member, key, rule, least, most, use) +1
enum { CHAT_FIELD_COUNT = 0 CHAT_FIELD_TABLE(CHAT_FIELD_ONE) };
#undef CHAT_FIELD_ONE

/* The keys in the order of the table, for wire_collect(). Static. */
const struct bytes *chat_field_names(void);

/* The key of one field; static. */
const char *chat_field_name(enum chat_field field);

enum chat_use chat_field_use(enum chat_field field);

/* What the rule of `field` says about a value that is given (wire_is_given()).
 * STATUS_OK: it fits, or the rule is OWN. STATUS_INVALID: `*out_reason` is REASON_SCHEMA or REASON_BAD_REQUEST, and
 * `*out_clause` goes on behind the field's name ("must be text"): a static text, or one printed into `scratch`. */
NODISCARD enum status chat_field_check(enum chat_field field, const struct wire_value *value, char scratch[static 96],
	enum reason *out_reason, const char **out_clause);

/* Whether all items of an array are of this kind. */
bool chat_items_are(const struct wire_value *array, enum wire_kind kind);

#endif
