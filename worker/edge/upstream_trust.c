/* Trusted certificates: see the header. */
#include "worker/edge/upstream_trust.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>

#include "common/assertion.h"

static bool trust_load_system(X509_STORE *store)
{
	const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
	bool has_file = info->cainfo != NULL && X509_STORE_load_file(store, info->cainfo) == 1;
	/* A folder is only searched when a certificate is looked up. */
	bool has_folder = info->capath != NULL && X509_STORE_load_path(store, info->capath) == 1;
	return has_file || has_folder;
}

/* OpenSSL reads the extensions of a certificate when it first needs them; done here, the threads only ever read. */
static void trust_read_extensions(X509_STORE *store)
{
	STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);
	for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
		X509 *certificate = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
		if (certificate != NULL) X509_check_purpose(certificate, -1, 0);
	}
}

enum status upstream_trust_load(const char *ca_file, X509_STORE **out_store)
{
	X509_STORE *store = X509_STORE_new();
	if (store == NULL) return STATUS_NO_MEMORY;
	bool is_given = ca_file != NULL && *ca_file != '\0';
	bool loaded = is_given ? X509_STORE_load_file(store, ca_file) == 1 : trust_load_system(store);
	trust_read_extensions(store);
	/* What OpenSSL says of a missing file stays in its queue otherwise and is taken for the error of a later call. */
	ERR_clear_error();
	/* As libcurl sets its own store: an intermediate authority that is listed is trusted as it stands. */
	X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
	if (!loaded) {
		X509_STORE_free(store);
		return STATUS_INVALID;
	}
	*out_store = store;
	return STATUS_OK;
}

void upstream_trust_free(X509_STORE *store)
{
	X509_STORE_free(store);
}

CURLcode upstream_trust_apply(CURL *easy, void *ssl_context, void *store)
{
	(void)easy;
	ASSERT(ssl_context != NULL);
	ASSERT(store != NULL);
	SSL_CTX_set1_cert_store(ssl_context, store);
	SSL_CTX_set_mode(ssl_context, SSL_MODE_RELEASE_BUFFERS);
	return CURLE_OK;
}
