/* One attempt: see the header. */
#include "worker/edge/upstream_transfer.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"
#include "worker/core/openrouter_mask.h"
#include "worker/edge/upstream_end.h"
#include "worker/edge/upstream_multi.h"

static void transfer_enter(struct upstream_transfer *transfer, enum upstream_transfer_state state)
{
	static const bool allowed[][5] = {
		[UPSTREAM_TRANSFER_FREE] = { [UPSTREAM_TRANSFER_RUNNING] = true },
		[UPSTREAM_TRANSFER_RUNNING] = { [UPSTREAM_TRANSFER_FREE] = true,
			[UPSTREAM_TRANSFER_WAITING] = true,
			[UPSTREAM_TRANSFER_ANSWERED] = true },
		[UPSTREAM_TRANSFER_WAITING] = { [UPSTREAM_TRANSFER_FREE] = true, [UPSTREAM_TRANSFER_RUNNING] = true },
		[UPSTREAM_TRANSFER_ANSWERED] = { [UPSTREAM_TRANSFER_FREE] = true, [UPSTREAM_TRANSFER_DRAINING] = true },
		[UPSTREAM_TRANSFER_DRAINING] = { [UPSTREAM_TRANSFER_FREE] = true },
	};
	ASSERT(allowed[transfer->state][state]);
	transfer->state = state;
}

/* A second send of one attempt is libcurl's own idea: a connection that it took from its pool died without a byte. The
 * first send may have been paid for, unless the death came so soon that the peer had let go of the connection already. */
static int on_request(void *context, char *peer_ip, char *local_ip, int peer_port, int local_port)
{
	(void)peer_ip, (void)local_ip, (void)peer_port;
	struct upstream_transfer *transfer = context;
	ASSERT(transfer->call != NULL);
	int64_t now_ms = transfer->now->mono_ms;
	if (transfer->call->requests_sent == 0) transfer->sent_ms = now_ms;
	bool is_race = transfer->call->requests_sent == 1 && now_ms - transfer->sent_ms < UPSTREAM_REPEAT_MS;
	if (transfer->call->requests_sent > 0 && !is_race) {
		transfer->own_end = TRANSPORT_REPEATED;
		return CURL_PREREQFUNC_ABORT;
	}
	transfer->call->requests_sent++;
	bool is_shared = transfer->setup->http_version != CURL_HTTP_VERSION_1_1 && local_port > 0;
	const struct upstream_multi *multi = transfer->multi;
	transfer->socket_fd = is_shared ? upstream_sockets_find(multi->set->sockets, multi, local_port) : -1;
	return CURL_PREREQFUNC_OK;
}

static void transfer_hear(struct upstream_transfer *transfer)
{
	transfer->heard_ms = transfer->now->mono_ms;
	if (transfer->socket_fd < 0) return;
	upstream_sockets_hear(transfer->multi->set->sockets, transfer->socket_fd, transfer->heard_ms);
}

/* "HTTP/1.1 200 OK" → 200; 0 for anything else. */
static int status_of_line(struct bytes line)
{
	if (!bytes_starts_with(line, BYTES_LITERAL("HTTP/"))) return 0;
	const char *blank = memchr(line.data, ' ', line.size);
	if (blank == NULL) return 0;
	int status = 0;
	const char *end = line.data + line.size;
	for (const char *at = blank + 1; at < end && *at >= '0' && *at <= '9' && status < 1000; at++)
		status = status * 10 + (*at - '0');
	return status;
}

static void transfer_read_header(struct upstream_transfer *transfer, struct bytes line)
{
	int status = status_of_line(line);
	if (status >= 200) {
		transfer->http_status = status;
		openrouter_reader_status(transfer->reader, status);
	}
	/* Lines of interim responses are of no interest. */
	if (status != 0 || transfer->http_status == 0) return;
	if (bytes_trim(line).size == 0) transfer->has_headers = true;
	const char *colon = memchr(line.data, ':', line.size);
	if (colon == NULL) return;
	size_t name_size = (size_t)(colon - line.data);
	struct bytes value = bytes_trim(bytes_at(colon + 1, line.size - name_size - 1));
	openrouter_reader_header(transfer->reader, bytes_at(line.data, name_size), value, transfer->now->wall_ms);
}

