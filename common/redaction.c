#include "common/redaction.h"

#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"

struct form {
	char *data; /* owned */
	size_t size;
	uint64_t secret; /* whose it is */
};

struct redaction {
	struct form forms[REDACTION_FORMS_MAX];
	size_t count;
	uint64_t secrets; /* that were ever added */
};

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64_url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

struct redaction *redaction_new(void)
{
	return calloc(1, sizeof(struct redaction));
}

static void drop_form(const struct form *form)
{
	explicit_bzero(form->data, form->size);
	free(form->data);
}

static void drop_secret(struct redaction *redaction, uint64_t secret)
{
	size_t kept = 0;
	for (size_t i = 0; i < redaction->count; i++) {
		if (redaction->forms[i].secret == secret)
			drop_form(&redaction->forms[i]);
		else
			redaction->forms[kept++] = redaction->forms[i];
	}
	redaction->count = kept;
}

void redaction_free(struct redaction *redaction)
{
	if (redaction == NULL) return;
	for (size_t i = 0; i < redaction->count; i++)
		drop_form(&redaction->forms[i]);
	free(redaction);
}

static struct bytes form_text(const struct form *form)
{
	return bytes_at(form->data, form->size);
}

static bool has_form(const struct redaction *redaction, uint64_t secret, struct bytes text)
{
	for (size_t i = 0; i < redaction->count; i++) {
		const struct form *form = &redaction->forms[i];
		if (form->secret == secret && bytes_equal(form_text(form), text)) return true;
	}
	return false;
}

static enum status add_form(struct redaction *redaction, uint64_t secret, struct bytes text)
{
	if (has_form(redaction, secret, text)) return STATUS_OK;
	if (redaction->count == REDACTION_FORMS_MAX) return STATUS_FULL;
	char *copy = malloc(text.size);
	if (copy == NULL) return STATUS_NO_MEMORY;
	memcpy(copy, text.data, text.size);
	redaction->forms[redaction->count++] = (struct form){ .data = copy, .size = text.size, .secret = secret };
	return STATUS_OK;
}

static void write_json(struct bytes secret, struct buffer *out_text)
{
	buffer_append_json_string(out_text, secret);
	if (out_text->status != STATUS_OK) return;
	memmove(out_text->data, out_text->data + 1, out_text->size - 2);
	buffer_truncate(out_text, out_text->size - 2);
}

static const char lower_digits[] = "0123456789abcdef";
static const char upper_digits[] = "0123456789ABCDEF";

/* Every byte as two digits, this before each. */
static void write_digits(struct bytes secret, const char *before, const char *digits, struct buffer *out_text)
{
	for (size_t i = 0; i < secret.size; i++) {
		unsigned char one = (unsigned char)secret.data[i];
		buffer_append_text(out_text, before);
		buffer_append_char(out_text, digits[one >> 4]);
		buffer_append_char(out_text, digits[one & 15]);
	}
}

static bool is_unreserved(unsigned char one)
{
	return (one >= '0' && one <= '9') || (one >= 'a' && one <= 'z') || (one >= 'A' && one <= 'Z') ||
	       (one != 0 && strchr("-._~", one) != NULL);
}

static void write_url(struct bytes secret, const char *digits, struct buffer *out_text)
{
	for (size_t i = 0; i < secret.size; i++) {
		unsigned char one = (unsigned char)secret.data[i];
		if (is_unreserved(one))
			buffer_append_char(out_text, (char)one);
		else
			write_digits(bytes_at(secret.data + i, 1), "%", digits, out_text);
	}
}

/* The digits of base64 that depend on the secret alone, when `shift` bytes of something else come before it in its
 * group of three. */
static void write_base64(struct bytes secret, const char *digits, size_t shift, struct buffer *out_text)
{
	size_t first = (shift * 8 + 5) / 6;
	size_t end = (shift + secret.size) * 8 / 6;
	for (size_t digit = first; digit < end; digit++) {
		unsigned value = 0;
		for (size_t bit = digit * 6; bit < digit * 6 + 6; bit++) {
			unsigned one = (unsigned char)secret.data[bit / 8 - shift];
			value = value << 1 | ((one >> (7 - bit % 8)) & 1U);
		}
		buffer_append_char(out_text, digits[value]);
	}
}

