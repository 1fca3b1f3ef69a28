/* What all requests of the pool have in common: addresses, header texts, and the options of an easy handle.
 *
 * Made once from the options, checked there, read-only afterwards: the threads share it. The key is not in it, since it
 * may change (upstream_headers.h). libcurl's verbose mode is never on, since it prints headers.
 *
 * Owner: the pool. Threads: any, after it was opened. */
#ifndef WORKER_EDGE_UPSTREAM_SETUP_H
#define WORKER_EDGE_UPSTREAM_SETUP_H

#include <curl/curl.h>
#include <openssl/x509_vfy.h>

#include "worker/edge/upstream.h"

/* What a request asks for. */
enum upstream_aim { UPSTREAM_AIM_CHAT, UPSTREAM_AIM_KEY };

struct upstream_setup {
	char *chat_url;     /* owned */
	char *key_url;      /* owned */
	char *proxy;        /* owned; "" = none */
	char *app_url;      /* owned; "" = none */
	char *app_title;    /* owned; "" = none */
	X509_STORE *trust;  /* owned; NULL over plain HTTP */
	const char *scheme; /* "https" or "http"; static */
	long http_version;  /* CURL_HTTP_VERSION_ */
	long connect_timeout_ms;
	long streams_per_connection;
	int cache_ttl_s; /* 0 = none is asked for */
	struct openrouter_limits limits;
	struct log *log; /* borrowed; may be NULL */
};

/* Checks and copies. STATUS_INVALID (said in the log, without the value): a base URL that is not http(s), has a user, a
 * query or a fragment, or is plain HTTP to another host without leave; a header text with control characters; no
 * authorities. STATUS_NO_MEMORY. Blocks on the file system. Nothing is left behind on failure. */
NODISCARD enum status upstream_setup_open(const struct upstream_options *options, struct upstream_setup *out_setup);

/* Safe on a zeroed setup. No handle may be in use any more. */
void upstream_setup_close(struct upstream_setup *setup);

/* Sets everything on `easy` that is the same for each request of the pool. The setup is borrowed for the life of the
 * handle. STATUS_INVALID: libcurl refuses an option. */
NODISCARD enum status upstream_setup_apply(const struct upstream_setup *setup, CURL *easy);

/* Points `easy` at one of the two addresses, with its method. */
NODISCARD enum status upstream_setup_aim(const struct upstream_setup *setup, CURL *easy, enum upstream_aim aim);

#endif
