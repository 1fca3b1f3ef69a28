/* Is a text JSON? For texts that are given once and passed on as they are, such as openrouter.provider.
 *
 * Threads: any. Nothing blocks; memory is taken for the check only. */
#ifndef COMMON_JSON_TEXT_H
#define COMMON_JSON_TEXT_H

#include "common/bytes.h"

/* One JSON object (RFC 8259, UTF-8) and nothing else. False also without memory. */
bool json_text_is_object(struct bytes text);

#endif
