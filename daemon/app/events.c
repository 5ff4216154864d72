/* What happens, told to those who watch; and the restart that somebody asks for. */
#include <stdio.h>
#include <string.h>

#include "daemon/app/internal.h"
#include "daemon/core/cert/identifier.h"

void events_begin(struct app *a, struct control_call *call)
{
	for (size_t i = 0; i < ARRAY_SIZE(a->watchers); i++) {
		if (a->watchers[i])
			continue;
		a->watchers[i] = call;
		return;
	}
	control_reply_problem(call, PROBLEM_BUSY, NULL);
}

void events_cancel(struct app *a, const struct control_call *call)
{
	for (size_t i = 0; i < ARRAY_SIZE(a->watchers); i++) {
		if (a->watchers[i] == call)
			a->watchers[i] = NULL;
	}
}

static void tell(struct app *a, struct control_event *e)
{
	e->unix_us = app_unix_us();
	for (size_t i = 0; i < ARRAY_SIZE(a->watchers); i++) {
		if (a->watchers[i])
			control_reply_event(a->watchers[i], e);
	}
}

void events_tell(struct app *a, enum control_event_kind kind, const char *text)
{
	struct control_event e = {.kind = kind};

	snprintf(e.text, sizeof(e.text), "%s", text);
	tell(a, &e);
}

static const char *restart_text(enum overlay_restart_step step)
{
	switch (step) {
	case OVERLAY_RESTART_BEGUN:
		return "looks for another path";
	case OVERLAY_RESTART_SWITCHED:
		return "packets have moved to the new path";
	case OVERLAY_RESTART_FAILED:
		return "no other path was found";
	}
	return "";
}

/* Return: false when @e is nothing that is told. */
static bool describe(struct run *r, const struct overlay_event *e,
		     const struct overlay_peer_info *info, struct control_event *ret)
{
	if (e->type == OVERLAY_EVENT_PEER_STATE) {
		ret->kind = CONTROL_EVENT_PEER;
		snprintf(ret->text, sizeof(ret->text), "%s%s%s", overlay_peer_state_name(e->state),
			 e->reason ? ": " : "", e->reason ? overlay_reason_text(e->reason) : "");
	} else if (e->type == OVERLAY_EVENT_PATH && e->is_new_path) {
		ret->kind = CONTROL_EVENT_PATH;
		ret->has_path = true;
		status_path(r, &e->path, &ret->path);
		snprintf(ret->text, sizeof(ret->text), "%s path",
			 control_path_kind_name(ret->path.kind));
	} else if (e->type == OVERLAY_EVENT_PATH_CLEAR) {
		ret->kind = CONTROL_EVENT_PATH;
		snprintf(ret->text, sizeof(ret->text), "no path, packets wait");
	} else if (e->type == OVERLAY_EVENT_RESTART) {
		ret->kind = CONTROL_EVENT_RESTART;
		snprintf(ret->text, sizeof(ret->text), "%s (%s)", restart_text(e->restart_step),
			 overlay_restart_cause_text(e->restart_cause));
	} else {
		return false;
	}
	snprintf(ret->peer, sizeof(ret->peer), "%s", info->name);
	ret->has_state = true;
	ret->state = status_peer_state(info);
	return true;
}

void events_on_overlay(struct run *r, const struct overlay_event *e)
{
	struct control_event out = {0};
	struct overlay_peer_info info;

	if (e->type == OVERLAY_EVENT_REGISTERED)
		events_tell(r->app, CONTROL_EVENT_RENDEZVOUS,
			    "registered with the rendezvous server");
	else if (e->type == OVERLAY_EVENT_UNREGISTERED)
		events_tell(r->app, CONTROL_EVENT_RENDEZVOUS, "the rendezvous server is lost");
	else if (e->type == OVERLAY_EVENT_LOCAL_CANDIDATES)
		events_tell(r->app, CONTROL_EVENT_ADDRESSES, "the candidates have changed");
	else if (overlay_peer(r->overlay, e->peer, &info) == OK && describe(r, e, &info, &out))
		tell(r->app, &out);
}

/* Return: false when nobody here is called @text. */
static bool find_peer(const struct run *r, const char *text, uint32_t *ret)
{
	struct overlay_peer_info info;
	struct netaddr address;
	bool is_address = netaddr_parse_ip(text, 0, &address) == OK;
	uint32_t cursor = 0;

	while (overlay_next_peer(r->overlay, &cursor, &info)) {
		bool found = strcmp(info.name, text) == 0;

		for (size_t i = 0; is_address && info.member && i < info.member->address_count;
		     i++) {
			struct netaddr own = member_address(info.member, i);

			found |= netaddr_ip_equal(&own, &address);
		}
		*ret = info.peer;
		if (found)
			return true;
	}
	return false;
}

void events_restart(struct run *r, struct control_call *call, const char *peer)
{
	uint32_t number;
	enum err e;

	if (!find_peer(r, peer, &number)) {
		control_reply_problem(call, PROBLEM_PEER_UNKNOWN, peer);
		return;
	}
	e = overlay_restart(r->overlay, app_now_us(), number);
	run_pump(r);
	if (e == OK)
		control_reply_done(call);
	else
		control_reply_problem(call, PROBLEM_NO_SESSION, peer);
}
