/* Compiler attributes and small macros used everywhere. */
#ifndef ICETUN_BASE_COMPILER_H
#define ICETUN_BASE_COMPILER_H

#include <stddef.h>

/* The caller has to look at the result. */
#define MUST_USE __attribute__((warn_unused_result))
/* @fmt_index: position of the format string among the parameters, from 1. */
#define PRINTF_LIKE(fmt_index, args_index) __attribute__((format(printf, fmt_index, args_index)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The structure that contains @member at @ptr. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
