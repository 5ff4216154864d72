/* The client's side of the control socket: one connection, one request at a time, with time
 * limits. */
#ifndef ICETUN_CTL_CLIENT_H
#define ICETUN_CTL_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "ctl/command.h"

/* How long the daemon may take for what it answers from memory. */
#define CLIENT_TIMEOUT_MS 10000
#define CLIENT_FOREVER	  UINT64_MAX

struct client;

/* Each of these says on standard error what went wrong when it returns anything but
 * PROBLEM_NONE. */

/* Connects. Return: PROBLEM_NONE, _NOT_RUNNING, _PERMISSION, _BUSY, _INTERNAL. */
enum problem client_open(struct client **ret, const struct context *context);
/* NULL is fine. */
void client_close(struct client *c);
/* Sends a call of the method of our interface. Takes over @parameters; NULL for none. */
enum problem client_call(struct client *c, const char *method, json_t *parameters, bool more);
/* SIGINT becomes readable instead of ending the program. Return: a descriptor, or -1. */
int client_catch_interrupt(void);
/* client_receive() also returns when @fd is readable, with PROBLEM_CANCELLED (nothing is said). */
void client_set_interrupt(struct client *c, int fd);
/*
 * Waits for a reply. *ret: its parameters, to be json_decref()'d; *ret_more: others follow.
 * Return: PROBLEM_NONE; PROBLEM_TIMEOUT after @timeout_ms; the problem that the daemon told; or
 * PROBLEM_VERSION, PROBLEM_NOT_RUNNING when it cannot be understood or is gone.
 */
enum problem client_receive(struct client *c, uint64_t timeout_ms, json_t **ret, bool *ret_more);
/* The clock that timeouts are measured with; it never goes back. */
uint64_t client_now_ms(void);

/* All of the above for one call with one reply. @ret: NULL when it does not matter. */
enum problem client_ask(const struct context *context, const char *method, json_t *parameters,
			uint64_t timeout_ms, json_t **ret);

#endif
