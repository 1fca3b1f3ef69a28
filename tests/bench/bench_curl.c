/* The bare cost of libcurl for the calls that the upstream pool makes: no parsing, no clocks, no mailboxes.
 *
 *     bench_curl URL CALLS IN_FLIGHT MULTIS
 *
 * One thread, MULTIS multi handles in one epoll, easy handles used again. Prints CPU microseconds a call. Compare with
 * `upstream_tool --bench` against the same server. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "common/assertion.h"
#include "common/clock.h"

enum { EVENTS_MAX = 256, MULTIS_MAX = 256, FDS_MAX = 65536 };

struct bench_multi {
	CURLM *handle;
	int epoll_fd;
	int64_t due_ms; /* -1 = never */
	struct bench_multi **by_fd;
};

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
	(void)data;
	*(size_t *)context += size * count;
	return size * count;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known)
{
	(void)easy;
	struct bench_multi *multi = context;
	struct epoll_event event = { .data.fd = fd };
	event.events = what == CURL_POLL_OUT ? EPOLLOUT : what == CURL_POLL_IN ? EPOLLIN : EPOLLIN | EPOLLOUT;
	if (what == CURL_POLL_REMOVE)
		epoll_ctl(multi->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	else
		epoll_ctl(multi->epoll_fd, known == NULL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
	multi->by_fd[fd] = multi;
	curl_multi_assign(multi->handle, fd, multi);
	return 0;
}

static int on_timer(CURLM *handle, long timeout_ms, void *context)
{
	(void)handle;
	struct bench_multi *multi = context;
	multi->due_ms = timeout_ms < 0 ? -1 : clock_now().mono_ms + timeout_ms;
	return 0;
}

static CURL *make_easy(const char *url, struct curl_slist *headers, size_t *bytes)
{
	CURL *easy = curl_easy_init();
	ASSERT(easy != NULL);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, bytes);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 4096L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 30000L);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "{}");
	return easy;
}

/* Takes what has ended and starts as many again; returns how many have ended. */
static long turn_over(struct bench_multi *multi, long *left_to_start)
{
	long ended = 0;
	int queued;
	for (const CURLMsg *message; (message = curl_multi_info_read(multi->handle, &queued)) != NULL;) {
		CURL *easy = message->easy_handle;
		ASSERT(message->data.result == CURLE_OK);
		curl_multi_remove_handle(multi->handle, easy);
		ended++;
		if (*left_to_start > 0) {
			curl_multi_add_handle(multi->handle, easy);
			(*left_to_start)--;
		} else {
			curl_easy_cleanup(easy);
		}
	}
	return ended;
}

static void run(struct bench_multi *multis, int count, long calls, long left_to_start)
{
	struct epoll_event events[EVENTS_MAX];
	int running;
	while (calls > 0) {
		int ready = epoll_wait(multis[0].epoll_fd, events, EVENTS_MAX, 1);
		for (int i = 0; i < ready; i++) {
			struct bench_multi *multi = multis[0].by_fd[events[i].data.fd];
			int bits = (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
				   (events[i].events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0);
			curl_multi_socket_action(multi->handle, events[i].data.fd, bits, &running);
			calls -= turn_over(multi, &left_to_start);
		}
		int64_t now_ms = clock_now().mono_ms;
		for (int i = 0; i < count; i++) {
			if (multis[i].due_ms < 0 || multis[i].due_ms > now_ms) continue;
			multis[i].due_ms = -1;
			curl_multi_socket_action(multis[i].handle, CURL_SOCKET_TIMEOUT, 0, &running);
			calls -= turn_over(&multis[i], &left_to_start);
		}
	}
}

static double cpu_us(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

int main(int argc, char **argv)
{
	if (argc != 5) return 2;
	long calls = strtol(argv[2], NULL, 10), in_flight = strtol(argv[3], NULL, 10);
	int count = (int)strtol(argv[4], NULL, 10);
	ASSERT(calls >= in_flight && count > 0 && count <= MULTIS_MAX);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	struct curl_slist *headers = curl_slist_append(NULL, "Authorization: Bearer bench");
	headers = curl_slist_append(headers, "Content-Type: application/json");
	struct bench_multi multis[MULTIS_MAX];
	struct bench_multi **by_fd = calloc(FDS_MAX, sizeof(struct bench_multi *));
	ASSERT(by_fd != NULL);
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	size_t bytes = 0;
	for (int i = 0; i < count; i++) {
		multis[i] = (struct bench_multi){ curl_multi_init(), epoll_fd, -1, by_fd };
		curl_multi_setopt(multis[i].handle, CURLMOPT_SOCKETFUNCTION, on_socket);
		curl_multi_setopt(multis[i].handle, CURLMOPT_SOCKETDATA, &multis[i]);
		curl_multi_setopt(multis[i].handle, CURLMOPT_TIMERFUNCTION, on_timer);
		curl_multi_setopt(multis[i].handle, CURLMOPT_TIMERDATA, &multis[i]);
	}
	double before = cpu_us();
	int64_t begin_ns = clock_mono_ns();
	for (long i = 0; i < in_flight; i++)
		curl_multi_add_handle(multis[i % count].handle, make_easy(argv[1], headers, &bytes));
	run(multis, count, calls, calls - in_flight);
	printf("{\"calls\":%ld,\"wall_ms\":%lld,\"cpu_us_per_call\":%.1f,\"bytes_per_call\":%.0f}\n", calls,
		(long long)((clock_mono_ns() - begin_ns) / 1000000), (cpu_us() - before) / (double)calls,
		(double)bytes / (double)calls);
	for (int i = 0; i < count; i++)
		curl_multi_cleanup(multis[i].handle);
	curl_slist_free_all(headers);
	free(by_fd);
	return 0;
}
