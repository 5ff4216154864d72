#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/app/internal.h"

static uint64_t clock_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * US_PER_S + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t app_now_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

uint64_t app_unix_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

void app_save_run(struct app *a)
{
	char error[STATE_ERROR_BYTES];

	if (state_save_run(a->config->state_directory, a->state, error) != OK)
		log_error("state.save", "error=%s", log_quote(error).text);
}

enum control_state app_state(const struct app *a)
{
	if (!a->state->joined)
		return CONTROL_STATE_UNJOINED;
	if (!a->run)
		return a->problem == PROBLEM_NONE ? CONTROL_STATE_DOWN : CONTROL_STATE_FAILED;
	if (overlay_is_registered(a->run->overlay))
		return CONTROL_STATE_UP;
	if (a->run->refused)
		return CONTROL_STATE_FAILED;
	return a->run->was_registered || a->run->link_error_us ? CONTROL_STATE_OFFLINE
							       : CONTROL_STATE_STARTING;
}

/* --- up --- */

void app_up_progress(struct app *a, enum control_state state, const char *text, bool last)
{
	for (size_t i = 0; i < ARRAY_SIZE(a->ups); i++) {
		if (!a->ups[i])
			continue;
		control_reply_progress(a->ups[i], state, text, last);
		if (last)
			a->ups[i] = NULL;
	}
}

void app_up_failed(struct app *a, enum problem problem, const char *detail)
{
	for (size_t i = 0; i < ARRAY_SIZE(a->ups); i++) {
		if (a->ups[i])
			control_reply_problem(a->ups[i], problem, detail);
		a->ups[i] = NULL;
	}
}

static bool start(struct app *a)
{
	a->problem_detail[0] = '\0';
	a->problem = run_start(a, a->problem_detail);
	a->since_us = app_now_us();
	if (a->problem == PROBLEM_NONE)
		return true;
	log_error("up.failed", "problem=%s detail=%s", problem_name(a->problem),
		  log_quote(a->problem_detail).text);
	return false;
}

static void op_up(void *ctx, struct control_call *call)
{
	struct app *a = ctx;
	size_t slot = 0;

	if (!a->state->joined) {
		control_reply_problem(call, PROBLEM_NOT_JOINED, NULL);
		return;
	}
	if (!a->state->wanted_up) {
		a->state->wanted_up = true;
		app_save_run(a);
	}
	if (!a->run && !start(a)) {
		control_reply_problem(call, a->problem, a->problem_detail);
		return;
	}
	if (overlay_is_registered(a->run->overlay)) {
		control_reply_progress(call, CONTROL_STATE_UP, "The overlay is up.", true);
		return;
	}
	while (slot < ARRAY_SIZE(a->ups) && a->ups[slot])
		slot++;
	if (slot == ARRAY_SIZE(a->ups)) {
		control_reply_problem(call, PROBLEM_BUSY, NULL);
		return;
	}
	control_reply_progress(call, CONTROL_STATE_STARTING,
			       "The device is there; connecting to the rendezvous server.", false);
	a->ups[slot] = call;
}

/* --- the other requests --- */

static void go_down(struct app *a)
{
	app_up_failed(a, PROBLEM_NOT_UP, "it was taken down meanwhile");
	a->problem = PROBLEM_NONE;
	if (a->run) {
		run_stop(a->run);
		a->run = NULL;
	}
	a->since_us = app_now_us();
}

static void op_down(void *ctx, struct control_call *call)
{
	struct app *a = ctx;

	if (a->state->wanted_up) {
		a->state->wanted_up = false;
		app_save_run(a);
	}
	go_down(a);
	control_reply_done(call);
}

static void op_join(void *ctx, struct control_call *call, const char *token, const char *name)
{
	struct app *a = ctx;

	if (a->state->joined)
		control_reply_problem(call, PROBLEM_ALREADY_JOINED, a->state->network);
	else if (a->join)
		control_reply_problem(call, PROBLEM_BUSY, NULL);
	else
		join_begin(a, call, token, name);
}

static void op_leave(void *ctx, struct control_call *call)
{
	struct app *a = ctx;
	char error[STATE_ERROR_BYTES];

	if (!a->state->joined) {
		control_reply_problem(call, PROBLEM_NOT_JOINED, NULL);
		return;
	}
	go_down(a);
	a->state->wanted_up = false;
	if (state_leave(a->config->state_directory, a->state, error) != OK) {
		control_reply_problem(call, PROBLEM_INTERNAL, error);
		return;
	}
	app_save_run(a);
	log_info("member.left", "state=unjoined");
	control_reply_done(call);
}

