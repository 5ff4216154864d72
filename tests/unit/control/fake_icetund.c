/*
 * A daemon that answers as it is told: the real control server, with a script for an application.
 *
 *	fake_icetund --methods                     lists the table of methods
 *	fake_icetund SOCKET [OPTION]...            serves until standard input ends
 *
 *	--state NAME           unjoined, down, starting, up, offline, failed (default: up)
 *	--fail METHOD=PROBLEM[:DETAIL]   METHOD (Join, Leave, Up, Down, Ping) answers with a problem
 *	--hang METHOD          METHOD never answers
 *	--lose N               the first N replies of Ping are lost
 *
 * Prints "ready" when it listens. Time plays no part: each answer is given at once.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/internal.h"

struct fake {
	uv_loop_t loop;
	uv_pipe_t input;
	struct control_server *server;
	enum control_state state;
	const char *fail;
	const char *hang;
	uint32_t lose;
};

static void text_copy(char *dst, size_t cap, const char *text)
{
	snprintf(dst, cap, "%s", text);
}

static struct netaddr address(const char *text)
{
	struct netaddr a = {0};

	if (netaddr_parse(text, &a) != OK && netaddr_parse_ip(text, 0, &a) != OK)
		abort();
	return a;
}

static void fill_turn(struct control_status *s)
{
	static const struct control_server_status rows[] = {
		{.endpoint = "turn:relay.example",
		 .transport = "udp",
		 .state = CONTROL_SERVER_READY,
		 .since_ms = 3721000,
		 .rtt_us = 31000,
		 .last_error = "the TURN server does not answer",
		 .last_error_ms = 3724000,
		 .retry_ms = CONTROL_NEVER},
		{.endpoint = "turns:relay.example:443",
		 .transport = "tls",
		 .state = CONTROL_SERVER_STANDBY,
		 .since_ms = 3720000,
		 .last_error_ms = CONTROL_NEVER,
		 .retry_ms = CONTROL_NEVER},
		{.endpoint = "turn:other.example",
		 .transport = "udp",
		 .state = CONTROL_SERVER_WAITING,
		 .since_ms = 4000,
		 .reason = "the TURN server refuses the user name or password (error 401)",
		 .last_error = "the TURN server refuses the user name or password (error 401)",
		 .last_error_ms = 4000,
		 .retry_ms = 56000},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		s->turn[s->turn_count++] = rows[i];
}

static void fill_servers(const struct fake *f, struct control_status *s)
{
	static const struct control_server_status rows[CONTROL_STATE_COUNT] = {
		[CONTROL_STATE_UNJOINED] = {.state = CONTROL_SERVER_OFF},
		[CONTROL_STATE_DOWN] = {.state = CONTROL_SERVER_OFF},
		[CONTROL_STATE_STARTING] = {.state = CONTROL_SERVER_CONNECTING, .since_ms = 400},
		[CONTROL_STATE_UP] = {.state = CONTROL_SERVER_READY, .since_ms = 3723000},
		[CONTROL_STATE_OFFLINE] = {.state = CONTROL_SERVER_WAITING,
					   .since_ms = 61000,
					   .reason = "the server does not answer"},
		[CONTROL_STATE_FAILED] = {.state = CONTROL_SERVER_REFUSED,
					  .reason = "the membership was revoked"},
	};

	s->rendezvous = rows[f->state];
	s->rendezvous.last_error_ms = CONTROL_NEVER;
	s->rendezvous.retry_ms = f->state == CONTROL_STATE_OFFLINE ? 8000 : CONTROL_NEVER;
	if (f->state == CONTROL_STATE_OFFLINE) {
		text_copy(s->rendezvous.last_error, sizeof(s->rendezvous.last_error),
			  "no answer within 10 s");
		s->rendezvous.last_error_ms = 51000;
	}
	text_copy(s->rendezvous.endpoint, sizeof(s->rendezvous.endpoint), "tcp://rv.example:7000");
	s->stun[0].state = CONTROL_SERVER_READY;
	s->stun[0].since_ms = 3722000;
	text_copy(s->stun[0].endpoint, sizeof(s->stun[0].endpoint), "stun:198.51.100.9:3478");
	s->stun[1].state = CONTROL_SERVER_WAITING;
	s->stun[1].since_ms = 30000;
	s->stun[1].retry_ms = 12000;
	text_copy(s->stun[1].endpoint, sizeof(s->stun[1].endpoint), "stun:stun.example:3478");
	text_copy(s->stun[1].reason, sizeof(s->stun[1].reason), "the name does not resolve");
	s->stun_count = 2;
	s->stun[0].rtt_us = 23400;
	fill_turn(s);
}

static void fake_status(void *ctx, struct control_status *ret)
{
	const struct fake *f = ctx;

	ret->state = f->state;
	ret->since_ms = 3723000;
	if (f->state == CONTROL_STATE_UNJOINED)
		return;
	text_copy(ret->network, sizeof(ret->network), "home");
	text_copy(ret->name, sizeof(ret->name), "alice");
	ret->addresses[0] = address("10.66.0.1");
	ret->addresses[1] = address("fd66::1");
	ret->address_count = 2;
	ret->certificate_left_s = 30 * 86400;
	if (f->state == CONTROL_STATE_FAILED)
		text_copy(ret->reason, sizeof(ret->reason), "this host's membership was revoked");
	if (f->state == CONTROL_STATE_DOWN || f->state == CONTROL_STATE_FAILED)
		return;
	ret->wanted_up = true;
	text_copy(ret->interface, sizeof(ret->interface), "icetun0");
	ret->mtu_bytes = 1280;
	ret->helper = CONTROL_HELPER_RUNNING;
	ret->helper_restarts = 1;
	fill_servers(f, ret);
	ret->candidates[0].addr = address("192.168.1.10:40000");
	ret->candidates[1].type = CONTROL_CANDIDATE_SRFLX;
	ret->candidates[1].addr = address("203.0.113.5:40000");
	ret->candidates[2].addr = address("[2001:db8::a]:40000");
	ret->candidate_count = 3;
	ret->drops.count[DROP_REPLAY] = 3;
	ret->drops.count[DROP_UNKNOWN_TYPE] = 12;
	ret->data.workers = 2;
	ret->data.offloads[CONTROL_OFFLOAD_TUN_TCP] = true;
	ret->data.offloads[CONTROL_OFFLOAD_TUN_QUEUES] = true;
	ret->data.tun_in = 100;
	ret->data.tx_sent = 90;
	ret->data.tx_unrouted = 9;
	ret->data.tx_too_big = 1;
	ret->data.tx_drops.count[DROP_TOO_LONG] = 1;
	ret->data.udp_in = 50;
	ret->data.rx_tun = 47;
	ret->data.rx_drops.count[DROP_REPLAY] = 3;
}

static void fill_path(struct control_path *path)
{
	path->local_type = CONTROL_CANDIDATE_SRFLX;
	path->local = address("192.168.1.10:40000");
	path->remote_type = CONTROL_CANDIDATE_SRFLX;
	path->remote = address("203.0.113.7:40000");
	path->rtt_us = 12340;
	path->nominated = true;
	path->mtu_bytes = 1280;
}

static bool fake_peer(void *ctx, size_t index, struct control_peer *ret)
{
	static const char *const names[] = {"bob", "carol", "dave-with-a-long-name", "erin"};
	const struct fake *f = ctx;

	if ((f->state != CONTROL_STATE_UP && f->state != CONTROL_STATE_OFFLINE) ||
	    index >= ARRAY_SIZE(names))
		return false;
	text_copy(ret->name, sizeof(ret->name), names[index]);
	ret->addresses[0] = address("10.66.0.2");
	ret->addresses[0].ip[3] = (uint8_t)(2 + index);
	ret->address_count = 1;
	ret->online_known = index != 3;
	ret->online = index < 2;
	switch (index) {
	case 0:
		ret->state = CONTROL_PEER_CONNECTED;
		ret->since_ms = 245000;
		ret->has_path = true;
		fill_path(&ret->path);
		fill_path(&ret->standby[0]);
		ret->standby[0].nominated = false;
		ret->standby[0].mtu_bytes = 0;
		ret->standby_count = 1;
		ret->cipher = CONTROL_CIPHER_AES_256_GCM;
		ret->last_received_ms = 340;
		ret->tx_bytes = 1536;
		ret->tx_packets = 12;
		ret->rx_bytes = 209715200;
		ret->rx_packets = 160000;
		ret->restarts = 3;
		ret->switches = 2;
		ret->restart_failures = 1;
		ret->restart_ms = 61000;
		text_copy(ret->restart_cause, sizeof(ret->restart_cause),
			  "there is a better local address");
		break;
	case 1:
		ret->state = CONTROL_PEER_CHECKING;
		ret->since_ms = 1200;
		break;
	case 2:
		ret->state = CONTROL_PEER_ABSENT;
		ret->since_ms = 90000000;
		ret->last_received_ms = 90000000;
		text_copy(ret->last_error, sizeof(ret->last_error), "the host is not online");
		ret->last_error_ms = 30000;
		break;
	default:
		ret->state = CONTROL_PEER_CONNECTED;
		ret->has_path = true;
		fill_path(&ret->path);
		ret->path.kind = CONTROL_PATH_RELAYED;
		ret->path.local_type = CONTROL_CANDIDATE_RELAY;
		text_copy(ret->path.relay, sizeof(ret->path.relay), "turn:relay.example");
		ret->restarts = 1;
		ret->restart_failures = 1;
		ret->restart_ms = 2000;
		text_copy(ret->restart_cause, sizeof(ret->restart_cause), "by hand");
		break;
	}
	return true;
}

/* Return: true when the script had an answer for @method. */
static bool scripted(const struct fake *f, struct control_call *call, const char *method)
{
	char problem[256];
	size_t len = strlen(method);
	char *detail;

	if (f->hang && strcmp(f->hang, method) == 0)
		return true;
	if (!f->fail || strncmp(f->fail, method, len) != 0 || f->fail[len] != '=')
		return false;
	text_copy(problem, sizeof(problem), f->fail + len + 1);
	detail = strchr(problem, ':');
	if (detail)
		*detail++ = '\0';
	control_reply_problem(call, problem_find(problem), detail);
	return true;
}

