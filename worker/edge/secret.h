/* The key of the model service: read once, kept in a locked page, wiped.
 *
 * OPENROUTER_API_KEY, or the file that OPENROUTER_API_KEY_FILE names (one trailing newline dropped). After reading,
 * the environment strings are overwritten in place, so /proc/PID/environ does not hold them. The page is locked and
 * left out of core dumps where the system allows it. No message here or elsewhere holds any part of the key.
 *
 * Owner: main; borrowed by whoever builds the Authorization header. Threads: any may read. */
#ifndef WORKER_EDGE_SECRET_H
#define WORKER_EDGE_SECRET_H

#include "common/buffer.h"
#include "common/bytes.h"

enum { SECRET_SIZE_MAX = 512 };

struct secret;

/* Reads the key and wipes both variables from the environment, whether the key is good or not. Must be called while
 * the process has one thread. On failure `out_problem` gets one sentence that names the variable and the rule:
 * STATUS_NOT_FOUND: neither variable is set, STATUS_INVALID: empty, too long, or a byte that is not printable ASCII
 * (space included), STATUS_IO: the file cannot be read, STATUS_NO_MEMORY. Blocks for reading the file. */
NODISCARD enum status secret_read(struct secret **out_secret, struct buffer *out_problem);

/* Wipes and unlocks. Accepts NULL. */
void secret_free(struct secret *secret);

/* The key itself, for redaction and for the header. Borrowed. */
struct bytes secret_bytes(const struct secret *secret);

/* Appends `Bearer ` and the key; whoever owns the buffer wipes it after use. */
void secret_bearer(const struct secret *secret, struct buffer *out_header);

/* Closes the process to others: not dumpable (no ptrace, no core, /proc files owned by root), core limit 0, and the
 * variables that make libraries write keys, read passwords or use a proxy are unset: SSLKEYLOGFILE, NETRC, *_proxy
 * and ALL_PROXY in both cases. While the process has one thread. Best effort: what the system refuses is left. */
void secret_harden_process(void);

#endif
