/*
 * Sentences for people. Internal to this room.
 *
 * Functions of this room return 0 or -errno for the program, and write one sentence for a person
 * into a buffer of the caller: what is wrong and what to do. It has no full stop and no newline, so
 * that it can stand in a log line.
 */
#ifndef ICETUN_TUN_WHY_H
#define ICETUN_TUN_WHY_H

#include <stddef.h>

#include "tun/attr.h"

/*
 * Writes the sentence and hands back the code, so that `return tun_why(...)` is one line.
 * @why: @why_cap writable bytes, gets a NUL-terminated string, cut if it does not fit; may be NULL
 * when @why_cap is 0.
 * @err: a negative errno.
 *
 * Return: @err.
 */
int tun_why(char *why, size_t why_cap, int err, const char *fmt, ...) TUN_PRINTF_LIKE(4, 5);

/*
 * What a failed kernel request means and what to do about it.
 * @err: a negative errno.
 *
 * Return: a constant string, never NULL.
 */
const char *tun_why_kernel(int err);

#endif
