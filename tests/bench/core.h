#ifndef ICETUN_BENCH_CORE_H
#define ICETUN_BENCH_CORE_H

#include "daemon/core/base/err.h"

/* Of which the best counts. */
#define BENCH_ROUNDS 15

double bench_now_ns(void);
/* Ends the program unless @e is OK. */
void bench_need(enum err e);

/* Each prints its own table. */
void bench_cut(void);
void bench_check(void);

#endif
