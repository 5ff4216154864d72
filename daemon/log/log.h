/*
 * The daemon's log: one line an event, `event key=value ...`, to one sink.
 *
 *	log_info("peer.connected", "peer=%s path=%s rtt_us=%" PRIu64, name, "direct", rtt_us);
 *	log_warning("signal.lost", "server=%s reason=%s", endpoint, log_quote(reason).text);
 *
 * Under systemd (JOURNAL_STREAM names the very file that standard error is) each line begins with
 * the priority that the journal understands, "<6>"; elsewhere with the level as a word. Event
 * names are `room.what`, in lower case, and stay the same from version to version; so do keys.
 * Keys have units as in the code (_ms, _us, _bytes). Secrets, tokens and payloads are never
 * logged.
 *
 * What comes from outside goes through log_quote(), so that a value cannot pretend to be a key;
 * and whatever reaches the sink has its control characters escaped, so that a line stays one line.
 *
 * Each call site may write LOG_BURST lines in LOG_WINDOW_US; further ones are counted, and the
 * count is told by the next line from there that gets through (`suppressed=N`).
 *
 * Levels: error - something that was asked for does not work and will not without help; warning -
 * it works but somebody should know; info - one line per change of state; debug - everything else.
 *
 * The sink is the only mutable global object of the daemon. It has a lock, so every thread may
 * log; the packet workers do not.
 */
#ifndef ICETUN_LOG_LOG_H
#define ICETUN_LOG_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/compiler.h"

#define LOG_BURST     10
#define LOG_WINDOW_US 10000000ULL
/* A longer line is cut and ends in "...". */
#define LOG_LINE_BYTES 1024
/* Longest value that log_quote() keeps. */
#define LOG_VALUE_BYTES 256

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_COUNT
};

/* Where lines go. Tests bring their own; the default is standard error and CLOCK_MONOTONIC. */
struct log_sink {
	/* @line: @len bytes, no newline, no NUL within; valid during the call. */
	void (*write)(void *ctx, enum log_level level, const char *line, size_t len);
	uint64_t (*now_us)(void *ctx);
	void *ctx;
};

/* The rate limit of one call site; only the macros below make one. */
struct log_site {
	uint64_t window_start_us;
	uint32_t written;
	uint64_t suppressed;
};

/* Chooses level and sink. @sink: copied; NULL for standard error. */
void log_start(enum log_level level, const struct log_sink *sink);
/* Changes the level alone. */
void log_set_level(enum log_level level);
bool log_is_on(enum log_level level);
/* Return: true and the level called @name ("error", "warning", "info", "debug"). */
bool log_level_parse(const char *name, enum log_level *ret);
const char *log_level_name(enum log_level level);

/* A value from outside, ready to stand behind "key=": as it is when it is harmless, else in double
 * quotes with \" \\ and \xNN escapes. */
struct log_value {
	char text[LOG_VALUE_BYTES];
};
/* @text: NULL counts as "". */
struct log_value log_quote(const char *text);

void log_write(struct log_site *site, enum log_level level, const char *event, const char *format,
	       ...) PRINTF_LIKE(4, 5);

#define LOG_AT(level, event, ...)                                                                  \
	do {                                                                                       \
		static struct log_site log_site_;                                                  \
		if (log_is_on(level))                                                              \
			log_write(&log_site_, level, event, __VA_ARGS__);                          \
	} while (0)

/* @event, then a printf format of one or more "key=value" pairs, then its arguments. */
#define log_error(event, ...)	LOG_AT(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warning(event, ...) LOG_AT(LOG_LEVEL_WARNING, event, __VA_ARGS__)
#define log_info(event, ...)	LOG_AT(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...)	LOG_AT(LOG_LEVEL_DEBUG, event, __VA_ARGS__)

#endif
