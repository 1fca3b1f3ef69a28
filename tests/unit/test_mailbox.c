/* Mailboxes: order, bound, wake-ups, closing; then many senders at once, which the thread sanitizer watches. */
#include "common/mailbox.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "tests/unit/assertion_trap.h"
#include "tests/unit/no_descriptors.h"

static bool is_readable(const struct mailbox *mailbox)
{
	struct pollfd wait = { .fd = mailbox_fd(mailbox), .events = POLLIN };
	return poll(&wait, 1, 0) == 1 && (wait.revents & POLLIN) != 0;
}

static void wait_readable(const struct mailbox *mailbox)
{
	struct pollfd wait = { .fd = mailbox_fd(mailbox), .events = POLLIN };
	while (poll(&wait, 1, -1) < 1)
		continue;
}

/* Numbers as messages. */
static void put_number(struct mailbox *mailbox, int *number)
{
	assert_int_equal(mailbox_put(mailbox, number), STATUS_OK);
}

static void mailbox_free_accepts_null(void **state)
{
	(void)state;
	mailbox_free(NULL);
}

static void mailbox_without_room_or_message_asserts(void **state)
{
	(void)state;
	expect_assert_failure(assert_null(mailbox_new(0)));
	struct mailbox *mailbox = mailbox_new(1);
	expect_assert_failure(assert_int_equal(mailbox_put(mailbox, NULL), STATUS_OK));
	mailbox_free(mailbox);
}

static void mailbox_without_a_descriptor_is_none(void **state)
{
	(void)state;
	struct rlimit before = leave_descriptors(0);
	struct mailbox *mailbox = mailbox_new(1);
	allow_descriptors(before);
	assert_null(mailbox);
}

static void mailbox_fresh_is_empty_and_quiet(void **state)
{
	(void)state;
	void *messages[4];
	struct mailbox *mailbox = mailbox_new(4);
	assert_true(mailbox_fd(mailbox) >= 0);
	assert_false(is_readable(mailbox));
	assert_false(mailbox_is_closed(mailbox));
	assert_int_equal(mailbox_take(mailbox, messages, 4), 0);
	mailbox_free(mailbox);
}

static void mailbox_gives_back_in_order(void **state)
{
	(void)state;
	int numbers[5];
	void *messages[5];
	struct mailbox *mailbox = mailbox_new(5);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 5; i++)
			put_number(mailbox, &numbers[i]);
		assert_int_equal(mailbox_take(mailbox, messages, 2), 2);
		assert_int_equal(mailbox_take(mailbox, messages + 2, 3), 3);
		for (int i = 0; i < 5; i++)
			assert_ptr_equal(messages[i], &numbers[i]);
	}
	mailbox_free(mailbox);
}

static void mailbox_bound_is_exact(void **state)
{
	(void)state;
	static const size_t bounds[] = { 1, 2, 63, 64, 65, 129, 1000 };
	int number;
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		void *messages[1];
		struct mailbox *mailbox = mailbox_new(bounds[i]);
		for (size_t k = 0; k < bounds[i]; k++)
			put_number(mailbox, &number);
		assert_int_equal(mailbox_put(mailbox, &number), STATUS_FULL);
		assert_int_equal(mailbox_take(mailbox, messages, 1), 1);
		put_number(mailbox, &number);
		assert_int_equal(mailbox_put(mailbox, &number), STATUS_FULL);
		mailbox_free(mailbox);
	}
}

/* The ring is at its end when it grows, so its two halves have to be put in order. */
static void mailbox_growth_of_a_wrapped_ring_keeps_order(void **state)
{
	(void)state;
	int numbers[300];
	void *messages[300];
	struct mailbox *mailbox = mailbox_new(300);
	for (int i = 0; i < 60; i++)
		put_number(mailbox, &numbers[i]);
	assert_int_equal(mailbox_take(mailbox, messages, 50), 50);
	for (int i = 60; i < 300; i++)
		put_number(mailbox, &numbers[i]);
	assert_int_equal(mailbox_take(mailbox, messages, 300), 250);
	for (int i = 0; i < 250; i++)
		assert_ptr_equal(messages[i], &numbers[50 + i]);
	mailbox_free(mailbox);
}

