/* One key on its way out: the header lines that carry it, and what masks it in answers.
 *
 * Each thread of the pool has its own, so that another key is a message to each thread and no lock. Transfers that were
 * begun with a former key go on with it; it is wiped when the last of them has been released. The lines are the only copy
 * of the key that the pool makes beside the mask's.
 *
 * Owner: whoever made it, then the upstream thread it is handed to. Nothing blocks. */
#ifndef WORKER_EDGE_UPSTREAM_HEADERS_H
#define WORKER_EDGE_UPSTREAM_HEADERS_H

#include <curl/curl.h>

#include "common/redaction.h"
#include "worker/edge/upstream_setup.h"

struct upstream_headers {
	struct curl_slist *chat; /* owned, secret */
	struct curl_slist *key;  /* owned, secret; of GET /key */
	struct redaction *mask;  /* owned, secret */
	size_t users;            /* transfers whose handles point to the lines */
	bool is_former;          /* freed as soon as nobody uses it */
};

/* `key` is copied. STATUS_INVALID: empty, or a byte that is not printable ASCII (space included); STATUS_NO_MEMORY. */
NODISCARD enum status upstream_headers_new(
	const struct upstream_setup *setup, struct bytes key, struct upstream_headers **out_headers);

/* Wipes and frees. Accepts NULL. Nobody uses it any more. */
void upstream_headers_free(struct upstream_headers *headers);

/* Nobody will use it anew: freed now, or when its last user leaves. */
void upstream_headers_retire(struct upstream_headers *headers);

/* Gives the lines to `easy`, which borrows them until upstream_headers_leave(). */
void upstream_headers_enter(struct upstream_headers *headers, CURL *easy, enum upstream_aim aim);

/* Takes them away again; `easy` is in no multi handle. */
void upstream_headers_leave(struct upstream_headers *headers, CURL *easy);

#endif
