/* Masking of secrets in text that leaves the process.
 *
 * A registered secret is looked for as it is and as others write it: JSON-escaped, URL-encoded (upper and lower case
 * digits), and inside base64, whatever its place in the encoded text. Each find becomes `****`.
 *
 * Owner: whoever called redaction_new(). Threads: one at a time, the owner locks. Nothing blocks. */
#ifndef COMMON_REDACTION_H
#define COMMON_REDACTION_H

#include "common/buffer.h"
#include "common/bytes.h"

enum {
	REDACTION_SECRET_MIN = 6,    /* bytes; what is shorter is everywhere */
	REDACTION_SECRET_MAX = 4096, /* bytes */
	REDACTION_FORMS_MAX = 128,   /* of all secrets together */
};

struct redaction;

/* NULL when memory is missing. */
NODISCARD struct redaction *redaction_new(void);

/* Wipes the secrets. Accepts NULL. */
void redaction_free(struct redaction *redaction);

/* Copies `secret`. STATUS_INVALID: shorter than the minimum; STATUS_TOO_LARGE; STATUS_FULL; STATUS_NO_MEMORY. */
NODISCARD enum status redaction_add(struct redaction *redaction, struct bytes secret);

/* Appends `text` to `out_text` with every registered secret masked; the buffer keeps its own failure. */
void redaction_apply(const struct redaction *redaction, struct bytes text, struct buffer *out_text);

/* Does a property or header of this name hold something that must not be shown? By the words in it: password, secret,
 * jaas, key, oauth, token, credential, authorization; case is ignored. */
bool redaction_name_is_secret(struct bytes name);

#endif
