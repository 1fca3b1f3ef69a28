/* What all requests have in common: see the header. */
#include "worker/edge/upstream_setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/url.h"
#include "worker/edge/upstream_trust.h"

enum {
	READ_BUFFER_SIZE =
		2048, /* libcurl's own is 16 KiB for every transfer that waits; deltas come in some 200 bytes */
	UPLOAD_BUFFER_SIZE = 16384, /* the least it takes; over TLS held for as long as the transfer lasts */
	KEEPALIVE_IDLE_S = 20,
	KEEPALIVE_INTERVAL_S = 5,
	DNS_CACHE_S = 300,
	IDLE_MAX_S = 60,
	CONNECTION_LIFE_MAX_S = 600,
	/* The first libcurl whose HTTP/2 has its early faults mended: lost resets, wrong flow control, refused streams. */
	HTTP_2_GOOD_VERSION = 0x080800,
};

static bool is_set(const char *text)
{
	return text != NULL && *text != '\0';
}

/* No control characters. */
static bool is_clean(const char *text)
{
	for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++)
		if (*at < 0x20 || *at == 0x7f) return false;
	return true;
}

static enum status setup_refuse(const struct upstream_options *options, const char *what)
{
	log_event(options->log, LOG_LEVEL_ERROR, "upstream option refused", LOG_FIELDS(log_string("option", what)));
	return STATUS_INVALID;
}

static enum status setup_check(const struct upstream_options *options, struct upstream_setup *setup)
{
	if (is_set(options->app_url) && !is_clean(options->app_url)) return setup_refuse(options, "app_url");
	if (is_set(options->app_title) && !is_clean(options->app_title)) return setup_refuse(options, "app_title");
	if (!is_set(options->base_url)) return setup_refuse(options, "base_url");
	struct url url;
	const char *problem;
	if (url_parse(bytes_of(options->base_url), &url, &problem) != STATUS_OK)
		return setup_refuse(options, "base_url");
	bool is_allowed = url.is_https || url.is_loopback || options->insecure_http;
	setup->scheme = url.is_https ? "https" : "http";
	return is_allowed ? STATUS_OK : setup_refuse(options, "base_url");
}

static long setup_http_version(enum upstream_http http, bool is_tls)
{
	switch (http) {
	case UPSTREAM_HTTP_1_1:
		return CURL_HTTP_VERSION_1_1;
	case UPSTREAM_HTTP_2:
		return is_tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
	case UPSTREAM_HTTP_AUTO:
		break;
	}
	const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
	bool is_good = info->version_num >= HTTP_2_GOOD_VERSION && (info->features & CURL_VERSION_HTTP2) != 0;
	return is_tls && is_good ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1;
}

static char *copy_of(const char *text)
{
	return strdup(text == NULL ? "" : text);
}