static void fake_join(void *ctx, struct control_call *call, const char *token, const char *name)
{
	struct control_joined joined = {.network = "home"};

	(void)token;
	if (scripted(ctx, call, "Join"))
		return;
	text_copy(joined.name, sizeof(joined.name), name);
	joined.addresses[0] = address("10.66.0.1");
	joined.addresses[1] = address("fd66::1");
	joined.address_count = 2;
	control_reply_joined(call, &joined);
}

static void fake_leave(void *ctx, struct control_call *call)
{
	if (!scripted(ctx, call, "Leave"))
		control_reply_done(call);
}

static void fake_up(void *ctx, struct control_call *call)
{
	control_reply_progress(call, CONTROL_STATE_STARTING, "device icetun0 is ready", false);
	control_reply_progress(call, CONTROL_STATE_STARTING, "asking tcp://rv.example:7000", false);
	if (!scripted(ctx, call, "Up"))
		control_reply_progress(call, CONTROL_STATE_UP, "registered as alice, 10.66.0.1",
				       true);
}

static void fake_down(void *ctx, struct control_call *call)
{
	if (!scripted(ctx, call, "Down"))
		control_reply_done(call);
}

static void fake_ping(void *ctx, struct control_call *call, const char *peer, uint32_t count,
		      uint32_t interval_ms)
{
	const struct fake *f = ctx;

	(void)interval_ms;
	if (scripted(f, call, "Ping"))
		return;
	for (uint32_t seq = 1; seq <= count; seq++) {
		struct control_pong pong = {.seq = seq, .lost = seq <= f->lose, .has_path = true};

		text_copy(pong.name, sizeof(pong.name), peer);
		pong.address = address("10.66.0.2");
		pong.rtt_us = 1000 + 234 * seq;
		fill_path(&pong.path);
		control_reply_pong(call, &pong, seq == count);
	}
}

