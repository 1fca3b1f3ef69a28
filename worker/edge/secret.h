/* The key of the model service: read, kept in a locked page, wiped.
 *
 * OPENROUTER_API_KEY, or the file that OPENROUTER_API_KEY_FILE names (one trailing newline dropped). After reading,
 * the environment strings are overwritten in place, so /proc/PID/environ does not hold them. A file can be read again
 * when its key has been replaced; a variable cannot. The page is locked and left out of core dumps where the system
 * allows it. No message here or elsewhere holds any part of the key.
 *
 * Owner: main, then the loop that it is lent to; one thread. */
#ifndef WORKER_EDGE_SECRET_H
#define WORKER_EDGE_SECRET_H

#include "common/buffer.h"
#include "common/bytes.h"
#include "common/redaction.h"

enum { SECRET_SIZE_MAX = 512 };

struct secret;

/* Reads the key and wipes both variables from the environment, whether the key is good or not. Must be called while
 * the process has one thread. On failure `out_problem` gets one sentence that names the variable and the rule:
 * STATUS_NOT_FOUND: neither variable is set, STATUS_INVALID: empty, too long, or a byte that is not printable ASCII
 * (space included), STATUS_IO: the file cannot be read, STATUS_NO_MEMORY. Blocks for reading the file. */
NODISCARD enum status secret_read(struct secret **out_secret, struct buffer *out_problem);

/* Has the key that the variables name masked, good or bad, and leaves all as it is: for what is said before the key is
 * read. A key in a pipe can be read only once and is left alone. STATUS_NO_MEMORY. Blocks for reading the file. */
NODISCARD enum status secret_mask(struct redaction *redaction);

/* Wipes and unlocks. Accepts NULL. */
void secret_free(struct secret *secret);

/* The key itself, for redaction and for the header. Borrowed until it is read again. */
struct bytes secret_bytes(const struct secret *secret);

/* The key before the present one, which calls that run may still carry; BYTES_NONE when there was none. Borrowed
 * likewise. */
struct bytes secret_former(const struct secret *secret);

/* Did the key come from a file? */
bool secret_has_file(const struct secret *secret);

/* Reads the file again, whatever it is by now: a file of this name, or what a link of this name leads to. STATUS_OK:
 * it has another key, which is the present one from now on; the one before the former is wiped. STATUS_EMPTY: the same
 * key as before. Otherwise all is as before: STATUS_NOT_FOUND: there is no file to read; STATUS_INVALID, STATUS_IO and
 * `out_problem` as secret_read(); STATUS_NO_MEMORY. Blocks for reading the file. */
NODISCARD enum status secret_read_again(struct secret *secret, struct buffer *out_problem);

/* Closes the process to others: not dumpable (no ptrace, no core, /proc files owned by root), core limit 0, no new
 * privileges by any program it might start, and the variables that make libraries write keys, read passwords or use a
 * proxy are unset: SSLKEYLOGFILE, NETRC, *_proxy and ALL_PROXY in both cases. While the process has one thread. Best
 * effort: what the system refuses is left. */
void secret_harden_process(void);

#endif
