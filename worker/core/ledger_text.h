/* The text form of a ledger: header fields, bitmap, check sum. Used by ledger.c only; see ledger.h for the format. */
#ifndef WORKER_CORE_LEDGER_TEXT_H
#define WORKER_CORE_LEDGER_TEXT_H

#include "worker/core/ledger.h"

enum { LEDGER_BITMAP_BYTES = LEDGER_WINDOW / 8 };

struct ledger_text {
	int64_t watermark;
	uint64_t commit_id;
	uint8_t bitmap[LEDGER_BITMAP_BYTES]; /* bit i, lowest first within a byte: offset watermark + i is finished */
	size_t bitmap_size;                  /* bytes in use; the rest is zero */
};

/* Returns the size written. */
size_t ledger_text_write(const struct ledger_text *text, char out_text[static LEDGER_TEXT_MAX]);

/* STATUS_INVALID on any deviation from what ledger_text_write() gives. */
NODISCARD enum status ledger_text_read(struct bytes view, struct ledger_text *out_text);

#endif
