/* The `provider` object of a request, and the providers that a repeat leaves out.
 *
 * A model is often served by several providers. After one of them has failed, the repeat asks for the others: its name goes
 * into the object's `ignore` list. Everything else of the object, which may be the caller's or the settings', stays byte
 * for byte.
 *
 * Names come from the service's answers, as it shows them ("Amazon Bedrock"); lists take slugs ("amazon-bedrock"), and
 * what a list does not know does no harm. So each name is written twice, as it came and as the slug it most likely has.
 *
 * Pure; any thread. */
#ifndef WORKER_CORE_OPENROUTER_PROVIDER_H
#define WORKER_CORE_OPENROUTER_PROVIDER_H

#include "common/buffer.h"

/* Bytes of a name. */
enum { OPENROUTER_PROVIDER_NAME_MAX = 64 };

/* Looks like a name of a provider: letters, digits and a little punctuation, so that it says nothing else wherever it is
 * written. */
bool openrouter_provider_name_is_sane(struct bytes name);

/* May a repeat leave providers out? Not when the object names the only ones that may be asked (`only`) or forbids any but
 * the first choice (`allow_fallbacks` false), nor when it is not an object that can be added to. `order` alone is a wish that
 * is kept for the others. An empty text stands for no object: yes. */
bool openrouter_provider_may_ignore(struct bytes provider);

/* Appends the object with these sane names added to its `ignore`, those that are there already left out. Only when
 * openrouter_provider_may_ignore() says so; `count` is at least 1. */
void openrouter_provider_write(
	struct bytes provider, const struct bytes *names, size_t count, struct buffer *out_object);

#endif
