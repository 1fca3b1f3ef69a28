#include "common/url.h"

#include <string.h>

#include "common/assertion.h"

static bool has_byte(struct bytes text, char one)
{
	return text.size > 0 && memchr(text.data, one, text.size) != NULL;
}

static bool is_printable(struct bytes text)
{
	for (size_t i = 0; i < text.size; i++) {
		unsigned char one = (unsigned char)text.data[i];
		if (one <= ' ' || one >= 0x7f || strchr("\"<>\\^`{|}", one) != NULL) return false;
	}
	return true;
}

static struct bytes after(struct bytes text, size_t size)
{
	ASSERT(size <= text.size);
	return bytes_at(text.data + size, text.size - size);
}

static bool is_ipv4_loopback(struct bytes host)
{
	unsigned dots = 0;
	for (size_t i = 0; i < host.size; i++) {
		char one = host.data[i];
		if (one == '.')
			dots++;
		else if (one < '0' || one > '9')
			return false;
	}
	return dots == 3 && bytes_starts_with(host, BYTES_LITERAL("127."));
}

static bool is_loopback(struct bytes host)
{
	return bytes_equal_ignoring_case(host, BYTES_LITERAL("localhost")) || bytes_equal_text(host, "::1") ||
	       is_ipv4_loopback(host);
}

static const char *read_port(struct bytes text, struct url *url)
{
	int64_t port;
	bool is_good = bytes_to_int64(text, &port) == STATUS_OK && port > 0 && port <= 65535;
	if (!is_good) return "has a port that is not a number from 1 to 65535";
	url->port = (unsigned)port;
	return NULL;
}

static bool is_host(struct bytes host, bool is_bracketed)
{
	const char *others = is_bracketed ? ":.%" : ".-_";
	for (size_t i = 0; i < host.size; i++) {
		char one = host.data[i];
		bool is_letter = (one >= 'a' && one <= 'z') || (one >= 'A' && one <= 'Z') || (one >= '0' && one <= '9');
		if (!is_letter && strchr(others, one) == NULL) return false;
	}
	return host.size > 0;
}

/* `host`, `host:port`, `[address]` or `[address]:port`. */
static const char *read_authority(struct bytes text, struct url *url)
{
	bool is_bracketed = text.size > 0 && text.data[0] == '[';
	const char *end = memchr(text.size > 0 ? text.data : "", is_bracketed ? ']' : ':', text.size);
	if (is_bracketed && end == NULL) return "has an unclosed bracket";
	size_t size = end == NULL ? text.size : (size_t)(end - text.data);
	url->host = is_bracketed ? bytes_at(text.data + 1, size - 1) : bytes_at(text.data, size);
	if (!is_host(url->host, is_bracketed)) return "has no host, or one that is not a name or address";
	url->is_loopback = is_loopback(url->host);
	struct bytes rest = after(text, is_bracketed ? size + 1 : size);
	if (rest.size == 0) return NULL;
	return rest.data[0] == ':' ? read_port(after(rest, 1), url) : "has something behind the bracket";
}

static const char *read_url(struct bytes text, struct url *url)
{
	struct bytes https = BYTES_LITERAL("https://"), http = BYTES_LITERAL("http://");
	url->is_https = bytes_starts_with(text, https);
	if (!url->is_https && !bytes_starts_with(text, http)) return "must begin with https://";
	if (!is_printable(text)) return "has a blank or another character that a URL cannot have";
	if (has_byte(text, '?') || has_byte(text, '#')) return "must not have a query or fragment";
	url->port = url->is_https ? 443 : 80;
	struct bytes rest = after(text, url->is_https ? https.size : http.size);
	const char *slash = rest.size == 0 ? NULL : memchr(rest.data, '/', rest.size);
	size_t size = slash == NULL ? rest.size : (size_t)(slash - rest.data);
	url->path = after(rest, size);
	struct bytes authority = bytes_at(rest.data, size);
	if (has_byte(authority, '@')) return "must not hold a user name or password";
	return read_authority(authority, url);
}

enum status url_parse(struct bytes text, struct url *out_url, const char **out_problem)
{
	struct url url = { 0 };
	const char *problem = read_url(text, &url);
	if (problem != NULL) {
		*out_problem = problem;
		return STATUS_INVALID;
	}
	*out_url = url;
	return STATUS_OK;
}
