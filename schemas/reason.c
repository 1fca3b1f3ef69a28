/* Words, texts and classes of `enum reason`, from its table. */
#include "schemas/reason.h"

#include "common/assertion.h"

struct reason_row {
	const char *word;
	const char *message;
	enum reason_class class;
	bool retryable;
};

#define REASON_ROW(member, word, class, retryable, message) { word, message, REASON_CLASS_##class, retryable },
static const struct reason_row reason_rows[] = { REASON_TABLE(REASON_ROW) };
#undef REASON_ROW

_Static_assert(sizeof(reason_rows) / sizeof(reason_rows[0]) == REASON_COUNT, "one row a reason");

static const struct reason_row *reason_row(enum reason reason)
{
	ASSERT((int)reason >= 0 && (int)reason < (int)REASON_COUNT);
	return &reason_rows[reason];
}

const char *reason_word(enum reason reason)
{
	return reason_row(reason)->word;
}

const char *reason_message(enum reason reason)
{
	return reason_row(reason)->message;
}

enum reason_class reason_class(enum reason reason)
{
	return reason_row(reason)->class;
}

bool reason_is_retryable(enum reason reason)
{
	return reason_row(reason)->retryable;
}

enum status reason_of_word(struct bytes word, enum reason *out_reason)
{
	for (int i = 1; i < (int)REASON_COUNT; i++) {
		if (!bytes_equal_text(word, reason_rows[i].word)) continue;
		*out_reason = (enum reason)i;
		return STATUS_OK;
	}
	return STATUS_NOT_FOUND;
}
