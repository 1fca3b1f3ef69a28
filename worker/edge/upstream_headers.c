/* One key on its way out: see the header. */
#include "worker/edge/upstream_headers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"

static bool is_key(struct bytes key)
{
	for (size_t i = 0; i < key.size; i++) {
		unsigned char one = (unsigned char)key.data[i];
		if (one <= ' ' || one >= 0x7f) return false;
	}
	return key.size > 0;
}

static void wipe_and_free(char *line, size_t size)
{
	explicit_bzero(line, size);
	free(line);
}

/* Appends "name value"; a list that has failed is left alone and *is_whole says so. */
static void add(struct curl_slist **lines, bool *is_whole, const char *name, struct bytes value)
{
	char *line = NULL;
	int size = asprintf(&line, "%s %.*s", name, (int)value.size, value.data == NULL ? "" : value.data);
	struct curl_slist *longer = size < 0 ? NULL : curl_slist_append(*lines, line);
	if (longer != NULL) *lines = longer;
	if (longer == NULL) *is_whole = false;
	if (size >= 0) wipe_and_free(line, (size_t)size);
}

/* A repeat of the same bytes within this time, as after a crash, is then answered from the cache for nothing. */
static void add_cache(struct curl_slist **lines, bool *is_whole, int ttl_s)
{
	if (ttl_s <= 0) return;
	char text[16];
	(void)snprintf(text, sizeof(text), "%d", ttl_s);
	add(lines, is_whole, "X-OpenRouter-Cache:", BYTES_LITERAL("true"));
	add(lines, is_whole, "X-OpenRouter-Cache-TTL:", bytes_of(text));
}

static enum status fill(const struct upstream_setup *setup, struct bytes key, struct upstream_headers *headers)
{
	bool is_whole = true;
	struct curl_slist **lists[] = { &headers->chat, &headers->key };
	for (size_t i = 0; i < 2; i++) {
		add(lists[i], &is_whole, "Authorization: Bearer", key);
		add(lists[i], &is_whole, "User-Agent:", BYTES_LITERAL("chat-worker/" CHAT_WORKER_VERSION));
		if (setup->app_url[0] != '\0') add(lists[i], &is_whole, "HTTP-Referer:", bytes_of(setup->app_url));
		if (setup->app_title[0] != '\0')
			add(lists[i], &is_whole, "X-OpenRouter-Title:", bytes_of(setup->app_title));
	}
	add(&headers->key, &is_whole, "Accept:", BYTES_LITERAL("application/json"));
	add(&headers->chat, &is_whole, "Accept:", BYTES_LITERAL("text/event-stream"));
	add(&headers->chat, &is_whole, "Content-Type:", BYTES_LITERAL("application/json"));
	add_cache(&headers->chat, &is_whole, setup->cache_ttl_s);
	/* Empty: large bodies do not wait for a "100 Continue". */
	add(&headers->chat, &is_whole, "Expect:", BYTES_NONE);
	return is_whole ? STATUS_OK : STATUS_NO_MEMORY;
}

/* A key that is too short to be told from other text is not masked. */
static enum status fill_mask(struct bytes key, struct upstream_headers *headers)
{
	headers->mask = redaction_new();
	if (headers->mask == NULL) return STATUS_NO_MEMORY;
	enum status status = redaction_add(headers->mask, key);
	return status == STATUS_INVALID ? STATUS_OK : status;
}

enum status upstream_headers_new(
	const struct upstream_setup *setup, struct bytes key, struct upstream_headers **out_headers)
{
	if (!is_key(key)) return STATUS_INVALID;
	struct upstream_headers *headers = calloc(1, sizeof(*headers));
	if (headers == NULL) return STATUS_NO_MEMORY;
	enum status status = fill(setup, key, headers);
	if (status == STATUS_OK) status = fill_mask(key, headers);
	if (status == STATUS_OK)
		*out_headers = headers;
	else
		upstream_headers_free(headers);
	return status;
}

static void wipe_lines(struct curl_slist *lines)
{
	for (struct curl_slist *line = lines; line != NULL; line = line->next)
		explicit_bzero(line->data, strlen(line->data));
	curl_slist_free_all(lines);
}

void upstream_headers_free(struct upstream_headers *headers)
{
	if (headers == NULL) return;
	ASSERT(headers->users == 0);
	wipe_lines(headers->chat);
	wipe_lines(headers->key);
	redaction_free(headers->mask);
	free(headers);
}

static void free_when_unused(struct upstream_headers *headers)
{
	if (headers->is_former && headers->users == 0) upstream_headers_free(headers);
}

void upstream_headers_retire(struct upstream_headers *headers)
{
	ASSERT(!headers->is_former);
	headers->is_former = true;
	free_when_unused(headers);
}

void upstream_headers_enter(struct upstream_headers *headers, CURL *easy, enum upstream_aim aim)
{
	ASSERT(!headers->is_former);
	struct curl_slist *lines = aim == UPSTREAM_AIM_CHAT ? headers->chat : headers->key;
	CURLcode code = curl_easy_setopt(easy, CURLOPT_HTTPHEADER, lines);
	/* It notes the pointer, so there is nothing that could fail. */
	ASSERT(code == CURLE_OK);
	headers->users++;
}

void upstream_headers_leave(struct upstream_headers *headers, CURL *easy)
{
	ASSERT(headers->users > 0);
	CURLcode code = curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
	ASSERT(code == CURLE_OK);
	headers->users--;
	free_when_unused(headers);
}
