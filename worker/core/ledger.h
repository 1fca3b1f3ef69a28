/* Which offsets of one input partition are finished.
 *
 * Chats finish in any order, so progress is a watermark W (everything below is finished and committed) and a bitmap of
 * the finished offsets in a window of LEDGER_WINDOW above it. Both travel as one printable text in the metadata of the
 * committed offset, so whoever owns the partition next skips exactly what is finished.
 *
 *   text = "1:" W ":" commit id, 16 hex ":" bitmap, base64url without padding, trimmed ":" CRC-32C of all before, 8 hex
 *
 * 16,384 bits are 2,731 characters; brokers take 4,096 (offset.metadata.max.bytes), so the text always fits.
 *
 * An offset goes: taken → staged (its reply is in the batch under way) → done (that batch is committed). Staging changes
 * what is encoded, adopting makes it so, unstaging forgets it. Offsets that a topic does not have (transaction markers,
 * aborted or compacted records) show as jumps and count as done.
 *
 * Restoring refuses a text on any doubt: then only the offset counts and requests above it are answered again; a wrong
 * bit would skip one for ever.
 *
 * Owner: the flow. Pure; no I/O. */
#ifndef WORKER_CORE_LEDGER_H
#define WORKER_CORE_LEDGER_H

#include "common/bytes.h"

enum {
	LEDGER_WINDOW = 16384,
	LEDGER_TEXT_MAX = 2 + 20 + 1 + 16 + 1 + (LEDGER_WINDOW / 8 * 4 + 2) / 3 + 1 + 8,
};

struct ledger;

/* Nothing finished, reading starts at `start` (>= 0). NULL when memory is missing. */
NODISCARD struct ledger *ledger_new(int64_t start);

/* Accepts NULL. */
void ledger_free(struct ledger *ledger);

/* Takes over what `text` says. The watermark must equal the ledger's start (the committed offset beside the text), and
 * no finished offset may lie at or beyond `log_end`. STATUS_INVALID: the text is refused and the ledger unchanged. Call
 * before anything is taken. */
NODISCARD enum status ledger_restore(struct ledger *ledger, struct bytes text, int64_t log_end);

/* Enters the record at `offset`, the next one read from the partition.
 * STATUS_OK: to be worked on. STATUS_NOT_FOUND: finished already, skip it. STATUS_FULL: beyond the window; keep the
 * record and try again when something was adopted. Jumps over offsets count as done. */
NODISCARD enum status ledger_take(struct ledger *ledger, int64_t offset);

/* There is nothing to read before `end` any more: what was not taken there counts as done, as far as the window reaches. */
void ledger_pass(struct ledger *ledger, int64_t end);

/* The next offset that would be read fits into the window. */
bool ledger_has_room(const struct ledger *ledger);

/* `offset` is committed as finished; one below the watermark is. */
bool ledger_is_done(const struct ledger *ledger, int64_t offset);

/* Counts `offset`, which was taken, as finished in the text to come. */
void ledger_stage(struct ledger *ledger, int64_t offset);

/* What is staged is committed: done for good. / It is not: as if never staged. */
void ledger_adopt(struct ledger *ledger);
void ledger_unstage(struct ledger *ledger);

/* The offset to commit: the first one that is neither done nor staged. */
int64_t ledger_offset(const struct ledger *ledger);

/* Writes the text that belongs to ledger_offset() into `out_text` and returns its size; not NUL-terminated. */
size_t ledger_text(const struct ledger *ledger, uint64_t commit_id, char out_text[static LEDGER_TEXT_MAX]);

/* The commit id in a well-formed text, whatever its watermark. STATUS_INVALID otherwise. */
NODISCARD enum status ledger_text_commit_id(struct bytes text, uint64_t *out_commit_id);

/* For metrics: first unfinished offset, finished ones above it, taken ones that are not done. */
int64_t ledger_watermark(const struct ledger *ledger);
size_t ledger_finished_above(const struct ledger *ledger);
size_t ledger_open(const struct ledger *ledger);

#endif
