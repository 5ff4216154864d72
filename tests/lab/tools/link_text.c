#include "tests/lab/tools/link_text.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/base/compiler.h"

/* How a number of the text becomes one of the structure. */
struct setting {
	const char *name;
	size_t offset;
	size_t bytes;
	double scale;
	double max; /* of the text */
};

#define SETTING(name, field, scale, max)                                                           \
	{                                                                                          \
		name, offsetof(struct link_settings, field),                                       \
			sizeof(((struct link_settings *)0)->field), scale, max                     \
	}

static const struct setting settings_table[] = {
	SETTING("delay_ms", delay_us, 1e3, 10000),
	SETTING("jitter_ms", jitter_us, 1e3, 10000),
	SETTING("loss_percent", loss_ppm, 1e4, 100),
	SETTING("loss_run", loss_run, 1, 1000),
	SETTING("duplicate_percent", duplicate_ppm, 1e4, 100),
	SETTING("reorder_percent", reorder_ppm, 1e4, 100),
	SETTING("reorder_by", reorder_by, 1, 1000),
	SETTING("rate_mbit", rate_bps, 1e6, 100000),
	SETTING("queue_kib", queue_bytes, 1024, 1 << 20),
};

const char *link_direction_name(enum link_direction d)
{
	return d == LINK_OUT ? "out" : "in";
}

static void store(struct link_settings *s, const struct setting *t, double value)
{
	void *field = (char *)s + t->offset;
	uint64_t number = (uint64_t)llround(value * t->scale);
	uint32_t small = (uint32_t)number;

	memcpy(field, t->bytes == sizeof(small) ? (void *)&small : (void *)&number, t->bytes);
}

static double load(const struct link_settings *s, const struct setting *t)
{
	const void *field = (const char *)s + t->offset;
	uint64_t number = 0;
	uint32_t small = 0;

	if (t->bytes == sizeof(small)) {
		memcpy(&small, field, sizeof(small));
		number = small;
	} else {
		memcpy(&number, field, sizeof(number));
	}
	return (double)number / t->scale;
}

bool link_text_apply(struct link_settings settings[static LINK_DIRECTIONS], const char *word)
{
	bool applies[LINK_DIRECTIONS] = {true, true};
	const char *equals = strchr(word, '=');
	double value;
	char *end;

	if (strncmp(word, "out.", 4) == 0)
		applies[LINK_IN] = false;
	else if (strncmp(word, "in.", 3) == 0)
		applies[LINK_OUT] = false;
	if (!applies[LINK_IN] || !applies[LINK_OUT])
		word = strchr(word, '.') + 1;
	if (!equals)
		return false;
	value = strtod(equals + 1, &end);
	if (end == equals + 1 || *end)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(settings_table); i++) {
		const struct setting *t = &settings_table[i];

		if (strlen(t->name) != (size_t)(equals - word) ||
		    strncmp(word, t->name, (size_t)(equals - word)) != 0)
			continue;
		if (!(value >= 0 && value <= t->max))
			return false;
		for (enum link_direction d = 0; d < LINK_DIRECTIONS; d++) {
			if (applies[d])
				store(&settings[d], t, value);
		}
		return true;
	}
	return false;
}

void link_text_format(enum link_direction d, const struct link_settings *s, char *buf, size_t cap)
{
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_SIZE(settings_table) && used < cap; i++)
		used += (size_t)snprintf(buf + used, cap - used, "%s.%s=%g\n",
					 link_direction_name(d), settings_table[i].name,
					 load(s, &settings_table[i]));
}