static void op_ping(void *ctx, struct control_call *call, const char *peer, uint32_t count,
		    uint32_t interval_ms)
{
	struct app *a = ctx;

	if (!a->state->joined)
		control_reply_problem(call, PROBLEM_NOT_JOINED, NULL);
	else if (!a->run)
		control_reply_problem(call, PROBLEM_NOT_UP, NULL);
	else
		ping_begin(a->run, call, peer, count, interval_ms);
}

static void op_restart(void *ctx, struct control_call *call, const char *peer)
{
	struct app *a = ctx;

	if (!a->state->joined)
		control_reply_problem(call, PROBLEM_NOT_JOINED, NULL);
	else if (!a->run)
		control_reply_problem(call, PROBLEM_NOT_UP, NULL);
	else
		events_restart(a->run, call, peer);
}

static void op_events(void *ctx, struct control_call *call)
{
	events_begin(ctx, call);
}

static bool *offload_switch(struct config_offloads *o, enum control_offload which)
{
	switch (which) {
	case CONTROL_OFFLOAD_TUN_TCP:
		return &o->tun_tcp;
	case CONTROL_OFFLOAD_TUN_UDP:
		return &o->tun_udp;
	case CONTROL_OFFLOAD_UDP_SEGMENT:
		return &o->udp_segment;
	case CONTROL_OFFLOAD_UDP_GRO:
		return &o->udp_gro;
	case CONTROL_OFFLOAD_TUN_QUEUES:
		return &o->tun_queues;
	case CONTROL_OFFLOAD_PARTIAL_CHECKSUMS:
	case CONTROL_OFFLOAD_COUNT:
		break;
	}
	return &o->partial_checksums;
}

static bool op_offload(void *ctx, enum control_offload which)
{
	struct app *a = ctx;

	return *offload_switch(&a->offloads, which);
}

static void op_set_offload(void *ctx, struct control_call *call, enum control_offload which,
			   bool on)
{
	struct app *a = ctx;

	*offload_switch(&a->offloads, which) = on;
	log_info("offload", "name=%s on=%d", control_offload_name(which), on);
	if (a->run)
		device_set_offloads(a->run);
	control_reply_done(call);
}

static void op_cancelled(void *ctx, struct control_call *call)
{
	struct app *a = ctx;

	for (size_t i = 0; i < ARRAY_SIZE(a->ups); i++) {
		if (a->ups[i] == call)
			a->ups[i] = NULL;
	}
	events_cancel(a, call);
	if (a->join && join_is_for(a->join, call))
		join_cancel(a->join);
	if (a->run)
		ping_cancel(a->run, call);
}

static const struct control_ops ops = {
	.status = status_fill,
	.peer = status_peer,
	.join = op_join,
	.leave = op_leave,
	.up = op_up,
	.down = op_down,
	.ping = op_ping,
	.restart = op_restart,
	.offload = op_offload,
	.set_offload = op_set_offload,
	.events = op_events,
	.cancelled = op_cancelled,
};

/* --- life --- */

enum err app_create(struct app **ret, const struct app_params *params)
{
	struct app *a = calloc(1, sizeof(*a));
	struct control_params control = {
		.loop = params->loop,
		.path = params->config->control_socket,
		.group = params->control_group,
		.ops = &ops,
		.ctx = a,
	};
	enum err e;

	if (!a)
		return ERR_NO_MEMORY;
	a->loop = params->loop;
	a->config = params->config;
	a->state = params->state;
	a->offloads = params->config->offloads;
	a->since_us = app_now_us();
	e = control_server_create(&a->control, &control);
	if (e != OK) {
		free(a);
		return e;
	}
	*ret = a;
	return OK;
}

void app_start(struct app *a)
{
	if (a->state->joined && a->state->wanted_up)
		(void)start(a);
}

void app_stop(struct app *a)
{
	if (a->stopping)
		return;
	a->stopping = true;
	if (a->join)
		join_cancel(a->join);
	go_down(a);
	control_server_destroy(a->control);
	a->control = NULL;
}

void app_destroy(struct app *a)
{
	free(a);
}
