/* A bounded queue between threads: see the header.
 *
 * The ring grows by doubling up to the bound, so a generous bound costs nothing while it is not used. The eventfd is
 * written only when the queue goes from empty to not empty: one system call a burst. */
#include "common/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/assertion.h"

enum { MAILBOX_CAPACITY_FIRST = 64 };

struct mailbox {
	pthread_mutex_t lock; /* guards everything below but fd */
	void **ring;
	size_t capacity;
	size_t count_max;
	size_t first;
	size_t count;
	bool closed;
	int fd; /* never changes */
};

struct mailbox *mailbox_new(size_t count_max)
{
	ASSERT(count_max > 0);
	struct mailbox *mailbox = calloc(1, sizeof(*mailbox));
	if (mailbox == NULL) return NULL;
	mailbox->count_max = count_max;
	mailbox->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (mailbox->fd < 0) {
		free(mailbox);
		return NULL;
	}
	int result = pthread_mutex_init(&mailbox->lock, NULL);
	ASSERT(result == 0);
	return mailbox;
}

void mailbox_free(struct mailbox *mailbox)
{
	if (mailbox == NULL) return;
	close(mailbox->fd);
	pthread_mutex_destroy(&mailbox->lock);
	free(mailbox->ring);
	free(mailbox);
}

int mailbox_fd(const struct mailbox *mailbox)
{
	return mailbox->fd;
}

static void mailbox_lock(struct mailbox *mailbox)
{
	int result = pthread_mutex_lock(&mailbox->lock);
	ASSERT(result == 0);
}

static void mailbox_unlock(struct mailbox *mailbox)
{
	int result = pthread_mutex_unlock(&mailbox->lock);
	ASSERT(result == 0);
}

static void mailbox_wake(const struct mailbox *mailbox)
{
	uint64_t one = 1;
	ssize_t written;
	do
		written = write(mailbox->fd, &one, sizeof(one));
	while (written < 0 && errno == EINTR);
	/* EAGAIN means the counter is full, so the reader is as awake as can be. */
}

static enum status mailbox_reserve(struct mailbox *mailbox)
{
	ASSERT(mailbox->count <= mailbox->capacity);
	if (mailbox->count < mailbox->capacity) return STATUS_OK;
	if (mailbox->count >= mailbox->count_max) return STATUS_FULL;
	size_t capacity = mailbox->capacity == 0 ? MAILBOX_CAPACITY_FIRST : mailbox->capacity * 2;
	if (capacity > mailbox->count_max) capacity = mailbox->count_max;
	void **ring = malloc(capacity * sizeof(void *));
	if (ring == NULL) return STATUS_NO_MEMORY;
	for (size_t i = 0; i < mailbox->count; i++)
		ring[i] = mailbox->ring[(mailbox->first + i) % mailbox->capacity];
	free(mailbox->ring);
	mailbox->ring = ring;
	mailbox->capacity = capacity;
	mailbox->first = 0;
	return STATUS_OK;
}

enum status mailbox_put(struct mailbox *mailbox, void *message)
{
	ASSERT(message != NULL);
	mailbox_lock(mailbox);
	enum status status = mailbox->closed ? STATUS_CLOSED : mailbox_reserve(mailbox);
	bool was_empty = mailbox->count == 0;
	if (status == STATUS_OK) {
		mailbox->ring[(mailbox->first + mailbox->count) % mailbox->capacity] = message;
		mailbox->count++;
	}
	mailbox_unlock(mailbox);
	if (status == STATUS_OK && was_empty) mailbox_wake(mailbox);
	return status;
}

size_t mailbox_take(struct mailbox *mailbox, void **out_messages, size_t count_max)
{
	/* Read the counter before the ring: a put in between leaves it readable, never the other way round. */
	uint64_t counter;
	ssize_t got;
	do
		got = read(mailbox->fd, &counter, sizeof(counter));
	while (got < 0 && errno == EINTR);

	mailbox_lock(mailbox);
	size_t count = mailbox->count < count_max ? mailbox->count : count_max;
	for (size_t i = 0; i < count; i++) {
		out_messages[i] = mailbox->ring[mailbox->first];
		mailbox->first = (mailbox->first + 1) % mailbox->capacity;
	}
	mailbox->count -= count;
	bool more = mailbox->count > 0;
	mailbox_unlock(mailbox);
	if (more) mailbox_wake(mailbox);
	return count;
}

void mailbox_close(struct mailbox *mailbox)
{
	mailbox_lock(mailbox);
	mailbox->closed = true;
	mailbox_unlock(mailbox);
	mailbox_wake(mailbox);
}

bool mailbox_is_closed(struct mailbox *mailbox)
{
	mailbox_lock(mailbox);
	bool closed = mailbox->closed;
	mailbox_unlock(mailbox);
	return closed;
}
