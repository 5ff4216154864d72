/*
 * Exit codes of icetun-rendezvous. They never change their meaning; --help prints this table.
 */
#ifndef ICETUN_RENDEZVOUS_EXIT_H
#define ICETUN_RENDEZVOUS_EXIT_H

#define EXIT_TABLE(X)                                                                              \
	X(DONE, 0, "done; for run: stopped by SIGTERM or SIGINT")                                  \
	X(INTERNAL, 1, "something failed inside: out of memory, a library")                        \
	X(USAGE, 2, "the command line is not right")                                               \
	X(CONFIG, 3, "the configuration file cannot be read or is not right")                      \
	X(EXISTS, 4, "init: the directory has a network already")                                  \
	X(PERMISSION, 5, "no permission for a file or a port")                                     \
	X(KEYS, 6, "a key file is missing or damaged")                                             \
	X(DATABASE, 7, "the issuer's database is missing, damaged or locked")                      \
	X(LISTEN, 8, "run: an address to listen on is in use or not of this host")                 \
	X(NOT_FOUND, 9, "token revoke: there is no such token")                                    \
	X(NO_ENDPOINT, 10, "token create: no public Endpoint is configured")                       \
	X(WRITE, 11, "a file or directory cannot be written")

enum exit_code {
#define X(name, code, text) EXIT_CODE_##name = code,
	EXIT_TABLE(X)
#undef X
};

#endif
