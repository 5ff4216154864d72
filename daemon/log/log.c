#include "daemon/log/log.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const struct {
	const char *name;
	const char *journal; /* syslog priority, as sd-daemon(3) writes it */
} levels[LOG_LEVEL_COUNT] = {
	[LOG_LEVEL_ERROR] = {"error", "<3>"},
	[LOG_LEVEL_WARNING] = {"warning", "<4>"},
	[LOG_LEVEL_INFO] = {"info", "<6>"},
	[LOG_LEVEL_DEBUG] = {"debug", "<7>"},
};

static void write_stderr(void *ctx, enum log_level level, const char *line, size_t len);
static uint64_t now_monotonic(void *ctx);

/* The one mutable object of the daemon: see the header. */
static struct {
	pthread_mutex_t lock;
	struct log_sink sink;
	_Atomic int level;
	bool journal;
} root = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.sink = {.write = write_stderr, .now_us = now_monotonic},
	.level = LOG_LEVEL_INFO,
};

/* One write a line, so that lines of several processes on one terminal do not mix. */
static void write_stderr(void *ctx, enum log_level level, const char *line, size_t len)
{
	char out[LOG_LINE_BYTES + 16];
	int n = snprintf(out, sizeof(out), "%s%s%.*s\n",
			 root.journal ? levels[level].journal : levels[level].name,
			 root.journal ? "" : " ", (int)len, line);

	(void)ctx;
	/* Nobody is left to tell when standard error is gone. */
	if (n > 0 && write(STDERR_FILENO, out, (size_t)n) < 0)
		return;
}

static uint64_t now_monotonic(void *ctx)
{
	struct timespec ts;

	(void)ctx;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

/* sd-daemon(3): the variable may be inherited while standard error is something else. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;

	if (!stream || sscanf(stream, "%ju:%ju", &device, &inode) != 2)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_start(enum log_level level, const struct log_sink *sink)
{
	pthread_mutex_lock(&root.lock);
	root.journal = stderr_is_journal();
	if (sink)
		root.sink = *sink;
	else
		root.sink = (struct log_sink){.write = write_stderr, .now_us = now_monotonic};
	pthread_mutex_unlock(&root.lock);
	log_set_level(level);
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&root.level, (int)level, memory_order_relaxed);
}

bool log_is_on(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&root.level, memory_order_relaxed);
}

bool log_level_parse(const char *name, enum log_level *ret)
{
	for (unsigned int i = 0; i < LOG_LEVEL_COUNT; i++) {
		if (strcmp(levels[i].name, name) == 0) {
			*ret = (enum log_level)i;
			return true;
		}
	}
	return false;
}

const char *log_level_name(enum log_level level)
{
	return (unsigned int)level < LOG_LEVEL_COUNT ? levels[level].name : "unknown";
}

static bool is_plain(const char *text)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		"-_.:/[]%+@,";

	return *text && text[strspn(text, allowed)] == '\0';
}

/* Appends @c to @out, escaped where needed, when it leaves @reserve bytes. Return: false when
 * full. */
static bool put_escaped(char *out, size_t cap, size_t *at, unsigned char c, bool quoted,
			size_t reserve)
{
	char form[5];
	size_t n;

	if (quoted && (c == '"' || c == '\\'))
		n = (size_t)snprintf(form, sizeof(form), "\\%c", c);
	else if (c < 0x20 || c == 0x7f || (quoted && c > 0x7f))
		n = (size_t)snprintf(form, sizeof(form), "\\x%02x", c);
	else
		n = (size_t)snprintf(form, sizeof(form), "%c", c);
	if (*at + n + reserve > cap)
		return false;
	memcpy(out + *at, form, n);
	*at += n;
	return true;
}

struct log_value log_quote(const char *text)
{
	struct log_value v;
	size_t at = 0;

	text = text ? text : "";
	if (strlen(text) < sizeof(v.text) && is_plain(text)) {
		memcpy(v.text, text, strlen(text) + 1);
		return v;
	}
	v.text[at++] = '"';
	for (; *text; text++) {
		/* Room for the closing quote and the NUL. */
		if (!put_escaped(v.text, sizeof(v.text), &at, (unsigned char)*text, true, 2))
			break;
	}
	v.text[at++] = '"';
	v.text[at] = '\0';
	return v;
}

/* Return: whether the site may write now; *ret_suppressed lines went unwritten before. */
static bool site_may_write(struct log_site *site, uint64_t now_us, uint64_t *ret_suppressed)
{
	if (site->written == 0 || now_us - site->window_start_us >= LOG_WINDOW_US) {
		site->window_start_us = now_us;
		site->written = 0;
	}
	if (site->written >= LOG_BURST) {
		site->suppressed++;
		return false;
	}
	site->written++;
	*ret_suppressed = site->suppressed;
	site->suppressed = 0;
	return true;
}

/* Writes "event rest[ suppressed=N]" with control characters escaped, cut where it does not fit. */
static size_t compose(char *line, size_t cap, const char *event, const char *rest,
		      uint64_t suppressed)
{
	static const char cut[] = "...";
	char tail[40] = "";
	size_t at, reserve;

	if (suppressed)
		snprintf(tail, sizeof(tail), " suppressed=%" PRIu64, suppressed);
	reserve = strlen(tail) + sizeof(cut);
	at = (size_t)snprintf(line, cap / 2, "%s ", event);
	at = at < cap / 2 ? at : cap / 2 - 1;
	for (; *rest; rest++) {
		if (!put_escaped(line, cap, &at, (unsigned char)*rest, false, reserve)) {
			memcpy(line + at, cut, strlen(cut));
			at += strlen(cut);
			break;
		}
	}
	memcpy(line + at, tail, strlen(tail) + 1);
	return at + strlen(tail);
}

void log_write(struct log_site *site, enum log_level level, const char *event, const char *format,
	       ...)
{
	char rest[LOG_LINE_BYTES];
	char line[LOG_LINE_BYTES];
	uint64_t suppressed = 0;
	va_list args;
	size_t len;

	pthread_mutex_lock(&root.lock);
	if (site_may_write(site, root.sink.now_us(root.sink.ctx), &suppressed)) {
		va_start(args, format);
		vsnprintf(rest, sizeof(rest), format, args);
		va_end(args);
		len = compose(line, sizeof(line), event, rest, suppressed);
		root.sink.write(root.sink.ctx, level, line, len);
	}
	pthread_mutex_unlock(&root.lock);
}
