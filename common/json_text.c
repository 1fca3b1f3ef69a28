#include "common/json_text.h"

#include <yyjson.h>

bool json_text_is_object(struct bytes text)
{
	if (text.size == 0) return false;
	yyjson_doc *document = yyjson_read(text.data, text.size, YYJSON_READ_NOFLAG);
	bool is_object = document != NULL && yyjson_is_obj(yyjson_doc_get_root(document));
	yyjson_doc_free(document);
	return is_object;
}