static size_t on_header(char *data, size_t size, size_t count, void *context)
{
	struct upstream_transfer *transfer = context;
	struct bytes line = bytes_at(data, size * count);
	transfer_hear(transfer);
	transfer->header_bytes += line.size;
	if (transfer->header_bytes > UPSTREAM_HEADER_BYTES_MAX) {
		transfer->own_end = TRANSPORT_TOO_LARGE;
		return 0;
	}
	if (!transfer->has_body) transfer_read_header(transfer, line);
	return line.size;
}

/* What comes after the verdict, and the body of a good key. */
static size_t transfer_skip(struct upstream_transfer *transfer, size_t size)
{
	transfer->surplus_bytes += size;
	if (transfer->surplus_bytes <= UPSTREAM_DRAIN_BYTES_MAX) return size;
	transfer->own_end = TRANSPORT_TOO_LARGE;
	return 0;
}

static bool is_good_key(const struct upstream_transfer *transfer)
{
	return transfer->aim == UPSTREAM_AIM_KEY && transfer->http_status >= 200 && transfer->http_status < 300;
}

static void transfer_note_content(struct upstream_transfer *transfer)
{
	uint64_t content = openrouter_reader_content(transfer->reader);
	if (content == transfer->content) return;
	transfer->content = content;
	transfer->content_ms = transfer->now->mono_ms;
	if (transfer->call->first_content_ms != 0) return;
	transfer->call->first_content_ms = transfer->content_ms;
	if (transfer->call->tells_content) list_push_back(&transfer->lists->begun, &transfer->news);
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
	struct upstream_transfer *transfer = context;
	struct bytes piece = bytes_at(data, size * count);
	transfer_hear(transfer);
	transfer->has_body = true;
	bool is_running = transfer->state == UPSTREAM_TRANSFER_RUNNING;
	/* Beyond the buffer's bound it says so itself. */
	if (is_running && is_good_key(transfer)) buffer_append(&transfer->call->body, piece);
	if (!is_running || is_good_key(transfer)) return transfer_skip(transfer, piece.size);
	enum status status = openrouter_reader_feed(transfer->reader, piece);
	transfer_note_content(transfer);
	if (status == STATUS_OK) return piece.size;
	if (status == STATUS_CLOSED) {
		transfer_enter(transfer, UPSTREAM_TRANSFER_ANSWERED);
		transfer->verdict_ms = transfer->now->mono_ms;
		list_push_back(&transfer->lists->answered, &transfer->turn);
		return piece.size;
	}
	transfer->own_end = status == STATUS_TOO_LARGE ? TRANSPORT_TOO_LARGE : TRANSPORT_INTERNAL;
	return 0;
}

static CURLcode transfer_set_callbacks(struct upstream_transfer *transfer, CURLSH *share)
{
	CURL *easy = transfer->easy;
	CURLcode code = curl_easy_setopt(easy, CURLOPT_SHARE, share);
	if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
	if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
	return code;
}

struct upstream_transfer *upstream_transfer_new(
	const struct upstream_setup *setup, CURLSH *share, const struct instant *now, struct upstream_turn *lists)
{
	struct upstream_transfer *transfer = calloc(1, sizeof(*transfer));
	if (transfer == NULL) return NULL;
	*transfer = (struct upstream_transfer){ .setup = setup, .now = now, .lists = lists };
	list_init(&transfer->place);
	list_init(&transfer->turn);
	list_init(&transfer->news);
	list_init(&transfer->bucket);
	transfer->easy = curl_easy_init();
	if (transfer->easy == NULL || upstream_setup_apply(setup, transfer->easy) != STATUS_OK ||
		transfer_set_callbacks(transfer, share) != CURLE_OK) {
		upstream_transfer_free(transfer);
		return NULL;
	}
	return transfer;
}

void upstream_transfer_free(struct upstream_transfer *transfer)
{
	if (transfer == NULL) return;
	ASSERT(!heap_node_is_in(&transfer->watchdog));
	curl_easy_cleanup(transfer->easy);
	openrouter_reader_free(transfer->reader);
	call_free(transfer->call);
	free(transfer);
}

