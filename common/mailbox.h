/* Where threads meet: a bounded queue of pointers that wakes its one reader through a file descriptor.
 *
 * Any thread puts, one thread takes. What is put is handed over whole: the sender keeps no pointer into it. The lock
 * covers moving pointers only. The descriptor (an eventfd) is readable while something may be there; the reader waits
 * on it with epoll and drains in batches, so a burst costs one wake-up.
 *
 * Owner: whoever called mailbox_new(); it must outlive all senders. */
#ifndef COMMON_MAILBOX_H
#define COMMON_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "common/status.h"

struct mailbox;

/* `count_max` messages at most. NULL when memory or a descriptor is missing. */
NODISCARD struct mailbox *mailbox_new(size_t count_max);

/* Accepts NULL. Messages still inside are *not* freed: drain it first. */
void mailbox_free(struct mailbox *mailbox);

/* Readable when there may be something to take. Level-triggered; owned by the mailbox. */
int mailbox_fd(const struct mailbox *mailbox);

/* Any thread; never blocks. On STATUS_OK the reader owns `message`, otherwise the caller still does.
 * STATUS_FULL: the bound is reached. STATUS_CLOSED: mailbox_close() was called. */
NODISCARD enum status mailbox_put(struct mailbox *mailbox, void *message);

/* Reader only; never blocks. Takes up to `count_max` messages in the order they were put, and returns how many. The
 * descriptor stays readable while more is there. */
size_t mailbox_take(struct mailbox *mailbox, void **out_messages, size_t count_max);

/* Any thread: later puts fail with STATUS_CLOSED, the reader is woken. What is inside can still be taken. */
void mailbox_close(struct mailbox *mailbox);
bool mailbox_is_closed(struct mailbox *mailbox);

#endif
