/* The stand-in's journal: one JSON line for each chat request, appended to a file, so that a test can count the calls
 * that were made and see what was served.
 *
 *     {"ms":1764000000000,"model":"a/b","stream":true,"messages":1,"text":"…","hash":"…","behaviour":"status",
 *      "status":429,"generation":"gen-…","open":3}
 *
 * `text` is the last user message, cut at 1,024 bytes; `hash` is over the whole of it; `open` is how many chat requests
 * were being served then, this one included. Lines gather in a bounded buffer; what does not fit because the file takes
 * nothing any more is counted and dropped.
 *
 * Owner and thread: the stand-in's loop. Writing blocks as files do. */
#ifndef REPLAY_STANDIN_JOURNAL_H
#define REPLAY_STANDIN_JOURNAL_H

#include "replay/standin_plan.h"

struct standin_journal;

/* Appends to `path`, which is made if need be. STATUS_IO: it cannot be opened (errno says why). */
NODISCARD enum status standin_journal_open(const char *path, struct standin_journal **out_journal);

/* Writes what is left. Accepts NULL. */
void standin_journal_close(struct standin_journal *journal);

/* What a line says beside the request. */
struct standin_journal_entry {
	const struct standin_plan *plan; /* borrowed */
	enum behaviour behaviour;        /* what the request is served */
	int64_t wall_ms;
	size_t open;
};

/* Notes one request. Accepts a NULL journal. */
void standin_journal_note(struct standin_journal *journal, const struct standin_request *request,
	const struct standin_journal_entry *entry);

/* Writes what has gathered; called when the loop has nothing better to do. Accepts NULL. */
void standin_journal_flush(struct standin_journal *journal);

#endif
