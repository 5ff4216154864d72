/*
 * The settings of a link as text: words "NAME=NUMBER" for both directions, "out.NAME=NUMBER" or
 * "in.NAME=NUMBER" for one. Names and units:
 *
 *	delay_ms jitter_ms loss_percent loss_run duplicate_percent reorder_percent reorder_by
 *	rate_mbit queue_kib
 */
#ifndef ICETUN_LAB_LINK_TEXT_H
#define ICETUN_LAB_LINK_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/lab/tools/link.h"

enum link_direction { LINK_OUT, LINK_IN, LINK_DIRECTIONS };

const char *link_direction_name(enum link_direction d);

/* Applies one word. Return: false, and nothing has changed, when it is none of the above. */
bool link_text_apply(struct link_settings settings[static LINK_DIRECTIONS], const char *word);

/* All settings of one direction as words, each with its direction and a newline; cut at @cap. */
void link_text_format(enum link_direction d, const struct link_settings *s, char *buf, size_t cap);

#endif
