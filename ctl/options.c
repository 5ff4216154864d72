#include "ctl/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/output.h"

struct parse {
	const struct option_spec *specs;
	struct option_spec common[3];
	int argc;
	char **argv;
	int at;
};

static const struct option_spec *find(const struct parse *p, const char *name, size_t len,
				      char letter)
{
	const struct option_spec *lists[] = {p->specs, p->common};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		for (const struct option_spec *s = lists[i]; s && s->name; s++) {
			if (letter ? s->letter == letter
				   : strlen(s->name) == len && strncmp(s->name, name, len) == 0)
				return s;
		}
	}
	return NULL;
}

/* @value: what is attached to the option, or NULL. */
static bool apply(struct parse *p, const struct option_spec *spec, char *value)
{
	if (spec->ret_flag) {
		if (value) {
			fail_detail(PROBLEM_USAGE, "--%s takes no value", spec->name);
			return false;
		}
		*spec->ret_flag = true;
		return true;
	}
	if (!value && p->at < p->argc)
		value = p->argv[p->at++];
	if (!value) {
		fail_detail(PROBLEM_USAGE, "--%s needs a value", spec->name);
		return false;
	}
	*spec->ret_value = value;
	return true;
}

static bool take_option(struct parse *p, char *text)
{
	const struct option_spec *spec;
	char *value = NULL;

	if (text[1] == '-') {
		size_t len = strcspn(text + 2, "=");

		spec = find(p, text + 2, len, 0);
		if (text[2 + len] == '=')
			value = text + 2 + len + 1;
	} else {
		spec = find(p, NULL, 0, text[1]);
		if (text[2] != '\0')
			value = text + 2;
	}
	if (!spec) {
		fail_detail(PROBLEM_USAGE, "there is no option %s", text);
		return false;
	}
	return apply(p, spec, value);
}

bool options_parse(struct context *context, const struct command *command, int argc, char **argv,
		   const struct option_spec *specs, char **ret_arguments, unsigned int max,
		   enum problem *ret)
{
	bool help = false, only_arguments = false;
	char *socket = NULL;
	unsigned int count = 0;
	struct parse p = {.specs = specs,
			  .common = {{.name = "socket", .ret_value = &socket},
				     {.name = "help", .letter = 'h', .ret_flag = &help}},
			  .argc = argc,
			  .argv = argv};

	for (unsigned int i = 0; i < max; i++)
		ret_arguments[i] = NULL;
	*ret = PROBLEM_USAGE;
	while (p.at < argc) {
		char *text = argv[p.at++];

		if (!only_arguments && strcmp(text, "--") == 0) {
			only_arguments = true;
		} else if (!only_arguments && text[0] == '-' && text[1] != '\0') {
			if (!take_option(&p, text))
				return false;
		} else if (count < max) {
			ret_arguments[count++] = text;
		} else {
			fail_detail(PROBLEM_USAGE, "%s is one argument too many", text);
			return false;
		}
	}
	if (socket)
		context->socket = socket;
	if (!help)
		return true;
	command_print_help(command);
	*ret = PROBLEM_NONE;
	return false;
}

bool options_seconds(const char *name, const char *text, uint64_t min_ms, uint64_t max_ms,
		     uint64_t *ret_ms)
{
	static const char allowed[] = "0123456789.";
	double ms;
	char *end;

	if (!text)
		return true;
	ms = strtod(text, &end) * 1000;
	if (*text && text[strspn(text, allowed)] == '\0' && *end == '\0' && ms >= (double)min_ms &&
	    ms <= (double)max_ms) {
		*ret_ms = (uint64_t)(ms + 0.5);
		return true;
	}
	fail_detail(PROBLEM_USAGE, "--%s must be a number of seconds from %g to %g, not %s", name,
		    (double)min_ms / 1000, (double)max_ms / 1000, text);
	return false;
}

bool options_number(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	unsigned long long v;

	if (!text)
		return true;
	v = strtoull(text, NULL, 10);
	if (*text && text[strspn(text, "0123456789")] == '\0' && strlen(text) < 19 && v >= min &&
	    v <= max) {
		*ret = v;
		return true;
	}
	fail_detail(PROBLEM_USAGE, "--%s must be a whole number from %llu to %llu, not %s", name,
		    (unsigned long long)min, (unsigned long long)max, text);
	return false;
}
