/* Masking of secrets in text that leaves the process.
 *
 * A registered secret is looked for as it is and as others write it: JSON-escaped and URL-encoded (what has to be, and
 * every character; digits in upper and lower case), in hexadecimal, and inside base64 of both alphabets, whatever its
 * place in the encoded text. Each find becomes `****`.
 *
 * Owner: whoever called redaction_new(). Threads: what changes it, one at a time, the owner locks; any number may apply
 * it meanwhile only if nobody changes it. Nothing blocks. */
#ifndef COMMON_REDACTION_H
#define COMMON_REDACTION_H

#include "common/buffer.h"
#include "common/bytes.h"

enum {
	REDACTION_SECRET_MIN = 6,    /* bytes; what is shorter is everywhere */
	REDACTION_SECRET_MAX = 4096, /* bytes */
	REDACTION_FORMS_MAX = 256,   /* of all secrets together; a secret has up to 17 */
};

struct redaction;

/* NULL when memory is missing. */
NODISCARD struct redaction *redaction_new(void);

/* Wipes the secrets. Accepts NULL. */
void redaction_free(struct redaction *redaction);

/* Copies `secret`. STATUS_INVALID: shorter than the minimum; STATUS_TOO_LARGE; STATUS_FULL; STATUS_NO_MEMORY. */
NODISCARD enum status redaction_add(struct redaction *redaction, struct bytes secret);

/* Looks for `secret` no more and wipes it; other secrets that share a form with it stay. Ignores one it does not know. */
void redaction_forget(struct redaction *redaction, struct bytes secret);

/* Appends `text` to `out_text` with every registered secret masked; the buffer keeps its own failure. */
void redaction_apply(const struct redaction *redaction, struct bytes text, struct buffer *out_text);

/* Would redaction_apply() mask anything? */
bool redaction_finds(const struct redaction *redaction, struct bytes text);

/* Does a property or header of this name hold something that must not be shown? By the words in it: password, secret,
 * jaas, key, oauth, token, credential, authorization; case is ignored. */
bool redaction_name_is_secret(struct bytes name);

#endif
