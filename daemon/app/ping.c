#include <string.h>

#include "daemon/app/internal.h"

/* Connecting has to succeed within this time before the first request. */
#define CONNECT_TIMEOUT_US (45 * US_PER_S)

static void end(struct app_ping *p)
{
	p->call = NULL;
}

static enum problem problem_of_reason(enum overlay_reason reason)
{
	switch (reason) {
	case OVERLAY_REASON_ABSENT:
		return PROBLEM_PEER_ABSENT;
	case OVERLAY_REASON_UNKNOWN:
		return PROBLEM_PEER_UNKNOWN;
	case OVERLAY_REASON_OFFLINE:
		return PROBLEM_SERVER_UNREACHABLE;
	case OVERLAY_REASON_NO_ANSWER:
	case OVERLAY_REASON_NO_PATH:
	case OVERLAY_REASON_LOST:
	case OVERLAY_REASON_CLOSED:
	case OVERLAY_REASON_CERTIFICATE:
	case OVERLAY_REASON_REFUSED:
	case OVERLAY_REASON_NONE:
	case OVERLAY_REASON_COUNT:
		break;
	}
	return PROBLEM_PEER_UNREACHABLE;
}

static void set_timer(struct run *r)
{
	uint64_t due = DEADLINE_NONE, now = app_now_us();

	for (size_t i = 0; i < APP_MAX_PINGS; i++) {
		if (r->pings[i].call)
			due = deadline_min(due, r->pings[i].next_us);
	}
	uv_update_time(r->app->loop);
	if (due == DEADLINE_NONE)
		uv_timer_stop(&r->ping_timer);
	else
		uv_timer_start(&r->ping_timer, ping_on_timer,
			       due <= now ? 0 : (due - now + US_PER_MS - 1) / US_PER_MS, 0);
}

/* Tells the outcome of the present request. */
static void reply(struct app_ping *p, bool lost, uint64_t now_us)
{
	struct control_pong pong = {.seq = p->seq, .lost = lost, .rtt_us = now_us - p->sent_us};
	struct overlay_peer_info info;
	bool last = p->left == 0;

	if (overlay_peer(p->run->overlay, p->peer, &info) == OK) {
		memcpy(pong.name, info.name, strlen(info.name) + 1);
		if (p->address.family != NETADDR_NONE)
			pong.address = p->address;
		else if (info.member)
			pong.address = member_address(info.member, 0);
		pong.has_path = info.has_path;
		if (info.has_path)
			status_path(p->run, &info.path, &pong.path);
	}
	p->waiting = false;
	p->next_us = p->sent_us + p->interval_ms * US_PER_MS;
	control_reply_pong(p->call, &pong, last);
	if (last)
		end(p);
}

/* Sends the next request, or connects first. */
static void step(struct app_ping *p, uint64_t now_us)
{
	struct overlay_peer_info info;
	uint32_t peer;

	if (p->waiting) {
		reply(p, true, now_us);
		if (!p->call)
			return;
	}
	p->id++;
	if (overlay_ping(p->run->overlay, now_us, p->peer, p->id) == OK) {
		p->seq++;
		p->left--;
		p->sent_us = now_us;
		p->waiting = true;
		p->next_us = now_us + APP_PING_TIMEOUT_US;
		p->give_up_us = now_us + CONNECT_TIMEOUT_US;
		return;
	}
	if (now_us >= p->give_up_us || overlay_peer(p->run->overlay, p->peer, &info) != OK ||
	    overlay_connect(p->run->overlay, now_us, info.name, &peer) != OK) {
		control_reply_problem(p->call, PROBLEM_PEER_UNREACHABLE, NULL);
		end(p);
		return;
	}
	p->next_us = p->give_up_us; /* an event about the peer comes first */
}

void ping_begin(struct run *r, struct control_call *call, const char *name, uint32_t count,
		uint32_t interval_ms)
{
	struct overlay_peer_info info;
	struct app_ping *p = NULL;
	struct netaddr address = {.family = NETADDR_NONE};
	uint64_t now = app_now_us();
	uint32_t peer = OVERLAY_NO_PEER;
	bool by_address = netaddr_parse_ip(name, 0, &address) == OK;

	for (size_t i = 0; i < APP_MAX_PINGS && !p; i++) {
		if (!r->pings[i].call)
			p = &r->pings[i];
	}
	if (!p) {
		control_reply_problem(call, PROBLEM_BUSY, NULL);
		return;
	}
	if (by_address)
		peer = route_table_lookup(overlay_routes(r->overlay), &address);
	if (by_address && overlay_peer(r->overlay, peer, &info) == OK)
		name = info.name;
	else if (by_address)
		name = "";
	if (overlay_connect(r->overlay, now, name, &peer) != OK) {
		control_reply_problem(call, PROBLEM_PEER_UNKNOWN, NULL);
		return;
	}
	*p = (struct app_ping){
		.run = r,
		.call = call,
		.peer = peer,
		.address = address,
		.left = count,
		.interval_ms = interval_ms,
		.id = now << 8,
		.next_us = now,
		.give_up_us = now + CONNECT_TIMEOUT_US,
	};
	if (overlay_peer(r->overlay, peer, &info) == OK && info.state == OVERLAY_PEER_FAILED) {
		control_reply_problem(call, problem_of_reason(info.reason), NULL);
		end(p);
	}
	run_pump(r);
	set_timer(r);
}

void ping_on_event(struct run *r, const struct overlay_event *e)
{
	uint64_t now = app_now_us();

	for (size_t i = 0; i < APP_MAX_PINGS; i++) {
		struct app_ping *p = &r->pings[i];

		if (!p->call || p->peer != e->peer)
			continue;
		if (e->type == OVERLAY_EVENT_PONG && p->waiting && p->id == e->ping_id) {
			reply(p, false, now);
		} else if (e->type == OVERLAY_EVENT_PATH && !p->waiting && p->seq == 0) {
			p->next_us = now;
		} else if (e->type == OVERLAY_EVENT_PEER_FORGOTTEN ||
			   (e->type == OVERLAY_EVENT_PEER_STATE && p->seq == 0 &&
			    e->state == OVERLAY_PEER_FAILED)) {
			control_reply_problem(p->call, problem_of_reason(e->reason), NULL);
			end(p);
		}
	}
	set_timer(r);
}

void ping_on_timer(uv_timer_t *t)
{
	struct run *r = t->data;
	uint64_t now = app_now_us();

	for (size_t i = 0; i < APP_MAX_PINGS; i++) {
		if (r->pings[i].call && r->pings[i].next_us <= now)
			step(&r->pings[i], now);
	}
	run_pump(r);
	set_timer(r);
}

void ping_cancel(struct run *r, const struct control_call *call)
{
	for (size_t i = 0; i < APP_MAX_PINGS; i++) {
		if (r->pings[i].call == call)
			end(&r->pings[i]);
	}
}

void ping_end_all(struct run *r)
{
	for (size_t i = 0; i < APP_MAX_PINGS; i++) {
		if (r->pings[i].call)
			control_reply_problem(r->pings[i].call, PROBLEM_NOT_UP, NULL);
		end(&r->pings[i]);
	}
}
