/* What the demo prints: aligned lines on stdout, colours on a terminal only and not with NO_COLOR.
 *
 * Each line begins with a mark (`sent`, `ok`, `BROKEN`) and a title, so that it can be searched; lines below it with
 * no mark belong to it. Texts that come from outside are cut to one line and lose their control characters.
 *
 * Ownership: everything is borrowed for the call. Threads: one. Writing to stdout may block. */
#ifndef REPLAY_DEMO_TABLE_H
#define REPLAY_DEMO_TABLE_H

#include <stdbool.h>

#include "replay/demo_case.h"

/* Whether stdout is a terminal that wants colours. */
bool demo_table_wants_colour(void);

/* A chat that was sent. */
void demo_table_sent(const struct demo_case *row, bool has_colour);

/* A reply that came, `ms` after it was sent; `broken` has a line for each broken promise, empty = held. */
void demo_table_reply(const struct demo_case *row, const struct chat_client_response *response, int64_t ms,
	struct bytes broken, bool has_colour);

/* Anything else: a promise and what became of it. */
void demo_table_promise(const char *title, const char *what, bool is_held, bool has_colour);

#endif
