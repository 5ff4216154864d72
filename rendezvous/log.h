/*
 * The log of the rendezvous server: one line an event on standard error, `event key=value ...`.
 *
 * Under systemd (JOURNAL_STREAM names the file that standard error is) a line begins with the
 * priority that the journal understands. No secret, no token, no body of a message is ever given to
 * it; what comes from outside is an identifier or a number, and control characters are made '?'
 * anyway. The caller keeps the rate of lines that the outside can cause.
 */
#ifndef ICETUN_RENDEZVOUS_LOG_H
#define ICETUN_RENDEZVOUS_LOG_H

#include "daemon/core/base/compiler.h"

enum log_level {
	LOG_ERROR = 3, /* the priorities of syslog(3) */
	LOG_WARNING = 4,
	LOG_INFO = 6,
};

void log_write(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#define log_error(...)	 log_write(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_info(...)	 log_write(LOG_INFO, __VA_ARGS__)

#endif