static enum status setup_texts(const struct upstream_options *options, struct upstream_setup *setup)
{
	if (asprintf(&setup->chat_url, "%s/chat/completions", options->base_url) < 0) setup->chat_url = NULL;
	if (asprintf(&setup->key_url, "%s/key", options->base_url) < 0) setup->key_url = NULL;
	setup->proxy = copy_of(options->proxy);
	setup->app_url = copy_of(options->app_url);
	setup->app_title = copy_of(options->app_title);
	bool has_urls = setup->chat_url != NULL && setup->key_url != NULL;
	bool has_texts = setup->proxy != NULL && setup->app_url != NULL && setup->app_title != NULL;
	return has_urls && has_texts ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status setup_trust(const struct upstream_options *options, struct upstream_setup *setup)
{
	if (strcmp(setup->scheme, "https") != 0) return STATUS_OK;
	enum status status = upstream_trust_load(options->ca_file, &setup->trust);
	return status == STATUS_INVALID ? setup_refuse(options, "ca_file") : status;
}

static enum status setup_try(const struct upstream_options *options, struct upstream_setup *setup)
{
	CURL *easy = curl_easy_init();
	if (easy == NULL) return STATUS_NO_MEMORY;
	enum status status = upstream_setup_apply(setup, easy);
	curl_easy_cleanup(easy);
	return status == STATUS_INVALID ? setup_refuse(options, "a libcurl option") : status;
}

enum status upstream_setup_open(const struct upstream_options *options, struct upstream_setup *out_setup)
{
	struct upstream_setup setup = {
		.connect_timeout_ms = options->connect_timeout_ms,
		.streams_per_connection = options->streams_per_connection,
		.cache_ttl_s = options->cache_ttl_s,
		.limits = options->limits,
		.log = options->log,
	};
	enum status status = setup_check(options, &setup);
	if (status != STATUS_OK) return status;
	setup.http_version = setup_http_version(options->http, strcmp(setup.scheme, "https") == 0);
	status = setup_texts(options, &setup);
	if (status == STATUS_OK) status = setup_trust(options, &setup);
	if (status == STATUS_OK) status = setup_try(options, &setup);
	if (status == STATUS_OK)
		*out_setup = setup;
	else
		upstream_setup_close(&setup);
	return status;
}

void upstream_setup_close(struct upstream_setup *setup)
{
	upstream_trust_free(setup->trust);
	free(setup->chat_url);
	free(setup->key_url);
	free(setup->proxy);
	free(setup->app_url);
	free(setup->app_title);
	*setup = (struct upstream_setup){ 0 };
}

struct long_option {
	CURLoption option;
	long value;
};

static CURLcode apply_longs(CURL *easy, const struct upstream_setup *setup)
{
	const struct long_option options[] = {
		{ CURLOPT_NOSIGNAL, 1 },
		{ CURLOPT_QUICK_EXIT, 1 }, /* else removing a handle joins a thread that waits for DNS */
		{ CURLOPT_TCP_KEEPALIVE, 1 },
		{ CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
		{ CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S },
		{ CURLOPT_DNS_CACHE_TIMEOUT, DNS_CACHE_S },
		{ CURLOPT_MAXAGE_CONN, IDLE_MAX_S },
		{ CURLOPT_MAXLIFETIME_CONN, CONNECTION_LIFE_MAX_S },
		{ CURLOPT_CONNECTTIMEOUT_MS, setup->connect_timeout_ms },
		{ CURLOPT_BUFFERSIZE, READ_BUFFER_SIZE },
		{ CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER_SIZE },
		{ CURLOPT_FOLLOWLOCATION, 0 },
		{ CURLOPT_NETRC, CURL_NETRC_IGNORED },
		{ CURLOPT_HTTP_VERSION, setup->http_version },
		{ CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
		{ CURLOPT_SSL_VERIFYPEER, 1 },
		{ CURLOPT_SSL_VERIFYHOST, 2 },
		{ CURLOPT_DISALLOW_USERNAME_IN_URL, 1 },
		{ CURLOPT_SUPPRESS_CONNECT_HEADERS, 1 },
	};
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		CURLcode code = curl_easy_setopt(easy, options[i].option, options[i].value);
		if (code != CURLE_OK) return code;
	}
	return CURLE_OK;
}

struct text_option {
	CURLoption option;
	const char *value;
};

static CURLcode apply_texts(CURL *easy, const struct upstream_setup *setup)
{
	const struct text_option options[] = {
		{ CURLOPT_PROTOCOLS_STR, setup->scheme },
		{ CURLOPT_REDIR_PROTOCOLS_STR, setup->scheme },
		{ CURLOPT_PROXY, setup->proxy }, /* "" keeps the environment's out */
		{ CURLOPT_NOPROXY, "" },         /* likewise */
		{ CURLOPT_CAINFO, NULL },        /* upstream_trust does it */
		{ CURLOPT_CAPATH, NULL },
	};
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		CURLcode code = curl_easy_setopt(easy, options[i].option, options[i].value);
		if (code != CURLE_OK) return code;
	}
	return CURLE_OK;
}

enum status upstream_setup_apply(const struct upstream_setup *setup, CURL *easy)
{
	CURLcode code = apply_longs(easy, setup);
	if (code == CURLE_OK) code = apply_texts(easy, setup);
	if (code == CURLE_OK && setup->trust != NULL) {
		code = curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, upstream_trust_apply);
		if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, setup->trust);
	}
	if (code == CURLE_OUT_OF_MEMORY) return STATUS_NO_MEMORY;
	if (code != CURLE_OK) return STATUS_INVALID;
	return upstream_setup_aim(setup, easy, UPSTREAM_AIM_CHAT);
}

enum status upstream_setup_aim(const struct upstream_setup *setup, CURL *easy, enum upstream_aim aim)
{
	bool is_chat = aim == UPSTREAM_AIM_CHAT;
	CURLcode code = curl_easy_setopt(easy, CURLOPT_URL, is_chat ? setup->chat_url : setup->key_url);
	if (code == CURLE_OK) code = curl_easy_setopt(easy, is_chat ? CURLOPT_POST : CURLOPT_HTTPGET, 1L);
	return code == CURLE_OK ? STATUS_OK : STATUS_NO_MEMORY;
}