static void fake_restart(void *ctx, struct control_call *call, const char *peer)
{
	(void)peer;
	if (!scripted(ctx, call, "RestartIce"))
		control_reply_done(call);
}

/* Two switches are off; what is used is in the status. */
static bool fake_offload(void *ctx, enum control_offload which)
{
	(void)ctx;
	return which != CONTROL_OFFLOAD_TUN_QUEUES && which != CONTROL_OFFLOAD_TUN_UDP;
}

static void fake_set_offload(void *ctx, struct control_call *call, enum control_offload which,
			     bool on)
{
	(void)which;
	(void)on;
	if (!scripted(ctx, call, "SetOffload"))
		control_reply_done(call);
}

/* Three events, and then what the script has. */
static void fake_events(void *ctx, struct control_call *call)
{
	struct control_event e = {.kind = CONTROL_EVENT_RENDEZVOUS,
				  .unix_us = 1700000000123456,
				  .text = "registered with the rendezvous server"};

	control_reply_event(call, &e);
	e.kind = CONTROL_EVENT_PEER;
	text_copy(e.peer, sizeof(e.peer), "bob");
	text_copy(e.text, sizeof(e.text), "the path is lost, looking for another");
	e.has_state = true;
	e.state = CONTROL_PEER_ROAMING;
	control_reply_event(call, &e);
	e.kind = CONTROL_EVENT_PATH;
	text_copy(e.text, sizeof(e.text), "packets take another path");
	e.has_state = false;
	e.has_path = true;
	fill_path(&e.path);
	control_reply_event(call, &e);
	(void)scripted(ctx, call, "Events");
}

