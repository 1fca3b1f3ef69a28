/* One partition handed over between two members of the group: the ledger, the transactions that carry it, and the group.
 *
 * The log has RECORDS requests. Each member reads them from the watermark on, skips what the committed progress says is
 * finished, calls, and commits what is ready, with the progress it makes, in transactions: one batch at a time. The
 * group moves the partition, orderly (REVOKE: the member may wait for its batch, gives up, joins again) or because a
 * member's session has expired, of which that member hears late (LOST); members die and come back; transactions abort,
 * or end without the member knowing how. All that happens at most FAULTS times, so every run ends. What must hold:
 *
 *   once         no request has two replies in the committed view
 *   not passed   committed progress covers no request without a committed reply
 *   not again    no member of the group begins a call whose reply is committed; one that has not heard that its session
 *                expired may
 *   all          every run ends with every request answered and all progress committed: a run that stops before is what
 *                the verifier calls an invalid end state
 *
 * Sets of offsets are bit masks. Progress is the set itself; the watermark is its first missing member, and a text is
 * what encode() keeps of it. Bits that are true "of now" stand for identities that would count up for ever:
 * `knows_group` for a generation, `is_stored` for a commit id.
 *
 * A generation is raised before the partition reaches its new owner, because the old one joins again after a REVOKE:
 * that is the group's rule, not the program's, and give_up() relies on it.
 *
 * VARIANT leaves a rule of the program out:
 *
 *   WHOLE             none
 *   NO_FENCING        offsets are committed without the identity of the group's member
 *   LOST_COMMITS      what is ready when a partition is lost is committed with the identity of then
 *   FETCHED_IDENTITY  a batch's identity is that of its commit, not that of its making
 *   EARLY_ADOPT       the ledger takes a batch for finished before it is known to be committed
 *   BITS_DROPPED      what was restored is encoded only as far as it was read again
 *   NO_WAIT           the new owner does not wait for an open transaction that holds progress of the partition
 *   UNCERTAIN_ABORTS  an uncertain end is taken for an abort
 *   PARKED_BLINDLY    a parked reply is used whatever the committed progress says
 *   BATCH_COMES_BACK  a batch that aborts after its partition was given up and came back is ready again
 *
 * and one the rule of the group that give_up() relies on:
 *
 *   SAME_GENERATION   the next owner gets the partition in the generation in which the last one gave it up */

#define WHOLE 1
#define NO_FENCING 2
#define LOST_COMMITS 3
#define FETCHED_IDENTITY 4
#define EARLY_ADOPT 5
#define BITS_DROPPED 6
#define NO_WAIT 7
#define UNCERTAIN_ABORTS 8
#define PARKED_BLINDLY 9
#define BATCH_COMES_BACK 10
#define SAME_GENERATION 11
#ifndef VARIANT
#define VARIANT WHOLE
#endif
#ifndef RECORDS
#define RECORDS 3
#endif
#ifndef FAULTS
#define FAULTS 2
#endif
#ifndef PARKING
#define PARKING 1 /* finished replies of a partition given up are kept for its return */
#endif

#define ALL ((1 << RECORDS) - 1)
#define BIT(i) (1 << (i))
#define OTHER(m) (1 - (m))
#define FINISHED_BY(m) (members[m].ready | members[m].waiting | members[m].staged)
#define BELOW_WATERMARK(set) (((set) ^ ((set) + 1)) >> 1) /* the ones it begins with */

/* Where a member's transaction is; PENDING: its offsets are accepted and block who asks for the committed ones. */
mtype = { NONE, BEGUN, PENDING, ENDED };

typedef member_state {
	bool is_alive;
	bool is_zombie;   /* out of the group and does not know */
	bool knows_group; /* has captured the identity of the current generation */
	bool has;         /* the partition */
	bool gives_up;    /* was told to */

	/* Of the partition, since it was assigned. */
	byte next;    /* offset to be read */
	byte done;    /* the ledger: finished and committed */
	byte staged;  /* in the batch under way */
	byte calling;
	byte ready;   /* replies that no batch has */
	byte waiting; /* replies that came back while the batch from before still has them */

	byte parked;  /* replies from before the partition was given up, those that a batch has among them */

	/* The batch under way. */
	mtype phase;
	byte batch;
	byte text;            /* progress that it carries */
	bool batch_knows;     /* its identity is of the current generation */
	bool is_detached;     /* the partition was given up since */
	bool is_committed;    /* in truth, once ENDED */
	bool is_stored        /* the commit id of this batch stands beside the committed progress */
};

member_state members[2];

/* The broker. */
byte target;   /* whom the group wants to have the partition */
byte stored;   /* committed progress */
byte answered; /* requests with a committed reply */
byte faults = FAULTS;

/* ---- the group ---- */

