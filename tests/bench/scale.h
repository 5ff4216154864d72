/* What the two halves of bench_scale share. */
#ifndef ICETUN_BENCH_SCALE_H
#define ICETUN_BENCH_SCALE_H

#include <stddef.h>

#include "daemon/core/base/err.h"

struct memory {
	size_t heap;	 /* of malloc(), with its own overhead */
	size_t locked;	 /* secrets, in pages of libsodium's */
	size_t resident; /* all that the kernel counts, with what malloc() keeps free */
};

double seconds(void);
/* Of the process: other work of the machine does not count. */
double cpu_seconds(void);
struct memory memory_now(void);
/* The growth, for each of @count. */
void report(const char *what, struct memory from, struct memory to, size_t count, double took_s);
/* Ends the program. */
void die(const char *what, size_t i);
void need(enum err e);

/* scale_overlay.c, scale_data.c */
void overlay_bench(size_t peers);
void data_bench(size_t peers);

#endif
