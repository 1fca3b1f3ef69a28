/* Which certificates the pool trusts: loaded once, shared by all connections.
 *
 * libcurl would parse the authorities' file again for every multi handle (milliseconds and megabytes each); instead
 * its own loading is switched off and every TLS context gets this one store, in the callback that libcurl offers for
 * it. The same callback lets OpenSSL give back its buffers while a connection waits.
 *
 * Owner: the pool. The store is reference-counted and locked by OpenSSL: any thread may use it. */
#ifndef WORKER_EDGE_UPSTREAM_TRUST_H
#define WORKER_EDGE_UPSTREAM_TRUST_H

#include <curl/curl.h>
#include <openssl/x509_vfy.h>

#include "common/status.h"

/* `ca_file` is the only source when it is given; else the system's authorities, where libcurl would look for them.
 * STATUS_INVALID: nothing could be loaded. STATUS_NO_MEMORY. The caller frees with upstream_trust_free(). Blocks on
 * the file system. */
NODISCARD enum status upstream_trust_load(const char *ca_file, X509_STORE **out_store);

/* Accepts NULL. */
void upstream_trust_free(X509_STORE *store);

/* For CURLOPT_SSL_CTX_FUNCTION; the store is its data. */
CURLcode upstream_trust_apply(CURL *easy, void *ssl_context, void *store);

#endif
