/* What every fuzz target includes; README.md beside this file says how to write and run one. */
#ifndef ICETUN_TEST_FUZZ_H
#define ICETUN_TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* A property that must hold for every input. Stays in release builds. */
#define fuzz_check(condition)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* One run. @data holds exactly @size bytes, so that a sanitizer sees each byte read behind it.
 * Return: 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
