/* The answer to GET /key: see the header. */
#include "worker/core/openrouter_key.h"

#include "common/assertion.h"
#include "worker/core/openrouter_json.h"

enum { KEY_DEPTH = 16 };

bool openrouter_key_remaining(struct bytes body, double *out_usd)
{
	struct openrouter_json json;
	yyjson_val *root;
	ASSERT(out_usd != NULL);
	if (openrouter_json_open(&json, body, KEY_DEPTH, &root) != STATUS_OK) return false;
	yyjson_val *remaining = yyjson_obj_get(yyjson_obj_get(root, "data"), "limit_remaining");
	bool is_told = yyjson_is_num(remaining) || yyjson_is_raw(remaining);
	if (is_told) *out_usd = openrouter_json_amount(remaining);
	openrouter_json_close(&json);
	return is_told;
}