static void fake_cancelled(void *ctx, struct control_call *call)
{
	(void)ctx;
	(void)call;
}

static const struct control_ops fake_ops = {
	.status = fake_status,
	.peer = fake_peer,
	.join = fake_join,
	.leave = fake_leave,
	.up = fake_up,
	.down = fake_down,
	.ping = fake_ping,
	.restart = fake_restart,
	.offload = fake_offload,
	.set_offload = fake_set_offload,
	.events = fake_events,
	.cancelled = fake_cancelled,
};

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	static char buf[64];

	(void)handle;
	(void)suggested;
	*ret = uv_buf_init(buf, sizeof(buf));
}

static void on_input(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct fake *f = stream->data;

	(void)buf;
	if (n >= 0)
		return;
	control_server_destroy(f->server);
	uv_close((uv_handle_t *)stream, NULL);
}

static bool read_options(struct fake *f, int argc, char **argv)
{
	for (int i = 2; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--fail") == 0) {
			f->fail = argv[i + 1];
		} else if (strcmp(argv[i], "--hang") == 0) {
			f->hang = argv[i + 1];
		} else if (strcmp(argv[i], "--lose") == 0) {
			f->lose = (uint32_t)strtoul(argv[i + 1], NULL, 10);
		} else if (strcmp(argv[i], "--state") == 0) {
			for (f->state = 0; f->state < CONTROL_STATE_COUNT; f->state++) {
				if (strcmp(control_state_name(f->state), argv[i + 1]) == 0)
					break;
			}
		} else {
			return false;
		}
		if (f->state == CONTROL_STATE_COUNT)
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct fake f = {.state = CONTROL_STATE_UP};
	struct control_params params = {
		.loop = &f.loop, .group = (gid_t)-1, .ops = &fake_ops, .ctx = &f};
	enum err e;

	if (argc == 2 && strcmp(argv[1], "--methods") == 0) {
		for (size_t i = 0; control_method_at(i); i++)
			puts(control_method_at(i)->name);
		return 0;
	}
	if (argc < 2 || !read_options(&f, argc, argv))
		return 2;
	signal(SIGPIPE, SIG_IGN); /* as icetund: a client may go before it has its answer */
	uv_loop_init(&f.loop);
	params.path = argv[1];
	e = control_server_create(&f.server, &params);
	if (e != OK) {
		fprintf(stderr, "%s: %s\n", argv[1], err_text(e));
		return 1;
	}
	uv_pipe_init(&f.loop, &f.input, 0);
	uv_pipe_open(&f.input, 0);
	f.input.data = &f;
	uv_read_start((uv_stream_t *)&f.input, on_alloc, on_input);
	puts("ready");
	fflush(stdout);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	return uv_loop_close(&f.loop) == 0 ? 0 : 1;
}