static enum status transfer_set_request(struct upstream_transfer *transfer, const struct call *call)
{
	int64_t limit_ms = call->deadline_ms - transfer->now->mono_ms + UPSTREAM_BACKSTOP_MS;
	if (limit_ms > INT_MAX) limit_ms = INT_MAX;
	CURLcode code = curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS, (long)limit_ms);
	if (code == CURLE_OK)
		code = curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, call->on_new_connection ? 1L : 0L);
	if (code == CURLE_OK && transfer->aim == UPSTREAM_AIM_CHAT) {
		struct bytes body = buffer_bytes(&call->body);
		/* Borrowed by libcurl until the request is sent. */
		code = curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, body.data);
		if (code == CURLE_OK)
			code = curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.size);
	}
	return code == CURLE_OK ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status upstream_transfer_begin(
	struct upstream_transfer *transfer, struct call *call, enum upstream_aim aim, struct upstream_headers *headers)
{
	ASSERT(transfer->state == UPSTREAM_TRANSFER_FREE);
	ASSERT(transfer->call == NULL && transfer->headers == NULL);
	ASSERT(call->deadline_ms > transfer->now->mono_ms);
	if (aim != transfer->aim) {
		enum status status = upstream_setup_aim(transfer->setup, transfer->easy, aim);
		if (status != STATUS_OK) return status;
		transfer->aim = aim;
	}
	enum status status = transfer_set_request(transfer, call);
	if (status != STATUS_OK) return status;
	transfer->reader = openrouter_reader_new(call->arena, &transfer->setup->limits);
	if (transfer->reader == NULL) return STATUS_NO_MEMORY;
	upstream_headers_enter(headers, transfer->easy, aim);
	transfer->headers = headers;
	transfer->call = call;
	transfer->own_end = TRANSPORT_WHOLE;
	transfer->http_status = 0;
	transfer->has_headers = false;
	transfer->has_body = false;
	transfer->header_bytes = 0;
	transfer->surplus_bytes = 0;
	transfer->content = 0;
	transfer->content_ms = 0;
	transfer->heard_ms = 0;
	transfer->socket_fd = -1;
	call->started_ms = transfer->now->mono_ms;
	transfer_enter(transfer, UPSTREAM_TRANSFER_RUNNING);
	return STATUS_OK;
}

/* The service was sent the key, and may send it back. */
static void transfer_mask(struct upstream_transfer *transfer)
{
	struct call *call = transfer->call;
	if (call->result.failure.reason != REASON_NONE) return;
	bool has_key = false;
	if (openrouter_mask_answer(transfer->headers->mask, call->arena, &call->result.answer, &has_key) != STATUS_OK)
		call->result = (struct openrouter_result){ .failure = failure_of_transport(TRANSPORT_INTERNAL, true) };
	if (has_key)
		log_event(transfer->setup->log, LOG_LEVEL_WARN, "an answer had the key in it, which was masked",
			LOG_NO_FIELDS);
}

void upstream_transfer_wait(struct upstream_transfer *transfer)
{
	ASSERT(transfer->call->requests_sent == 0);
	transfer->waiting_ms = transfer->now->mono_ms;
	transfer_enter(transfer, UPSTREAM_TRANSFER_WAITING);
}

void upstream_transfer_go_on(struct upstream_transfer *transfer)
{
	struct call *call = transfer->call;
	int64_t now_ms = transfer->now->mono_ms;
	call->first_content_due_ms += now_ms - transfer->waiting_ms;
	if (call->first_content_due_ms > call->deadline_ms) call->first_content_due_ms = call->deadline_ms;
	call->started_ms = now_ms;
	transfer->own_end = TRANSPORT_WHOLE;
	transfer_enter(transfer, UPSTREAM_TRANSFER_RUNNING);
}

static void transfer_judge(struct upstream_transfer *transfer, enum transport_end end)
{
	struct call *call = transfer->call;
	openrouter_reader_finish(transfer->reader, end, call->requests_sent > 0, &call->result);
	transfer_mask(transfer);
	if (end == TRANSPORT_WHOLE && is_good_key(transfer))
		call->result = (struct openrouter_result){
			.failure = { .reason = REASON_NONE,
				.http_status = transfer->http_status,
				.retry_after_ms = -1,
				.maybe_sent = true },
		};
}

