#include "daemon/core/base/problem.h"

#include <string.h>

static const struct {
	const char *name;
	const char *text;
	const char *advice;
	int exit;
	bool wire;
} problems[PROBLEM_COUNT] = {
#define X(code, name_, exit_, wire_, text_, advice_)                                               \
	[PROBLEM_##code] = {                                                                       \
		.name = name_, .text = text_, .advice = advice_, .exit = exit_, .wire = wire_},
	PROBLEM_TABLE(X)
#undef X
};

static enum problem clamp(enum problem p)
{
	return (unsigned int)p < PROBLEM_COUNT ? p : PROBLEM_INTERNAL;
}

const char *problem_name(enum problem p)
{
	return problems[clamp(p)].name;
}

const char *problem_text(enum problem p)
{
	return problems[clamp(p)].text;
}

const char *problem_advice(enum problem p)
{
	return problems[clamp(p)].advice;
}

int problem_exit(enum problem p)
{
	return problems[clamp(p)].exit;
}

bool problem_is_wire(enum problem p)
{
	return problems[clamp(p)].wire;
}

enum problem problem_find(const char *name)
{
	for (unsigned int i = 0; i < PROBLEM_COUNT; i++) {
		if (strcmp(problems[i].name, name) == 0)
			return (enum problem)i;
	}
	return PROBLEM_COUNT;
}
