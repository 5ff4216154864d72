#include "rendezvous/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "rendezvous/store.h"

enum exit_code command_fail(enum exit_code code, const char *format, ...)
{
	va_list args;

	fputs("icetun-rendezvous: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return code;
}

/* Return: the option that @arg names; *ret_value is what stands behind '=', or NULL. */
static struct command_option *find_option(const char *arg, struct command_option *options,
					  size_t count, const char **ret_value)
{
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(options[i].name);

		if (strncmp(arg + 2, options[i].name, len))
			continue;
		if (arg[2 + len] != '\0' && arg[2 + len] != '=')
			continue;
		*ret_value = arg[2 + len] == '=' ? arg + 3 + len : NULL;
		return &options[i];
	}
	return NULL;
}

enum exit_code command_parse(int argc, char **argv, struct command_option *options,
			     size_t option_count, const char **rest, size_t rest_max,
			     size_t *ret_rest)
{
	size_t count = 0;

	for (int i = 0; i < argc; i++) {
		const char *value = NULL;
		struct command_option *option;

		if (strncmp(argv[i], "--", 2)) {
			if (count == rest_max)
				return command_fail(EXIT_CODE_USAGE,
						    "\"%s\" is too much here; see --help.",
						    argv[i]);
			rest[count++] = argv[i];
			continue;
		}
		option = find_option(argv[i], options, option_count, &value);
		if (!option)
			return command_fail(EXIT_CODE_USAGE,
					    "there is no option %s here; see --help.", argv[i]);
		if (!value && i + 1 < argc)
			value = argv[++i];
		if (!value || !value[0])
			return command_fail(EXIT_CODE_USAGE, "--%s needs a value; see --help.",
					    option->name);
		if (option->value)
			return command_fail(EXIT_CODE_USAGE, "--%s stands there twice.",
					    option->name);
		option->value = value;
	}
	*ret_rest = count;
	return EXIT_CODE_DONE;
}

enum exit_code command_load_config(const char *dir, const char *file, struct config *ret)
{
	char error[CONFIG_ERROR_BYTES];
	char path[PATH_MAX];
	enum err err;

	if (dir && file)
		return command_fail(EXIT_CODE_USAGE, "give --dir or --config, not both.");
	if (!file) {
		if (store_path(dir ? dir : CONFIG_DEFAULT_DIRECTORY, CONFIG_FILE_NAME, path,
			       sizeof(path)) != OK)
			return command_fail(EXIT_CODE_USAGE, "the path %s is too long.", dir);
		file = path;
	}
	err = config_load(file, ret, error);
	if (err == OK)
		return EXIT_CODE_DONE;
	return command_fail(err == ERR_PERMISSION ? EXIT_CODE_PERMISSION : EXIT_CODE_CONFIG, "%s",
			    error);
}

enum exit_code command_open_issuer(const struct config *config, const uint8_t *authority_secret,
				   uint32_t busy_ms, struct issuer **ret)
{
	char path[PATH_MAX];
	const struct issuer_params params = {
		.path = path,
		.prefix = config->prefix,
		.prefix6 = config->prefix6,
		.authority_secret = authority_secret,
		.busy_ms = busy_ms,
	};
	enum err err = store_path(config->directory, STORE_DATABASE, path, sizeof(path));

	if (err == OK)
		err = issuer_open(ret, &params);
	if (err == OK)
		return EXIT_CODE_DONE;
	if (err == ERR_PERMISSION)
		return command_fail(EXIT_CODE_PERMISSION,
				    "no permission for %s; run as root or as the server's user.",
				    path);
	if (err == ERR_NOT_FOUND)
		return command_fail(EXIT_CODE_DATABASE,
				    "there is no database %s; restore it from a backup, or make a "
				    "new network with `icetun-rendezvous init`.",
				    path);
	return command_fail(
		EXIT_CODE_DATABASE, "%s cannot be used (%s); restore it from a backup.", path,
		err == ERR_INVALID ? "it is damaged or of another version" : err_text(err));
}

enum exit_code command_read_key(const struct config *config, const char *name, bool is_secret,
				uint8_t ret[static 32])
{
	switch ((int)store_read_key(config->directory, name, is_secret, ret)) {
	case OK:
		return EXIT_CODE_DONE;
	case ERR_PERMISSION:
		return command_fail(EXIT_CODE_PERMISSION,
				    "no permission to read %s/%s; run as root or as the server's "
				    "user.",
				    config->directory, name);
	case ERR_KEY:
		return command_fail(EXIT_CODE_KEYS,
				    "%s/%s is damaged, or other users may read it; restore it from "
				    "a backup and set its mode to 0600.",
				    config->directory, name);
	default:
		return command_fail(EXIT_CODE_KEYS,
				    "%s/%s is missing; restore it from a backup: without it the "
				    "network's hosts will not know this server.",
				    config->directory, name);
	}
}