static void mailbox_is_readable_while_something_is_there(void **state)
{
	(void)state;
	int number;
	void *messages[8];
	struct mailbox *mailbox = mailbox_new(8);
	for (int i = 0; i < 3; i++)
		put_number(mailbox, &number);
	assert_true(is_readable(mailbox));
	assert_int_equal(mailbox_take(mailbox, messages, 0), 0);
	assert_true(is_readable(mailbox));
	assert_int_equal(mailbox_take(mailbox, messages, 2), 2);
	assert_true(is_readable(mailbox));
	assert_int_equal(mailbox_take(mailbox, messages, 1), 1);
	assert_false(is_readable(mailbox));
	put_number(mailbox, &number);
	assert_true(is_readable(mailbox));
	mailbox_free(mailbox);
}

static void mailbox_closed_refuses_wakes_and_gives_the_rest(void **state)
{
	(void)state;
	int number;
	void *messages[4];
	struct mailbox *mailbox = mailbox_new(4);
	mailbox_close(mailbox);
	assert_true(is_readable(mailbox));
	assert_true(mailbox_is_closed(mailbox));
	assert_int_equal(mailbox_put(mailbox, &number), STATUS_CLOSED);
	assert_int_equal(mailbox_take(mailbox, messages, 4), 0);
	mailbox_free(mailbox);

	mailbox = mailbox_new(4);
	put_number(mailbox, &number);
	mailbox_close(mailbox);
	mailbox_close(mailbox);
	assert_int_equal(mailbox_put(mailbox, &number), STATUS_CLOSED);
	assert_int_equal(mailbox_take(mailbox, messages, 4), 1);
	assert_ptr_equal(messages[0], &number);
	mailbox_free(mailbox);
}

static void mailbox_closed_and_full_says_closed(void **state)
{
	(void)state;
	int number;
	struct mailbox *mailbox = mailbox_new(1);
	put_number(mailbox, &number);
	mailbox_close(mailbox);
	assert_int_equal(mailbox_put(mailbox, &number), STATUS_CLOSED);
	mailbox_free(mailbox);
}

enum { SENDERS = 4, MESSAGES_EACH = 20000, CROWD_BOUND = 100 };

struct parcel {
	int sender;
	int number;
};

struct sender {
	struct mailbox *mailbox;
	int number;
	int refused;
};

static void *send_all(void *argument)
{
	struct sender *sender = argument;
	for (int i = 0; i < MESSAGES_EACH; i++) {
		struct parcel *parcel = malloc(sizeof(*parcel));
		if (parcel == NULL) abort();
		*parcel = (struct parcel){ .sender = sender->number, .number = i };
		enum status status;
		while ((status = mailbox_put(sender->mailbox, parcel)) == STATUS_FULL) {
			sender->refused++;
			sched_yield();
		}
		if (status != STATUS_OK) abort();
	}
	return NULL;
}

/* Takes with a batch size that changes, waits for the descriptor each time, and counts what comes from whom. */
static void receive_all(struct mailbox *mailbox, int *next)
{
	void *messages[CROWD_BOUND];
	size_t want = 1;
	for (int left = SENDERS * MESSAGES_EACH; left > 0;) {
		wait_readable(mailbox);
		size_t count = mailbox_take(mailbox, messages, want);
		assert_true(count <= want);
		for (size_t i = 0; i < count; i++) {
			struct parcel *parcel = messages[i];
			assert_int_equal(parcel->number, next[parcel->sender]);
			next[parcel->sender]++;
			free(parcel);
			left--;
		}
		want = want % CROWD_BOUND + 1;
	}
}

