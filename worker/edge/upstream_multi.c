/* The multi handles of one upstream thread: see the header. */
#include "worker/edge/upstream_multi.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/assertion.h"

static void multi_touch(struct upstream_multi *multi)
{
	if (!list_is_linked(&multi->turn)) list_push_back(&multi->set->touched, &multi->turn);
}

static void multi_set_timer(struct upstream_multi *multi, int64_t due)
{
	/* It never leaves the heap, and moving never fails. */
	enum status status = heap_set(&multi->set->timers, &multi->timer, due);
	ASSERT(status == STATUS_OK);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *unused)
{
	(void)easy, (void)unused;
	struct upstream_multi *multi = context;
	uint32_t events = 0;
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) events |= EPOLLIN;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) events |= EPOLLOUT;
	upstream_sockets_want(multi->set->sockets, fd, events, multi, multi->set->now->mono_ms);
	return 0;
}

static int on_timer(CURLM *handle, long timeout_ms, void *context)
{
	(void)handle;
	struct upstream_multi *multi = context;
	/* Our clock is cut to milliseconds: one more, so as not to come too early. */
	int64_t due = timeout_ms < 0 ? HEAP_NEVER : multi->set->now->mono_ms + timeout_ms + (timeout_ms > 0 ? 1 : 0);
	multi_set_timer(multi, due);
	return 0;
}

static bool is_want_of_descriptors(int problem)
{
	return problem == EMFILE || problem == ENFILE || problem == ENOBUFS || problem == ENOMEM;
}

/* `context` is where the transfer keeps its multi handle, for an easy handle moves from one to another. */
static curl_socket_t on_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)purpose;
	struct upstream_multi *multi = *(struct upstream_multi **)context;
	bool has_room = multi->set->connection_count < multi->set->connection_max;
	int fd = has_room ? socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol) : -1;
	if (!has_room || (fd < 0 && is_want_of_descriptors(errno))) multi->lacks_descriptor = true;
	if (fd < 0) return CURL_SOCKET_BAD;
	if (upstream_sockets_opened(multi->set->sockets, fd, multi) != STATUS_OK) {
		close(fd);
		return CURL_SOCKET_BAD;
	}
	multi->connection_count++;
	multi->set->connection_count++;
	return fd;
}

/* Connections outlive transfers, so they know the set only. */
static int on_close(void *context, curl_socket_t fd)
{
	struct upstream_multis *set = context;
	struct upstream_multi *multi = upstream_sockets_closing(set->sockets, fd);
	ASSERT(multi != NULL);
	ASSERT(multi->connection_count > 0);
	multi->connection_count--;
	set->connection_count--;
	return close(fd);
}

enum status upstream_multis_adopt(struct upstream_multis *set, CURL *easy, struct upstream_multi **multi)
{
	CURLcode code = curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
	if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, multi);
	if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
	if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, set);
	return code == CURLE_OK ? STATUS_OK : STATUS_INVALID;
}

static enum status multi_open(struct upstream_multi *multi)
{
	const struct upstream_setup *setup = multi->set->setup;
	CURLM *handle = curl_multi_init();
	if (handle == NULL) return STATUS_NO_MEMORY;
	bool is_1_1 = setup->http_version == CURL_HTTP_VERSION_1_1;
	CURLMcode code = curl_multi_setopt(handle, CURLMOPT_SOCKETFUNCTION, on_socket);
	if (code == CURLM_OK) code = curl_multi_setopt(handle, CURLMOPT_SOCKETDATA, multi);
	if (code == CURLM_OK) code = curl_multi_setopt(handle, CURLMOPT_TIMERFUNCTION, on_timer);
	if (code == CURLM_OK) code = curl_multi_setopt(handle, CURLMOPT_TIMERDATA, multi);
	/* Else it is four times the transfers of the moment, and idle connections die with every lull. */
	if (code == CURLM_OK)
		code = curl_multi_setopt(handle, CURLMOPT_MAXCONNECTS, (long)UPSTREAM_MULTI_TRANSFERS_MAX);
	if (code == CURLM_OK)
		code = curl_multi_setopt(handle, CURLMOPT_PIPELINING, is_1_1 ? CURLPIPE_NOTHING : CURLPIPE_MULTIPLEX);
	if (code == CURLM_OK && setup->streams_per_connection > 0)
		code = curl_multi_setopt(handle, CURLMOPT_MAX_CONCURRENT_STREAMS, setup->streams_per_connection);
	if (code != CURLM_OK) {
		curl_multi_cleanup(handle);
		return STATUS_NO_MEMORY;
	}
	multi->handle = handle;
	return STATUS_OK;
}

