/* Takes secrets out of an answer before anybody else sees it.
 *
 * The service is sent the key with every request, and what it was sent it may send back: in the text of the answer, in
 * a tool call, as the name of a model. The whole answer is looked at, so that it does not matter in how many pieces it
 * came. In JSON, strings are looked at as they are when read, keys as well, so that it stays JSON.
 *
 * What is found becomes `****` (common/redaction.h says in which forms); the rest of the answer is left as it is.
 * Owner: the upstream thread, like the answer's. Pure; nothing blocks. */
#ifndef WORKER_CORE_OPENROUTER_MASK_H
#define WORKER_CORE_OPENROUTER_MASK_H

#include "common/arena.h"
#include "common/redaction.h"
#include "schemas/chat_response.h"

/* Changes the views of `answer` that hold a secret of `redaction` to masked copies in the arena, and says whether there
 * was any. JSON that cannot be read is left out. STATUS_NO_MEMORY: the answer must not be used. */
NODISCARD enum status openrouter_mask_answer(
	const struct redaction *redaction, struct arena *arena, struct chat_answer *answer, bool *out_found);

#endif
