/* One value of a settings table: from text, checked against its row, and back to text.
 *
 * For common/settings_table.c, which adds where the value comes from and keeps it. What is made here lives in the arena
 * that is passed in; a failed reading may leave some of it unused there. Numbers are decimal, blanks around numbers,
 * words and list items do not count, texts are taken as they are. Pure. */
#ifndef COMMON_SETTINGS_VALUE_H
#define COMMON_SETTINGS_VALUE_H

#include "common/arena.h"
#include "common/settings_table.h"

/* Reads `text` as a value of `row`. STATUS_INVALID: `out_problem` says which rule is broken, quoting nothing but
 * numbers. STATUS_NO_MEMORY. Origin and place of the value are left alone. */
NODISCARD enum status settings_value_read(const struct setting_row *row, struct bytes text, struct arena *arena,
	struct setting_value *out_value, struct buffer *out_problem);

/* The same from items that are already apart. */
NODISCARD enum status settings_value_read_list(const struct setting_row *row, const struct settings_list *items,
	struct arena *arena, struct setting_value *out_value, struct buffer *out_problem);

/* Appends the value in the form that settings_value_read() takes, with secrets masked. */
void settings_value_show(const struct setting_row *row, const struct setting_value *value, struct buffer *out_text);

/* Overwrites the texts of a secret value. */
void settings_value_wipe(const struct setting_row *row, const struct setting_value *value);

/* "a whole number", "a list of texts", …; static. */
const char *setting_type_text(enum setting_type type);

#endif
