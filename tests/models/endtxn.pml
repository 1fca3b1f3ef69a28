/* The end of a transaction, sent by a client that does not speak KIP-890.
 *
 * The client runs NT transactions one after the other, two produces each. EndTxn is sent again when no answer comes, over
 * another connection, and the broker cannot tell the copies apart: a copy may be delivered at any time, also while a
 * later transaction is open, which it then commits or aborts. What must hold of every transaction:
 *
 *   whole     its two produces end together, never one committed and one not
 *   believed  the client's belief, committed or aborted, is what happened
 *
 * The program's rule E1 (ARCHITECTURE.md, "Publisher and transactions") makes the producer anew whenever a copy is not
 * answered when the transaction ends; the new one's epoch fences what is still on its way. VARIANT chooses the rule:
 *
 *   E1           the program's: a new producer when any copy is unanswered
 *   NONE         what a client without the rule does: goes on after the first answer
 *   TIMED_OUT    a new producer only when no answer came at all
 *   KIP890       the broker raises the epoch at each end of a transaction
 *   ONE_COPY     EndTxn is never sent again; a new producer when its answer does not come
 *
 * More is possible here than on a real broker, which checks a partition's part in the transaction before it takes a
 * produce; that closes some of these ways, not all. */

#define E1 1
#define NONE 2
#define TIMED_OUT 3
#define KIP890 4
#define ONE_COPY 5
#ifndef VARIANT
#define VARIANT E1
#endif
#ifndef NT
#define NT 3
#endif

#define COPIES 4 /* under way at once */
#define HAS_TIME_OUT (VARIANT != NONE && VARIANT != KIP890)
#define SENDS (VARIANT == ONE_COPY -> 1 : 2)

/* The coordinator's state of the one transactional id. */
mtype = { EMPTY, ONGOING, COMMITTED, ABORTED };
mtype state = EMPTY;
byte epoch;
byte current;        /* the transaction that is open, or was last */
mtype ended[NT + 1]; /* by transaction; EMPTY = not yet */
byte produced[NT + 1];
bool is_torn; /* a produce of a transaction that had ended opened another one */

/* Copies of EndTxn under way, in no order. */
bool is_sent[COPIES];
bool wants_commit[COPIES];
byte sent_epoch[COPIES];
byte sent_for[COPIES]; /* transaction */

/* The epoch of the client's producer; with KIP-890 the answers carry the raised one. */
byte producer_epoch;

/* What the client hears. */
bool is_heard[NT + 1];
bool is_accepted[NT + 1];
byte unanswered; /* copies, over all connections of this producer */

inline put(k, commit, i)
{
	is_sent[k] = true; wants_commit[k] = commit; sent_epoch[k] = producer_epoch; sent_for[k] = i; unanswered++
}

inline send(commit, i)
{
	atomic {
		if
		:: !is_sent[0] -> put(0, commit, i)
		:: else -> if
			:: !is_sent[1] -> put(1, commit, i)
			:: else -> if
				:: !is_sent[2] -> put(2, commit, i)
				:: else -> !is_sent[3]; put(3, commit, i)
				fi
			fi
		fi
	}
}

/* The answer reaches the client, or is lost with its connection where the client knows what to do then. One to an earlier
 * producer is nobody's. */
inline answer(k, accepted)
{
	if
	:: sent_epoch[k] == producer_epoch ->
		is_heard[sent_for[k]] = true; is_accepted[sent_for[k]] = accepted; unanswered--
	:: sent_epoch[k] != producer_epoch || HAS_TIME_OUT -> skip
	fi;
	sent_epoch[k] = 0; sent_for[k] = 0; wants_commit[k] = false
}

inline end_current(commit)
{
	if
	:: commit -> ended[current] = COMMITTED; state = COMMITTED
	:: else -> ended[current] = ABORTED; state = ABORTED
	fi;
	if
	:: VARIANT == KIP890 -> epoch++
	:: else -> skip
	fi
}

proctype deliver(byte k)
{
end:	do
	:: atomic {
		is_sent[k] -> is_sent[k] = false;
		if
		:: sent_epoch[k] != epoch -> answer(k, false)
		:: else -> if
			:: state == ONGOING -> end_current(wants_commit[k]); answer(k, true)
			:: (state == COMMITTED && wants_commit[k]) || (state == ABORTED && !wants_commit[k]) -> answer(k, true)
			:: else -> answer(k, false)
			fi
		fi
	}
	od
}

inline produce(i)
{
	atomic {
		if
		:: state == ONGOING -> produced[i]++
		:: else -> is_torn = is_torn || produced[i] == 1; state = ONGOING; current = i; produced[i]++
		fi
	}
}

/* Destroys the producer and makes it anew with the same transactional id. */
inline new_producer()
{
	atomic {
		epoch++; producer_epoch = epoch; unanswered = 0;
		if
		:: state == ONGOING -> ended[current] = ABORTED; state = ABORTED
		:: else -> skip
		fi
	}
}

/* Waits for an answer, or for the time-out of the call: `believed` stays EMPTY then, or when EndTxn was refused. */
inline end_transaction(i)
{
	do
	:: atomic {
		is_heard[i] ->
		if
		:: is_accepted[i] && commit -> believed = COMMITTED
		:: is_accepted[i] && !commit -> believed = ABORTED
		:: else -> skip
		fi
	   };
	   break
	:: sends < SENDS -> send(commit, i); sends++
	:: sends > 0 && HAS_TIME_OUT -> break
	od
}

inline judge(i)
{
	if
	:: believed == EMPTY -> new_producer(); believed = ended[i] /* read back from the committed offset */
	:: else -> if
		:: VARIANT == KIP890 -> producer_epoch = epoch; unanswered = 0
		:: VARIANT == E1 && unanswered > 0 -> new_producer(); believed = ended[i]
		:: else -> skip
		fi
	fi
}

proctype client()
{
	byte i = 1, sends;
	bool commit;
	mtype believed;
	do
	:: i > NT -> break
	:: else ->
		produce(i); produce(i);
		sends = 0; believed = EMPTY;
		if
		:: commit = true
		:: commit = false
		fi;
		end_transaction(i);
		judge(i);
		assert(!is_torn);
		assert(ended[i] == believed);
		i++
	od
}

init
{
	atomic {
		byte k;
		for (k : 0 .. NT) { ended[k] = EMPTY }
		run deliver(0); run deliver(1); run deliver(2); run deliver(3); run client()
	}
}
