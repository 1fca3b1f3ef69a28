/* Reads a libconfig file into a settings table.
 *
 * Groups make the dotted keys (`kafka: { group_id = "a"; }` is `kafka.group_id`). Scalars, and arrays or lists of
 * strings, are what settings can be; anything else, unknown keys and wrong types are problems with file and line.
 * Works with libconfig 1.5 to 1.7. The only file that knows libconfig. */
#ifndef COMMON_SETTINGS_FILE_H
#define COMMON_SETTINGS_FILE_H

#include "common/settings_table.h"

/* STATUS_INVALID: the file is missing, unreadable, larger than 1 MiB or malformed, so nothing was taken from it; the
 * table has that problem. STATUS_OK: it was read to its end, perhaps with problems. Blocks for reading. */
NODISCARD enum status settings_file_read(struct settings_table *table, const char *path);

#endif
