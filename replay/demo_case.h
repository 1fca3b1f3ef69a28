/* The chats of the demo and what was promised about each: one row a chat.
 *
 * A row says what is sent, as values, and what has to come back. The stand-in's answers depend on text and model
 * alone, so content, tool calls and token counts are compared exactly. Adding a promise is adding a row.
 *
 * Ownership: rows are constants; buffers and records are the caller's. Threads: any. Nothing blocks. */
#ifndef REPLAY_DEMO_CASE_H
#define REPLAY_DEMO_CASE_H

#include "schemas/chat_client.h"
#include "schemas/record.h"

#define DEMO_FIRST_MODEL "stand-in/first"
#define DEMO_SECOND_MODEL "stand-in/second"

struct demo_case {
	const char *title;
	const char *conversation;
	const char *text;         /* what is said; of a case with `raw`, what to print instead */
	const char *raw;          /* bytes in place of a request; NULL = a request is made */
	const char *history_json; /* NULL = none, as the next */
	const char *tools_json;
	const char *outcome;
	const char *reason; /* NULL = none */
	int64_t attempts_min;
	int64_t attempts_max;
	const char *model; /* NULL = none */
	const char *after; /* title of the case whose reply has to come first; NULL = any order */
	bool wants_dead_letter;
	/* What else has to hold; appends a sentence for each thing that does not. NULL = nothing. */
	void (*check)(
		const struct demo_case *row, const struct chat_client_response *response, struct buffer *out_broken);
};

enum { DEMO_CASE_COUNT = 8, DEMO_ID_SIZE = 32 };

/* The rows, in the order they are sent. */
extern const struct demo_case DEMO_CASES[DEMO_CASE_COUNT];

/* The request and correlation id of row `index`. */
void demo_case_id(size_t index, char out_id[static DEMO_ID_SIZE]);

/* The row that a record belongs to, by its correlation-id header; DEMO_CASE_COUNT when to none. */
size_t demo_case_find(const struct record *record);

/* Appends the value of the row's request record. Results as chat_client_request_write(). */
NODISCARD enum status demo_case_encode(size_t index, struct buffer *out_value);

/* Appends one line for each promise that the reply breaks: what was wanted, what came. */
void demo_case_check(size_t index, const struct record *record, const struct chat_client_response *response,
	struct buffer *out_broken);

/* The same for the row's dead letter. */
void demo_case_check_dead_letter(size_t index, const struct record *record, struct buffer *out_broken);

#endif