enum status upstream_multis_init(struct upstream_multis *set, size_t transfers_max)
{
	ASSERT(transfers_max > 0);
	ASSERT(set->connection_max > 0);
	set->count_max = (transfers_max + UPSTREAM_MULTI_TRANSFERS_MAX - 1) / UPSTREAM_MULTI_TRANSFERS_MAX;
	heap_init(&set->timers, set->count_max);
	list_init(&set->touched);
	set->all = calloc(set->count_max, sizeof(struct upstream_multi *));
	return set->all == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

static void multi_close(struct upstream_multi *multi)
{
	ASSERT(multi->transfer_count == 0);
	if (multi->handle != NULL) {
		CURLMcode code = curl_multi_cleanup(multi->handle);
		ASSERT(code == CURLM_OK);
	}
	multi->handle = NULL;
	multi->dead_count = 0;
	multi->is_broken = false;
}

void upstream_multis_deinit(struct upstream_multis *set)
{
	for (size_t i = 0; i < set->count; i++) {
		multi_close(set->all[i]);
		free(set->all[i]);
	}
	free(set->all);
	set->all = NULL;
	set->count = 0;
	heap_deinit(&set->timers);
}

static enum status multis_grow(struct upstream_multis *set)
{
	ASSERT(set->count < set->count_max);
	struct upstream_multi *multi = calloc(1, sizeof(*multi));
	if (multi == NULL) return STATUS_NO_MEMORY;
	*multi = (struct upstream_multi){ .set = set, .index = set->count };
	list_init(&multi->transfers);
	list_init(&multi->turn);
	enum status status = heap_set(&set->timers, &multi->timer, HEAP_NEVER);
	if (status != STATUS_OK) {
		free(multi);
		return status;
	}
	set->all[set->count++] = multi;
	return STATUS_OK;
}

enum status upstream_multis_pick(struct upstream_multis *set, struct upstream_multi **out_multi)
{
	size_t index = set->first_free;
	while (index < set->count &&
		(set->all[index]->transfer_count >= UPSTREAM_MULTI_TRANSFERS_MAX || set->all[index]->is_broken))
		index++;
	if (index == set->count) {
		if (set->count == set->count_max) return STATUS_FULL;
		enum status status = multis_grow(set);
		if (status != STATUS_OK) return status;
	}
	set->first_free = index;
	struct upstream_multi *multi = set->all[index];
	if (multi->handle == NULL) {
		enum status status = multi_open(multi);
		if (status != STATUS_OK) return status;
	}
	*out_multi = multi;
	return STATUS_OK;
}

enum status upstream_multi_add(struct upstream_multi *multi, CURL *easy, struct list *place)
{
	ASSERT(multi->transfer_count < UPSTREAM_MULTI_TRANSFERS_MAX);
	CURLMcode code = curl_multi_add_handle(multi->handle, easy);
	if (code != CURLM_OK) return STATUS_FATAL;
	list_push_back(&multi->transfers, place);
	multi->transfer_count++;
	/* libcurl looks for dead connections now. */
	multi->dead_count = 0;
	return STATUS_OK;
}

void upstream_multi_remove(struct upstream_multi *multi, CURL *easy, struct list *place)
{
	ASSERT(multi->transfer_count > 0);
	CURLMcode code = curl_multi_remove_handle(multi->handle, easy);
	ASSERT(code == CURLM_OK);
	list_unlink(place);
	multi->transfer_count--;
	multi->unused_ms = multi->set->now->mono_ms;
	if (multi->index < multi->set->first_free) multi->set->first_free = multi->index;
}

static void multi_act(struct upstream_multi *multi, curl_socket_t fd, int bits)
{
	multi_touch(multi);
	if (multi->is_broken) return;
	int running;
	if (curl_multi_socket_action(multi->handle, fd, bits, &running) != CURLM_OK) multi->is_broken = true;
}

void upstream_multis_ready(struct upstream_multis *set, const struct epoll_event *event)
{
	struct upstream_multi *multi;
	int bits = upstream_sockets_ready(set->sockets, event, &multi);
	if (multi == NULL) return;
	if (bits != 0) {
		multi_act(multi, event->data.fd, bits);
		return;
	}
	/* Over HTTP/1.1 nothing is due between responses. Over TLS it is a farewell, which libcurl takes for a sign of life. */
	if (set->setup->http_version == CURL_HTTP_VERSION_1_1) upstream_sockets_break(set->sockets, event->data.fd);
	multi->dead_count++;
	multi_touch(multi);
}

void upstream_multis_run_timers(struct upstream_multis *set)
{
	/* libcurl may ask to be called again at once: not for ever in one turn. */
	for (size_t calls = 2 * set->count; calls > 0; calls--) {
		struct heap_node *node = heap_first(&set->timers);
		if (node == NULL || node->due > set->now->mono_ms) return;
		struct upstream_multi *multi = HEAP_ELEMENT(node, struct upstream_multi, timer);
		multi_set_timer(multi, HEAP_NEVER);
		multi_act(multi, CURL_SOCKET_TIMEOUT, 0);
	}
}

int64_t upstream_multis_due(const struct upstream_multis *set)
{
	const struct heap_node *node = heap_first(&set->timers);
	int64_t due = node == NULL ? HEAP_NEVER : node->due;
	return set->connection_count > 0 ? clock_earlier(due, set->look_ms) : due;
}

CURL *upstream_multi_finished(struct upstream_multi *multi, CURLcode *out_code)
{
	if (multi->handle == NULL) return NULL;
	int left;
	const CURLMsg *message = curl_multi_info_read(multi->handle, &left);
	if (message == NULL) return NULL;
	ASSERT(message->msg == CURLMSG_DONE);
	*out_code = message->data.result;
	return message->easy_handle;
}

static bool can_open(const struct upstream_multi *multi)
{
	int fd = fcntl(multi->set->sockets->epoll_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0) return false;
	close(fd);
	return true;
}

bool upstream_multi_lacks_descriptor(const struct upstream_multi *multi, CURLcode code)
{
	if (code == CURLE_COULDNT_CONNECT && multi->lacks_descriptor) return true;
	/* The resolver wants some, too, and tells of it in several ways. */
	bool is_of_resolver = code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY ||
			      code == CURLE_OUT_OF_MEMORY;
	return is_of_resolver && !can_open(multi);
}

static void multi_empty(struct upstream_multi *multi)
{
	multi_close(multi);
	multi_set_timer(multi, HEAP_NEVER);
	if (multi->index < multi->set->first_free) multi->set->first_free = multi->index;
}

void upstream_multi_renew(struct upstream_multi *multi)
{
	if (multi->transfer_count > 0) return;
	bool is_dead = multi->dead_count > 0 && multi->dead_count >= multi->connection_count;
	if (multi->is_broken || is_dead) multi_empty(multi);
}

void upstream_multis_close_unused(struct upstream_multis *set)
{
	for (size_t i = 0; i < set->count; i++)
		if (set->all[i]->transfer_count == 0 && set->all[i]->connection_count > 0) multi_empty(set->all[i]);
}

void upstream_multis_close_left(struct upstream_multis *set)
{
	int64_t now_ms = set->now->mono_ms;
	if (now_ms < set->look_ms) return;
	set->look_ms = now_ms + UPSTREAM_MULTI_LOOK_MS;
	for (size_t i = 0; i < set->count; i++) {
		struct upstream_multi *multi = set->all[i];
		bool is_left = multi->transfer_count == 0 && now_ms - multi->unused_ms >= UPSTREAM_MULTI_UNUSED_MS;
		if (multi->handle != NULL && is_left) multi_empty(multi);
	}
}
