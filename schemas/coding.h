/* The two codings of a record's value, and how they are told apart.
 *
 * The content-type header decides; a first byte `{` means JSON whatever the header says, because it can never begin a
 * msgpack map. Content types ignore case and parameters. Threads: any. Nothing blocks, nothing is allocated. */
#ifndef SCHEMAS_CODING_H
#define SCHEMAS_CODING_H

#include "common/bytes.h"

enum chat_coding { CHAT_CODING_MSGPACK, CHAT_CODING_JSON };

/* The content type that is written for a coding; static. */
const char *coding_content_type(enum chat_coding coding);

/* The coding of `value` under `content_type` (BYTES_NONE or blank = no header, which means msgpack).
 * STATUS_UNSUPPORTED for any other content type; `*out_coding` is then CHAT_CODING_MSGPACK, the coding of the reply. */
NODISCARD enum status coding_find(struct bytes content_type, struct bytes value, enum chat_coding *out_coding);

#endif