static void mailbox_many_senders_lose_and_reorder_nothing(void **state)
{
	(void)state;
	struct mailbox *mailbox = mailbox_new(CROWD_BOUND);
	pthread_t threads[SENDERS];
	struct sender senders[SENDERS];
	int next[SENDERS] = { 0 };
	for (int i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){ .mailbox = mailbox, .number = i };
		assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
	}
	receive_all(mailbox, next);
	for (int i = 0; i < SENDERS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(next[i], MESSAGES_EACH);
	}
	void *rest[1];
	assert_int_equal(mailbox_take(mailbox, rest, 1), 0);
	mailbox_free(mailbox);
}

static void *drain_until_closed(void *argument)
{
	struct mailbox *mailbox = argument;
	void *messages[8];
	size_t *count = calloc(1, sizeof(*count));
	if (count == NULL) abort();
	for (;;) {
		bool was_closed = mailbox_is_closed(mailbox);
		size_t taken = mailbox_take(mailbox, messages, 8);
		*count += taken;
		if (taken > 0) continue;
		if (was_closed) return count;
		wait_readable(mailbox);
	}
}

static void mailbox_close_wakes_a_waiting_reader(void **state)
{
	(void)state;
	for (int round = 0; round < 200; round++) {
		struct mailbox *mailbox = mailbox_new(16);
		pthread_t reader;
		void *count;
		int number;
		assert_int_equal(pthread_create(&reader, NULL, drain_until_closed, mailbox), 0);
		for (int i = 0; i < round % 16; i++)
			put_number(mailbox, &number);
		mailbox_close(mailbox);
		assert_int_equal(pthread_join(reader, &count), 0);
		assert_int_equal(*(size_t *)count, round % 16);
		free(count);
		mailbox_free(mailbox);
	}
}

/* What the sender wrote before it put must be seen by the reader; the thread sanitizer says if it need not be. */
static void *answer_back(void *argument)
{
	struct mailbox **pair = argument;
	for (int i = 0; i < 2000;) {
		void *message;
		wait_readable(pair[0]);
		if (mailbox_take(pair[0], &message, 1) == 0) continue;
		(*(int *)message)++;
		if (mailbox_put(pair[1], message) != STATUS_OK) abort();
		i++;
	}
	return NULL;
}

static void mailbox_message_is_handed_over_whole(void **state)
{
	(void)state;
	struct mailbox *pair[2] = { mailbox_new(1), mailbox_new(1) };
	pthread_t other;
	int ball = 0;
	assert_int_equal(pthread_create(&other, NULL, answer_back, pair), 0);
	for (int i = 0; i < 2000; i++) {
		void *message = NULL;
		ball++;
		put_number(pair[0], &ball);
		while (mailbox_take(pair[1], &message, 1) == 0)
			wait_readable(pair[1]);
		assert_ptr_equal(message, &ball);
		assert_int_equal(ball, 2 * (i + 1));
	}
	assert_int_equal(pthread_join(other, NULL), 0);
	mailbox_free(pair[0]);
	mailbox_free(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mailbox_free_accepts_null),
		cmocka_unit_test(mailbox_without_room_or_message_asserts),
		cmocka_unit_test(mailbox_without_a_descriptor_is_none),
		cmocka_unit_test(mailbox_fresh_is_empty_and_quiet),
		cmocka_unit_test(mailbox_gives_back_in_order),
		cmocka_unit_test(mailbox_bound_is_exact),
		cmocka_unit_test(mailbox_growth_of_a_wrapped_ring_keeps_order),
		cmocka_unit_test(mailbox_is_readable_while_something_is_there),
		cmocka_unit_test(mailbox_closed_refuses_wakes_and_gives_the_rest),
		cmocka_unit_test(mailbox_closed_and_full_says_closed),
		cmocka_unit_test(mailbox_many_senders_lose_and_reorder_nothing),
		cmocka_unit_test(mailbox_close_wakes_a_waiting_reader),
		cmocka_unit_test(mailbox_message_is_handed_over_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
