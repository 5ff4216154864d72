#include "daemon/core/turn/allocation.h"

const char *turn_state_name(enum turn_state state)
{
	static const char *const names[] = {
		[TURN_ALLOCATING] = "allocating", [TURN_HELD] = "held",
		[TURN_PURGING] = "purging",	  [TURN_ALLOCATED] = "allocated",
		[TURN_EXPIRING] = "expiring",	  [TURN_RELEASING] = "releasing",
		[TURN_RELEASED] = "released",	  [TURN_REDIRECTED] = "redirected",
		[TURN_FAILED] = "failed",	  [TURN_LOST] = "lost",
	};

	_Static_assert(ARRAY_SIZE(names) == TURN_STATE_COUNT, "a name for each state");
	return state < TURN_STATE_COUNT ? names[state] : "unknown";
}

static const struct {
	const char *name, *text;
} problems[TURN_PROBLEM_COUNT] = {
#define X(code, short_name, sentence) [TURN_PROBLEM_##code] = {short_name, sentence},
	TURN_PROBLEM_TABLE(X)
#undef X
};

const char *turn_problem_name(enum turn_problem problem)
{
	return problem < TURN_PROBLEM_COUNT ? problems[problem].name : "unknown";
}

const char *turn_problem_text(enum turn_problem problem)
{
	return problem < TURN_PROBLEM_COUNT ? problems[problem].text : "unknown";
}
