/* Makes the text of a settings file safe for libconfig, whatever its version.
 *
 * libconfig 1.5 silently cuts whole numbers to 32 bits unless they end in `L`, so the `L` is put there; numbers beyond
 * 64 bits are refused, and so are NUL bytes and `@include` (libconfig's scanner ends the process when an included file
 * cannot be read). Strings and comments are left alone; one that does not end is told where it begins, which libconfig
 * would tell at the end of the file. Pure. */
#ifndef COMMON_SETTINGS_SCAN_H
#define COMMON_SETTINGS_SCAN_H

#include "common/buffer.h"
#include "common/bytes.h"

/* Appends the text to `out_text`. STATUS_INVALID: `out_line` and `out_problem` (static) say where and what. The buffer
 * keeps its own failure. */
NODISCARD enum status settings_scan(
	struct bytes text, struct buffer *out_text, unsigned *out_line, const char **out_problem);

#endif
