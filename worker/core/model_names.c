/* Numbers for models: see the header. */
#include "worker/core/model_names.h"

#include <string.h>

#include "common/assertion.h"

size_t model_names_number(struct model_names *names, struct bytes name)
{
	ASSERT(name.size > 0);
	ASSERT(names->count <= MODEL_NAMES_MAX);
	for (size_t i = 0; i < names->count; i++)
		if (bytes_equal(name, bytes_at(names->rows[i].text, names->rows[i].size))) return i;
	if (name.size > MODEL_NAME_SIZE_MAX || names->count == MODEL_NAMES_MAX) return MODEL_NAMES_OTHER;
	struct model_name *row = &names->rows[names->count];
	memcpy(row->text, name.data, name.size);
	row->size = name.size;
	return names->count++;
}

struct bytes model_names_text(const struct model_names *names, size_t number)
{
	if (number == MODEL_NAMES_OTHER) return BYTES_LITERAL("_OTHER");
	ASSERT(number < names->count);
	ASSERT(names->rows[number].size > 0);
	return bytes_at(names->rows[number].text, names->rows[number].size);
}
