/* The only place where compiler extensions are named. Everything else is C17 and POSIX. */
#ifndef COMMON_ATTRIBUTES_H
#define COMMON_ATTRIBUTES_H

/* The caller has to look at the result; a result that is really of no interest is discarded by naming it. */
#define NODISCARD __attribute__((warn_unused_result))

/* Argument number `at` is a printf format for the arguments from number `first` on. */
#define PRINTF_LIKE(at, first) __attribute__((__format__(__printf__, at, first)))

/* A large local that is written before it is read: hardened builds do not zero it at every call. */
#define UNINITIALIZED __attribute__((uninitialized))

/* The function does not return. */
#define NORETURN __attribute__((noreturn))

#endif