enum form_kind {
	FORM_RAW, /* the first, so that a secret is known again by it */
	FORM_JSON,
	FORM_URL_UPPER,
	FORM_URL_LOWER,
	FORM_LOWER,
	FORM_UPPER = FORM_LOWER + 3,
	FORM_BASE64 = FORM_UPPER + 3,
	FORM_BASE64_URL = FORM_BASE64 + 3,
	FORM_COUNT = FORM_BASE64_URL + 3,
};

static void write_form(struct bytes secret, unsigned kind, struct buffer *out_text)
{
	static const char *const before[] = { "", "%", "\\u00" };
	if (kind >= FORM_BASE64_URL)
		write_base64(secret, base64_url_digits, kind - FORM_BASE64_URL, out_text);
	else if (kind >= FORM_BASE64)
		write_base64(secret, base64_digits, kind - FORM_BASE64, out_text);
	else if (kind >= FORM_LOWER)
		write_digits(secret, before[(kind - FORM_LOWER) % 3], kind < FORM_UPPER ? lower_digits : upper_digits,
			out_text);
	else if (kind == FORM_JSON)
		write_json(secret, out_text);
	else if (kind == FORM_RAW)
		buffer_append(out_text, secret);
	else
		write_url(secret, kind == FORM_URL_LOWER ? lower_digits : upper_digits, out_text);
}

enum status redaction_add(struct redaction *redaction, struct bytes secret)
{
	if (secret.size < REDACTION_SECRET_MIN) return STATUS_INVALID;
	if (secret.size > REDACTION_SECRET_MAX) return STATUS_TOO_LARGE;
	uint64_t number = ++redaction->secrets;
	struct buffer text;
	buffer_init(&text, REDACTION_SECRET_MAX * 6 + 2);
	enum status status = STATUS_OK;
	for (unsigned kind = FORM_RAW; kind < FORM_COUNT && status == STATUS_OK; kind++) {
		buffer_clear(&text);
		write_form(secret, kind, &text);
		status = buffer_status(&text);
		if (status == STATUS_OK) status = add_form(redaction, number, buffer_bytes(&text));
	}
	if (text.data != NULL) explicit_bzero(text.data, text.capacity);
	buffer_deinit(&text);
	if (status != STATUS_OK) drop_secret(redaction, number);
	return status;
}

static bool is_first_form(const struct redaction *redaction, size_t index)
{
	return index == 0 || redaction->forms[index - 1].secret != redaction->forms[index].secret;
}

void redaction_forget(struct redaction *redaction, struct bytes secret)
{
	for (size_t i = 0; i < redaction->count; i++) {
		const struct form *form = &redaction->forms[i];
		if (!is_first_form(redaction, i) || !bytes_equal(form_text(form), secret)) continue;
		drop_secret(redaction, form->secret);
		return;
	}
}

/* The first of all forms in `text`; the longest when several begin at the same byte. */
static bool find(const struct redaction *redaction, struct bytes text, size_t *out_at, size_t *out_size)
{
	bool found = false;
	for (size_t i = 0; i < redaction->count; i++) {
		const struct form *form = &redaction->forms[i];
		const char *hit = memmem(text.data, text.size, form->data, form->size);
		if (hit == NULL) continue;
		size_t at = (size_t)(hit - text.data);
		if (found && (at > *out_at || (at == *out_at && form->size < *out_size))) continue;
		found = true;
		*out_at = at;
		*out_size = form->size;
	}
	return found;
}

void redaction_apply(const struct redaction *redaction, struct bytes text, struct buffer *out_text)
{
	size_t at = 0, size = 0;
	while (text.size > 0 && find(redaction, text, &at, &size)) {
		buffer_append(out_text, bytes_at(text.data, at));
		buffer_append_text(out_text, "****");
		text = bytes_at(text.data + at + size, text.size - at - size);
	}
	if (text.size > 0) buffer_append(out_text, text);
}

bool redaction_finds(const struct redaction *redaction, struct bytes text)
{
	size_t at, size;
	return text.size > 0 && find(redaction, text, &at, &size);
}

bool redaction_name_is_secret(struct bytes name)
{
	static const char *const words[] = { "password", "secret", "jaas", "key", "oauth", "token", "credential",
		"authorization" };
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		size_t size = strlen(words[i]);
		for (size_t at = 0; at + size <= name.size; at++) {
			if (bytes_equal_ignoring_case(bytes_at(name.data + at, size), bytes_of(words[i]))) return true;
		}
	}
	return false;
}
