/* Settings as a table: rows say what exists, values say what was given and where.
 *
 * A value is taken from the strongest origin that names it: flag over environment over file over default, whatever
 * the order of reading. Everything that is wrong is collected as a problem, up to SETTINGS_PROBLEMS_MAX of them, each
 * one line that says where (file:line, environment NAME, or the flag), which setting, and what to do. Problems never
 * quote given text: an operator may have pasted a key into the wrong place. Numbers out of range are quoted.
 *
 * Files are read by common/settings_file.h. Owner: whoever called settings_table_new(). Threads: one while it is
 * filled, then any may read. Nothing blocks except reading `<NAME>_FILE`s. */
#ifndef COMMON_SETTINGS_TABLE_H
#define COMMON_SETTINGS_TABLE_H

#include "common/buffer.h"
#include "common/bytes.h"

enum setting_type {
	SETTING_BOOL,
	SETTING_INT,
	SETTING_FLOAT,
	SETTING_TEXT,
	SETTING_CHOICE,
	SETTING_LIST,       /* of texts; on one line separated by commas */
	SETTING_PROPERTIES, /* a list of "name=value"; on one line separated by semicolons or newlines; shown with the
	                       values of secret names (common/redaction.h) masked */
};

enum { SETTINGS_PROBLEMS_MAX = 100 };

/* Static, borrowed. */
struct setting_row {
	const char *key; /* dotted */
	enum setting_type type;
	const char *default_text; /* in the form of a flag */
	double min, max;          /* of numbers; of texts bytes, of lists items */
	const char *unit;         /* "" = none */
	const char *choices;      /* "a|b|c": of a CHOICE, or of the items of a LIST; "" = free */
	bool is_secret;           /* never shown; also read from `<NAME>_FILE` */
	const char *help;
};

/* Where a value was given, in ascending strength: what is stronger wins, and among equals the later one. */
enum setting_origin { SETTING_DEFAULT, SETTING_FILE, SETTING_ENVIRONMENT, SETTING_FLAG };

struct settings_list {
	const char *const *items;
	size_t count;
};

/* Only the member of the row's type is set; all pointers are owned by the table. */
struct setting_value {
	enum setting_origin origin;
	const char *place; /* "default", "file.conf:12", "NAME in the environment", "--set" */
	bool boolean;
	int64_t integer;
	double number;
	const char *text;
	unsigned choice;
	struct settings_list list;
};

/* All values, with the memory they point into, and the problems. */
struct settings_table;

/* NULL when memory is missing. Defaults that do not fit their own row are a bug of the table (asserted). */
NODISCARD struct settings_table *settings_table_new(const struct setting_row *rows, size_t count);

/* Wipes what it holds. Accepts NULL. */
void settings_table_free(struct settings_table *table);

/* Where a text or a value comes from. */
struct setting_source {
	enum setting_origin origin;
	const char *place; /* copied */
};

/* Gives `key` the value that `text` stands for, unless a stronger origin has given one. Whatever is wrong becomes a
 * problem. `text` is borrowed. */
void settings_table_set(
	struct settings_table *table, const char *key, struct bytes text, const struct setting_source *source);

/* The same for a list whose items are known already. */
void settings_table_set_list(struct settings_table *table, const char *key, const struct settings_list *items,
	const struct setting_source *source);

/* A value of a type that is not the row's was given; `given` is what it is ("a number"). For unknown keys too. */
void settings_table_wrong_type(
	struct settings_table *table, const char *key, const char *given, const struct setting_source *source);

/* Takes every variable whose name is `prefix` + key in upper case with underscores, and `…_FILE` for secrets and
 * properties (one trailing newline of the file is dropped). The values of secrets and properties are overwritten in
 * place afterwards, so that /proc/PID/environ does not keep them. Other names with the prefix are warned of, except
 * `ignored` and the ones Kubernetes makes for services. */
void settings_table_set_environment(
	struct settings_table *table, const char *prefix, char **environment, const char *ignored);

/* Appends the name of the variable for `key`. */
void setting_variable_name(const char *prefix, const char *key, struct buffer *out_name);

/* Index of a row; the count of rows when there is none of this key. */
size_t settings_table_find(const struct settings_table *table, const char *key);
size_t settings_table_count(const struct settings_table *table);
/* Borrowed from the table; `index` must be below the count. A value stays valid until it is set again. */
const struct setting_row *settings_table_row(const struct settings_table *table, size_t index);
const struct setting_value *settings_table_value(const struct settings_table *table, size_t index);

/* Appends the value as text in the form of a flag, secrets as `****`. */
void settings_table_show(const struct settings_table *table, size_t index, struct buffer *out_text);

/* What was found wrong. For the caller's own checks too: `key` names a setting, whose place is put before; `_at` takes
 * the place itself. */
struct settings_problem {
	bool is_warning;
	const char *text; /* one line, owned by the table */
};
PRINTF_LIKE(3, 4) void settings_table_error(struct settings_table *table, const char *key, const char *format, ...);
PRINTF_LIKE(3, 4) void settings_table_warn(struct settings_table *table, const char *key, const char *format, ...);
PRINTF_LIKE(3, 4)
void settings_table_error_at(struct settings_table *table, const char *place, const char *format, ...);
PRINTF_LIKE(3, 4)
void settings_table_warn_at(struct settings_table *table, const char *place, const char *format, ...);

size_t settings_table_error_count(const struct settings_table *table);
size_t settings_table_problem_count(const struct settings_table *table);
const struct settings_problem *settings_table_problem(const struct settings_table *table, size_t index);

/* Is `key` the name of a group, that is, do keys of rows begin with it and a dot? */
bool settings_table_has_group(const struct settings_table *table, const char *key);

#endif
