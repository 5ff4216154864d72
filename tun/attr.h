/* What each header of this room shares. */
#ifndef ICETUN_TUN_ATTR_H
#define ICETUN_TUN_ATTR_H

/* The caller has to look at the result. */
#define TUN_MUST_USE __attribute__((warn_unused_result))
/* @fmt_index: position of the format string among the parameters, from 1. */
#define TUN_PRINTF_LIKE(fmt_index, args_index)                                                     \
	__attribute__((format(printf, fmt_index, args_index)))

/* Room enough for each sentence that this room writes into a `why` buffer, in bytes. */
#define TUN_WHY_CAP 256

#endif