struct call *upstream_transfer_end(struct upstream_transfer *transfer, enum transport_end end)
{
	ASSERT(transfer->call != NULL);
	bool is_answered = transfer->state == UPSTREAM_TRANSFER_ANSWERED;
	transfer_judge(transfer, is_answered ? TRANSPORT_WHOLE : end);
	openrouter_reader_free(transfer->reader);
	transfer->reader = NULL;
	struct call *call = transfer->call;
	transfer->call = NULL;
	call->ended_ms = transfer->now->mono_ms;
	if (is_answered) {
		transfer->verdict_ms = call->ended_ms;
		transfer_enter(transfer, UPSTREAM_TRANSFER_DRAINING);
	}
	return call;
}

void upstream_transfer_release(struct upstream_transfer *transfer)
{
	ASSERT(transfer->call == NULL);
	ASSERT(transfer->reader == NULL);
	transfer_enter(transfer, UPSTREAM_TRANSFER_FREE);
	upstream_headers_leave(transfer->headers, transfer->easy);
	transfer->headers = NULL;
	transfer->multi = NULL;
}

enum transport_end upstream_transfer_end_of(const struct upstream_transfer *transfer, CURLcode code)
{
	if (code != CURLE_OK && transfer->own_end != TRANSPORT_WHOLE) return transfer->own_end;
	/* To libcurl, headers that break off are a whole response without a body. */
	if (code == CURLE_OK && !transfer->has_headers) return TRANSPORT_CUT;
	bool is_sent = transfer->call != NULL && transfer->call->requests_sent > 0;
	return upstream_end_of(code, is_sent, transfer->http_status != 0);
}

bool upstream_transfer_lacks_descriptor(const struct upstream_transfer *transfer, CURLcode code)
{
	bool is_unsent = transfer->state == UPSTREAM_TRANSFER_RUNNING && transfer->call->requests_sent == 0;
	return is_unsent && upstream_multi_lacks_descriptor(transfer->multi, code);
}

int64_t upstream_transfer_due(const struct upstream_transfer *transfer)
{
	if (transfer->state == UPSTREAM_TRANSFER_ANSWERED) return transfer->verdict_ms + UPSTREAM_ANSWERED_MS;
	if (transfer->state == UPSTREAM_TRANSFER_DRAINING) return transfer->verdict_ms + UPSTREAM_DRAIN_MS;
	const struct call *call = transfer->call;
	ASSERT(call != NULL);
	if (transfer->aim == UPSTREAM_AIM_KEY || transfer->state == UPSTREAM_TRANSFER_WAITING) return call->deadline_ms;
	if (transfer->content == 0) return clock_earlier(call->first_content_due_ms, call->deadline_ms);
	bool may_stall = call->deadline_ms - transfer->content_ms > call->stall_ms;
	return may_stall ? transfer->content_ms + call->stall_ms : call->deadline_ms;
}

/* 0 when something was heard, or when it did not wait long enough to tell. */
static int64_t transfer_silent_since(const struct upstream_transfer *transfer)
{
	ASSERT(transfer->call != NULL);
	if (transfer->call->requests_sent == 0) return 0;
	int64_t since_ms = transfer->content_ms > transfer->sent_ms ? transfer->content_ms : transfer->sent_ms;
	int64_t heard_ms = transfer->heard_ms;
	if (transfer->socket_fd >= 0)
		heard_ms = upstream_sockets_heard_ms(transfer->multi->set->sockets, transfer->socket_fd);
	bool is_silent = heard_ms <= since_ms && transfer->now->mono_ms - since_ms >= UPSTREAM_SILENCE_MS;
	return is_silent ? since_ms : 0;
}

static bool transfer_is_on_used_connection(const struct upstream_transfer *transfer)
{
	long opened = 0;
	CURLcode code = curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &opened);
	ASSERT(code == CURLE_OK);
	return opened == 0;
}

void upstream_transfer_doubt_connection(const struct upstream_transfer *transfer)
{
	int64_t since_ms = transfer_silent_since(transfer);
	if (since_ms == 0) return;
	struct upstream_sockets *sockets = transfer->multi->set->sockets;
	if (transfer->socket_fd >= 0) upstream_sockets_break(sockets, transfer->socket_fd);
	if (transfer_is_on_used_connection(transfer)) upstream_sockets_break_idle(sockets, since_ms);
}

bool upstream_transfer_is_sent(const struct upstream_transfer *transfer)
{
	curl_off_t size = 0;
	if (transfer->aim == UPSTREAM_AIM_KEY) return true;
	if (curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &size) != CURLE_OK) return false;
	return size >= 0 && (size_t)size >= transfer->call->body.size;
}