inline raise_generation()
{
	members[0].knows_group = false; members[0].batch_knows = false;
	members[1].knows_group = false; members[1].batch_knows = false
}

inline hear(m)
{
	members[m].knows_group = true;
	members[m].gives_up = members[m].has && target != m
}

/* Calls that run may finish into the park, or may not; the park may have no room. */
inline park(m)
{
	if
	:: PARKING -> if
		:: members[m].parked = members[m].parked | FINISHED_BY(m) | members[m].calling
		:: members[m].parked = members[m].parked | FINISHED_BY(m)
		:: skip
		fi
	:: else -> skip
	fi
}

inline drop(m)
{
	park(m);
	members[m].has = false; members[m].gives_up = false; members[m].next = 0; members[m].done = 0;
	members[m].staged = 0; members[m].calling = 0; members[m].ready = 0;
	members[m].waiting = 0;
	members[m].is_detached = members[m].phase != NONE
}

/* The end of an orderly revocation: the member joins again, which makes a generation. */
inline give_up(m)
{
	if
	:: members[m].phase != NONE -> faults-- /* the wait for the batch has its bound */
	:: else -> skip
	fi;
	drop(m);
	if
	:: VARIANT != SAME_GENERATION -> raise_generation()
	:: else -> skip
	fi
}

inline restore(m)
{
	members[m].has = true;
	members[m].done = stored;
	members[m].next = 0;
	if
	:: VARIANT != PARKED_BLINDLY -> members[m].parked = members[m].parked & ~stored
	:: else -> skip
	fi
}

/* ---- chats ---- */

inline resume(m)
{
	members[m].parked = members[m].parked & ~BIT(members[m].next);
	if
	:: members[m].batch & BIT(members[m].next) -> members[m].waiting = members[m].waiting | BIT(members[m].next)
	:: else -> members[m].ready = members[m].ready | BIT(members[m].next)
	fi
}

inline take(m)
{
	if
	:: (members[m].parked & BIT(members[m].next)) &&
	   (VARIANT == PARKED_BLINDLY || !(members[m].done & BIT(members[m].next))) -> resume(m)
	:: else -> if
		:: members[m].done & BIT(members[m].next) -> skip
		:: else ->
			assert(members[m].is_zombie || !(answered & BIT(members[m].next))); /* not again */
			members[m].calling = members[m].calling | BIT(members[m].next)
		fi
	fi;
	members[m].next++
}

inline finish_call(m, i)
{
	members[m].calling = members[m].calling & ~BIT(i);
	members[m].ready = members[m].ready | BIT(i)
}

/* ---- batches ---- */

/* The text of a batch keeps all that is finished: up to the watermark, and the bits above it. */
inline encode(m)
{
	members[m].text = members[m].done | members[m].staged;
	if
	:: VARIANT == BITS_DROPPED ->
		members[m].text = BELOW_WATERMARK(members[m].text) | (members[m].text & (BIT(members[m].next) - 1))
	:: else -> skip
	fi
}

/* All that is ready, or as much as fits: the lowest one stands for that. */
inline make_batch(m)
{
	if
	:: members[m].batch = members[m].ready
	:: members[m].batch = members[m].ready & (BIT(RECORDS) - members[m].ready)
	fi;
	members[m].staged = members[m].batch;
	members[m].ready = members[m].ready & ~members[m].batch;
	encode(m);
	members[m].batch_knows = members[m].knows_group;
	members[m].is_detached = false;
	members[m].is_stored = false;
	members[m].phase = BEGUN;
	if
	:: VARIANT == EARLY_ADOPT -> members[m].done = members[m].done | members[m].staged
	:: else -> skip
	fi
}

/* The group's coordinator looks at the identity when the offsets come, and only then. */
inline send_offsets(m)
{
	if
	:: VARIANT == FETCHED_IDENTITY -> members[m].batch_knows = members[m].knows_group
	:: else -> skip
	fi;
	if
	:: members[m].batch_knows || VARIANT == NO_FENCING -> members[m].phase = PENDING
	:: else -> members[m].phase = ENDED; members[m].is_committed = false
	fi
}

inline commit(m)
{
	assert(!(answered & members[m].batch)); /* once */
	answered = answered | members[m].batch;
	stored = members[m].text;
	assert(!(stored & ~answered)); /* not passed */
	members[m].is_stored = true; members[OTHER(m)].is_stored = false;
	members[m].phase = ENDED; members[m].is_committed = true
}

inline abort(m)
{
	members[m].phase = ENDED; members[m].is_committed = false
}

inline adopt(m)
{
	if
	:: !members[m].is_detached -> members[m].done = members[m].done | members[m].staged; members[m].staged = 0
	:: else ->
		assert(VARIANT == PARKED_BLINDLY || !members[m].waiting); /* what is committed was not open when the partition came back */
		members[m].parked = members[m].parked & ~members[m].batch
	fi
}

