/* Reads the few members of a request that the stand-in acts on. */
#include "replay/standin_request.h"

#include <yyjson.h>

static struct bytes text_of(yyjson_val *value)
{
	if (!yyjson_is_str(value)) return BYTES_NONE;
	return bytes_at(yyjson_get_str(value), yyjson_get_len(value));
}

/* The text of a message's content: the string, or the last text among its parts. */
static struct bytes content_text(yyjson_val *content)
{
	struct bytes text = text_of(content);
	size_t index, count;
	yyjson_val *part;
	yyjson_arr_foreach(content, index, count, part)
	{
		struct bytes found = text_of(yyjson_obj_get(part, "text"));
		if (bytes_is_given(found)) text = found;
	}
	return text;
}

static void read_messages(yyjson_val *messages, struct standin_request *request)
{
	size_t index, count;
	yyjson_val *message;
	yyjson_arr_foreach(messages, index, count, message)
	{
		struct bytes text = content_text(yyjson_obj_get(message, "content"));
		request->content_bytes += text.size;
		request->message_count++;
		if (bytes_equal_text(text_of(yyjson_obj_get(message, "role")), "user")) request->text = text;
	}
}

enum status standin_request_read(struct bytes body, struct standin_request *out_request, const char **out_problem)
{
	struct standin_request request = { .document = yyjson_read(body.data, body.size, 0) };
	yyjson_val *root = yyjson_doc_get_root(request.document);
	yyjson_val *messages = yyjson_obj_get(root, "messages");
	request.model = text_of(yyjson_obj_get(root, "model"));
	if (!yyjson_is_obj(root))
		*out_problem = "The body is not a JSON object.";
	else if (request.model.size == 0)
		*out_problem = "No model was given.";
	else if (yyjson_arr_size(messages) == 0)
		*out_problem = "No messages were given.";
	else {
		yyjson_val *tool = yyjson_arr_get_first(yyjson_obj_get(root, "tools"));
		request.is_stream = yyjson_get_bool(yyjson_obj_get(root, "stream"));
		request.tool_name = text_of(yyjson_obj_get(yyjson_obj_get(tool, "function"), "name"));
		read_messages(messages, &request);
		*out_request = request;
		return STATUS_OK;
	}
	yyjson_doc_free(request.document);
	return STATUS_INVALID;
}

void standin_request_deinit(struct standin_request *request)
{
	yyjson_doc_free(request->document);
	*request = (struct standin_request){ .document = NULL };
}
