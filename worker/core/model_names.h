/* Numbers for models: a bounded number of names, each with a number of its own, then one number for all others.
 *
 * What is kept for each model (retry budget, breaker) is an array by that number. Requests may name any model, so the
 * number of names is bounded: the first MODEL_NAMES_MAX are remembered for good, later ones and overlong ones share
 * MODEL_NAMES_OTHER. The settings' models are asked for first, at the start, so they always have their own.
 *
 * Plain value, copied names; owner: whoever embeds it. Nothing allocates, blocks or fails. */
#ifndef WORKER_CORE_MODEL_NAMES_H
#define WORKER_CORE_MODEL_NAMES_H

#include "common/bytes.h"

enum {
	MODEL_NAMES_MAX = 32,
	MODEL_NAMES_OTHER = MODEL_NAMES_MAX,
	MODEL_NAMES_COUNT = MODEL_NAMES_MAX + 1, /* size of an array by number */
	MODEL_NAME_SIZE_MAX = 128,
};

struct model_name {
	size_t size;
	char text[MODEL_NAME_SIZE_MAX];
};

/* All zero = no names yet. */
struct model_names {
	size_t count;
	struct model_name rows[MODEL_NAMES_MAX];
};

/* The model's number, given now if it has none yet. `name` is borrowed for the call and not empty. */
size_t model_names_number(struct model_names *names, struct bytes name);

/* The name behind a number, borrowed from `names`; "_OTHER" for MODEL_NAMES_OTHER. */
struct bytes model_names_text(const struct model_names *names, size_t number);

#endif
