/* libcurl's result codes as ends of a transport: see the header. */
#include "worker/edge/upstream_end.h"

#include <stddef.h>

/* Newer than the oldest libcurl that is supported; the number is fixed. */
enum { CODE_TOO_LARGE = 100 };

struct upstream_end_row {
	int code;
	enum transport_end end;
};

static const struct upstream_end_row upstream_ends[] = {
	{ CURLE_OK, TRANSPORT_WHOLE },
	{ CURLE_COULDNT_RESOLVE_HOST, TRANSPORT_DNS },
	{ CURLE_COULDNT_RESOLVE_PROXY, TRANSPORT_DNS },
	{ CURLE_COULDNT_CONNECT, TRANSPORT_CONNECT },
	{ CURLE_INTERFACE_FAILED, TRANSPORT_CONNECT },
	{ CURLE_PROXY, TRANSPORT_CONNECT },
	{ CURLE_SSL_CONNECT_ERROR, TRANSPORT_TLS },
	{ CURLE_SSL_CIPHER, TRANSPORT_TLS },
	{ CURLE_USE_SSL_FAILED, TRANSPORT_TLS },
	{ CURLE_SSL_CLIENTCERT, TRANSPORT_TLS },
	{ CURLE_PEER_FAILED_VERIFICATION, TRANSPORT_CERTIFICATE },
	{ CURLE_SSL_CACERT_BADFILE, TRANSPORT_CERTIFICATE },
	{ CURLE_SSL_CRL_BADFILE, TRANSPORT_CERTIFICATE },
	{ CURLE_SSL_ISSUER_ERROR, TRANSPORT_CERTIFICATE },
	{ CURLE_SSL_PINNEDPUBKEYNOTMATCH, TRANSPORT_CERTIFICATE },
	{ CURLE_SSL_INVALIDCERTSTATUS, TRANSPORT_CERTIFICATE },
	{ CURLE_OPERATION_TIMEDOUT, TRANSPORT_TIMEOUT },
	{ CURLE_GOT_NOTHING, TRANSPORT_CLOSED },
	{ CURLE_SEND_ERROR, TRANSPORT_CLOSED },
	{ CURLE_RECV_ERROR, TRANSPORT_CLOSED },
	{ CURLE_SEND_FAIL_REWIND, TRANSPORT_CLOSED },
	{ CURLE_SSL_SHUTDOWN_FAILED, TRANSPORT_CLOSED },
	{ CURLE_HTTP2, TRANSPORT_CLOSED },
	{ CURLE_HTTP2_STREAM, TRANSPORT_CLOSED },
	{ CURLE_WEIRD_SERVER_REPLY, TRANSPORT_CLOSED },
	/* What libcurl says to a reply without a status line. */
	{ CURLE_UNSUPPORTED_PROTOCOL, TRANSPORT_CLOSED },
	{ CURLE_PARTIAL_FILE, TRANSPORT_CUT },
	{ CURLE_BAD_CONTENT_ENCODING, TRANSPORT_CUT },
	{ CURLE_FILESIZE_EXCEEDED, TRANSPORT_TOO_LARGE },
	{ CODE_TOO_LARGE, TRANSPORT_TOO_LARGE },
};

static enum transport_end upstream_end_in_table(CURLcode code)
{
	for (size_t i = 0; i < sizeof(upstream_ends) / sizeof(*upstream_ends); i++)
		if (upstream_ends[i].code == (int)code) return upstream_ends[i].end;
	return TRANSPORT_INTERNAL;
}

enum transport_end upstream_end_of(CURLcode code, bool sent, bool begun)
{
	enum transport_end end = upstream_end_in_table(code);
	if (end == TRANSPORT_TIMEOUT && !sent) return TRANSPORT_CONNECT;
	/* libcurl 7.88 says so of a header line longer than it takes, which is far likelier than a lack of memory. */
	if (code == CURLE_OUT_OF_MEMORY && sent) return TRANSPORT_TOO_LARGE;
	if (end == TRANSPORT_CLOSED && begun) return TRANSPORT_CUT;
	return end;
}