inline unstage(m)
{
	if
	:: !members[m].is_detached || (VARIANT == BATCH_COMES_BACK && members[m].has) ->
		members[m].ready = members[m].ready | members[m].batch; members[m].staged = 0
	:: else -> members[m].ready = members[m].ready | members[m].waiting
	fi;
	members[m].waiting = 0
}

inline forget_batch(m)
{
	members[m].phase = NONE; members[m].batch = 0; members[m].text = 0; members[m].batch_knows = false;
	members[m].is_detached = false; members[m].is_committed = false; members[m].is_stored = false
}

inline hear_end(m, was_committed)
{
	if
	:: was_committed -> adopt(m)
	:: else -> unstage(m)
	fi;
	forget_batch(m)
}

/* ---- faults ---- */

inline expire(m)
{
	faults--;
	members[m].is_zombie = true;
	target = OTHER(m);
	raise_generation()
}

/* LOST: the member hears that its session has expired, and joins again. */
inline lose(m)
{
	if
	:: VARIANT == LOST_COMMITS && members[m].has && members[m].ready && members[m].phase == NONE ->
		make_batch(m); members[m].batch_knows = true
	:: else -> skip
	fi;
	drop(m);
	members[m].is_zombie = false;
	if
	:: VARIANT == LOST_COMMITS -> skip
	:: else -> raise_generation()
	fi
}

/* Its transaction stays until the broker ends it; what never reached its offsets is aborted unseen. */
inline die(m)
{
	faults--;
	members[m].ready = 0; members[m].waiting = 0; members[m].staged = 0; members[m].calling = 0;
	drop(m);
	members[m].parked = 0;
	members[m].is_alive = false; members[m].is_zombie = false;
	if
	:: members[m].phase != PENDING -> forget_batch(m)
	:: else -> skip
	fi;
	target = OTHER(m);
	raise_generation()
}

inline move_partition()
{
	faults--;
	target = OTHER(target);
	raise_generation()
}

#define IS_MEMBER(m) (members[m].is_alive && !members[m].is_zombie)
#define IS_FREE(m) (!members[OTHER(m)].has || !IS_MEMBER(OTHER(m)))
#define HOLDS_OFFSETS(m) (members[m].phase == PENDING)

proctype member(byte m)
{
	do
	/* the group */
	:: atomic { IS_MEMBER(m) && !members[m].knows_group -> hear(m) }
	:: atomic { members[m].gives_up && (members[m].phase == NONE || faults > 0) -> give_up(m) }
	:: atomic {
		IS_MEMBER(m) && members[m].knows_group && target == m && !members[m].has && IS_FREE(m) &&
		((!HOLDS_OFFSETS(0) && !HOLDS_OFFSETS(1)) || VARIANT == NO_WAIT) -> restore(m)
	   }
	/* chats */
	:: atomic { members[m].has && members[m].next < RECORDS -> take(m) }
	:: atomic { members[m].calling & BIT(0) -> finish_call(m, 0) }
	:: atomic { members[m].calling & BIT(1) -> finish_call(m, 1) }
	:: atomic { members[m].calling & BIT(2) -> finish_call(m, 2) }
	/* batches */
	:: atomic { members[m].has && members[m].ready && members[m].phase == NONE -> make_batch(m) }
	:: atomic { members[m].is_alive && members[m].phase == BEGUN -> send_offsets(m) }
	:: atomic { members[m].phase == PENDING -> commit(m) }
	:: atomic { members[m].phase == PENDING && (faults > 0 || !members[m].is_alive) ->
		if
		:: members[m].is_alive -> faults--
		:: else -> skip
		fi;
		abort(m)
	   }
	:: atomic { members[m].is_alive && members[m].phase == ENDED -> hear_end(m, members[m].is_committed) }
	:: atomic { members[m].is_alive && members[m].phase == ENDED && faults > 0 ->
		faults--; hear_end(m, VARIANT != UNCERTAIN_ABORTS && members[m].is_stored)
	   }
	/* faults */
	:: atomic { IS_MEMBER(m) && faults > 0 -> expire(m) }
	:: atomic { members[m].is_zombie -> lose(m) }
	:: atomic { members[m].is_alive && faults > 0 -> die(m) }
	:: atomic { !members[m].is_alive && members[m].phase != PENDING ->
		forget_batch(m); members[m].is_alive = true; raise_generation()
	   }
	:: atomic { target == m && faults > 0 -> move_partition() }
	:: stored == ALL -> break
	od
}

init
{
	atomic {
		members[0].is_alive = true; members[1].is_alive = true;
		members[0].phase = NONE; members[1].phase = NONE;
		run member(0); run member(1)
	}
}
