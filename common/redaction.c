#include "common/redaction.h"

#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"

struct form {
	char *data; /* owned */
	size_t size;
};

struct redaction {
	struct form forms[REDACTION_FORMS_MAX];
	size_t count;
};

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

struct redaction *redaction_new(void)
{
	return calloc(1, sizeof(struct redaction));
}

static void drop_forms(struct redaction *redaction, size_t count_kept)
{
	while (redaction->count > count_kept) {
		struct form *form = &redaction->forms[--redaction->count];
		explicit_bzero(form->data, form->size);
		free(form->data);
	}
}

void redaction_free(struct redaction *redaction)
{
	if (redaction == NULL) return;
	drop_forms(redaction, 0);
	free(redaction);
}

static bool has_form(const struct redaction *redaction, struct bytes text)
{
	for (size_t i = 0; i < redaction->count; i++) {
		if (bytes_equal(bytes_at(redaction->forms[i].data, redaction->forms[i].size), text)) return true;
	}
	return false;
}

static enum status add_form(struct redaction *redaction, struct bytes text)
{
	if (has_form(redaction, text)) return STATUS_OK;
	if (redaction->count == REDACTION_FORMS_MAX) return STATUS_FULL;
	char *copy = malloc(text.size);
	if (copy == NULL) return STATUS_NO_MEMORY;
	memcpy(copy, text.data, text.size);
	redaction->forms[redaction->count++] = (struct form){ .data = copy, .size = text.size };
	return STATUS_OK;
}

static void write_json(struct bytes secret, struct buffer *out_text)
{
	buffer_append_json_string(out_text, secret);
	if (out_text->status != STATUS_OK) return;
	memmove(out_text->data, out_text->data + 1, out_text->size - 2);
	buffer_truncate(out_text, out_text->size - 2);
}

static bool is_unreserved(unsigned char one)
{
	return (one >= '0' && one <= '9') || (one >= 'a' && one <= 'z') || (one >= 'A' && one <= 'Z') ||
	       (one != 0 && strchr("-._~", one) != NULL);
}

static void write_url(struct bytes secret, bool is_lower, struct buffer *out_text)
{
	for (size_t i = 0; i < secret.size; i++) {
		unsigned char one = (unsigned char)secret.data[i];
		if (is_unreserved(one))
			buffer_append_char(out_text, (char)one);
		else
			buffer_append_format(out_text, is_lower ? "%%%02x" : "%%%02X", one);
	}
}

/* The digits of base64 that depend on the secret alone, when `shift` bytes of something else come before it in its
 * group of three. */
static void write_base64(struct bytes secret, size_t shift, struct buffer *out_text)
{
	size_t first = (shift * 8 + 5) / 6;
	size_t end = (shift + secret.size) * 8 / 6;
	for (size_t digit = first; digit < end; digit++) {
		unsigned value = 0;
		for (size_t bit = digit * 6; bit < digit * 6 + 6; bit++) {
			unsigned one = (unsigned char)secret.data[bit / 8 - shift];
			value = value << 1 | ((one >> (7 - bit % 8)) & 1U);
		}
		buffer_append_char(out_text, base64_digits[value]);
	}
}

enum form_kind { FORM_RAW, FORM_JSON, FORM_URL_UPPER, FORM_URL_LOWER, FORM_BASE64, FORM_COUNT = FORM_BASE64 + 3 };

static void write_form(struct bytes secret, unsigned kind, struct buffer *out_text)
{
	if (kind >= FORM_BASE64)
		write_base64(secret, kind - FORM_BASE64, out_text);
	else if (kind == FORM_JSON)
		write_json(secret, out_text);
	else if (kind == FORM_RAW)
		buffer_append(out_text, secret);
	else
		write_url(secret, kind == FORM_URL_LOWER, out_text);
}

enum status redaction_add(struct redaction *redaction, struct bytes secret)
{
	if (secret.size < REDACTION_SECRET_MIN) return STATUS_INVALID;
	if (secret.size > REDACTION_SECRET_MAX) return STATUS_TOO_LARGE;
	size_t count_before = redaction->count;
	struct buffer text;
	buffer_init(&text, REDACTION_SECRET_MAX * 6 + 2);
	enum status status = STATUS_OK;
	for (unsigned kind = FORM_RAW; kind < FORM_COUNT && status == STATUS_OK; kind++) {
		buffer_clear(&text);
		write_form(secret, kind, &text);
		status = buffer_status(&text);
		if (status == STATUS_OK) status = add_form(redaction, buffer_bytes(&text));
	}
	if (text.data != NULL) explicit_bzero(text.data, text.capacity);
	buffer_deinit(&text);
	if (status != STATUS_OK) drop_forms(redaction, count_before);
	return status;
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
