/* The settings as pages: what is in force, and the reference, all made from the one table of rows.
 *
 * Secrets are shown as `****` in every form. The buffers keep their own failure. Pure.
 *
 * The reference formats show defaults only, whatever was given, so that the same program always prints the same. */
#ifndef WORKER_SETTINGS_PRINT_H
#define WORKER_SETTINGS_PRINT_H

#include "common/buffer.h"
#include "worker/settings.h"

/* In force: `key = value  # origin`, one line each. */
void settings_print_text(const struct settings *settings, struct buffer *out_text);

/* In force, as a file that would give the same; masked secrets stay comments. */
void settings_print_libconfig(const struct settings *settings, struct buffer *out_text);

/* Reference: the page docs/configuration.md. */
void settings_print_markdown(const struct settings *settings, struct buffer *out_text);

/* Reference: the list of settings for a manual page, section 5. */
void settings_print_man(const struct settings *settings, struct buffer *out_text);

/* Reference: JSON Schema draft-07 of the settings as nested objects. */
void settings_print_json_schema(const struct settings *settings, struct buffer *out_text);

/* Key without its section; and is it in `section`? */
bool settings_print_in_section(const struct setting_row *row, const char *section);

/* The names of all sections, ended by NULL; static. */
const char *const *settings_print_sections(void);

#endif
