/*
 * icetun-sdp-agent: our ICE agent with real sockets and no tunnel, signalled by SDP lines, so that
 * any other implementation can be put against it.
 *
 *	icetun-sdp-agent --role controlling|controlled [--stun HOST:PORT]...
 *		[--turn URI --user U --password P]... [--bind ADDR]... [--policy all|relay|host]
 *		[--lite-peer] [--ta MS] [--restart-on SIGUSR1]
 *
 * Standard output: our description as RFC 8839 attribute lines, an empty line, then one JSON object
 * a line for each event: "state", "selected", "data", "restart". The last one carries "pwd" and our
 * whole new description ("description") as well, since the peer has to get it.
 *
 * Standard input: the peer's description in the same form, ended by an empty line; later blocks are
 * further candidates (trickle) or, with new ufrag and pwd, a restart; "send TEXT" sends a datagram
 * on the current pair; "restart" begins one as the signal does; "quit" ends the program. A datagram
 * whose text begins with "ping " is answered with "pong " and the rest.
 */
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/core/ice/engine.h"
#include "daemon/core/ice/sdp.h"
#include "daemon/net/sockaddr.h"
#include "daemon/net/sockets.h"
#include "tests/interop/sdp_options.h"
#include "tests/interop/sdp_relay.h"

#define MAX_TEXT 1200
/* How long the description waits for the slowest server. */
#define PATIENCE_US (5 * US_PER_S)

struct agent {
	struct sdp_options options;
	struct ice_engine *engine;
	struct ice_agent *ice;
	int sockets[SDP_MAX_SOCKETS];
	struct netaddr bases[SDP_MAX_SOCKETS];
	size_t socket_count;
	struct sdp_relay *relays[SDP_MAX_SERVERS]; /* number i + 1 in the engine */
	bool relay_settled[SDP_MAX_SERVERS];
	bool described; /* our description was printed */
	uint64_t patience_us;
	char line[ICE_SDP_BYTES];
	size_t line_len;
	char block[ICE_SDP_BYTES];
	size_t block_len;
	bool input_ended, quit;
	struct ice_path selected;
	bool has_selected;
	char announced[32];
};

static volatile sig_atomic_t signalled;

static void on_signal(int number)
{
	(void)number;
	signalled = 1;
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * US_PER_S + (uint64_t)t.tv_nsec / 1000;
}

/* --- output --- */

static void print_event(json_t *event)
{
	char *text = event ? json_dumps(event, JSON_COMPACT) : NULL;

	if (!text)
		sdp_die("JSON", "out of memory");
	puts(text);
	fflush(stdout);
	free(text);
	json_decref(event);
}

static json_t *describe(enum ice_candidate_type type, const struct netaddr *a)
{
	char ip[NETADDR_TEXT_BYTES];

	return json_pack("{s:s, s:s, s:i}", "type", ice_candidate_type_name(type), "ip",
			 netaddr_format_ip(a, ip), "port", (int)a->port);
}

static void describe_us(struct agent *a, char text[static ICE_SDP_BYTES])
{
	struct ice_description d;
	size_t len;

	ice_agent_get_description(a->ice, &d);
	/* All that there will be: restarts tell later ones. */
	d.end_of_candidates = true;
	if (ice_sdp_write(&d, text, ICE_SDP_BYTES, &len) != OK)
		sdp_die("description", "too long");
}

static void print_description(struct agent *a)
{
	char text[ICE_SDP_BYTES];

	describe_us(a, text);
	printf("%s\n", text);
	fflush(stdout);
	a->described = true;
}

static void print_restart(struct agent *a)
{
	char text[ICE_SDP_BYTES];
	struct ice_description d;

	ice_agent_get_description(a->ice, &d);
	describe_us(a, text);
	print_event(json_pack("{s:s, s:s, s:s, s:s}", "event", "restart", "ufrag", d.ufrag, "pwd",
			      d.pwd, "description", text));
}

static void print_state(struct agent *a, enum ice_agent_state state)
{
	const char *name = NULL;

	switch (state) {
	case ICE_AGENT_NEW:
		return;
	case ICE_AGENT_CHECKING:
	case ICE_AGENT_CONNECTED:
	case ICE_AGENT_COMPLETED:
	case ICE_AGENT_FAILED:
		name = ice_agent_state_name(state);
		break;
	case ICE_AGENT_DISCONNECTED:
		name = "failed";
		break;
	}
	if (strcmp(name, a->announced) == 0)
		return;
	snprintf(a->announced, sizeof(a->announced), "%s", name);
	print_event(json_pack("{s:s, s:s}", "event", "state", "state", name));
}

static void print_selected(const struct ice_path *p)
{
	print_event(json_pack("{s:s, s:o, s:o, s:I, s:i}", "event", "selected", "local",
			      describe(p->local_type, &p->local), "remote",
			      describe(p->remote_type, &p->remote), "rtt_us", (json_int_t)p->rtt_us,
			      "generation", (int)p->generation));
}

/* --- sending --- */

static void send_datagram(struct agent *a, uint16_t socket, uint16_t relay,
			  const struct netaddr *to, const uint8_t *buf, size_t len)
{
	enum err e;

	if (relay) {
		sdp_relay_send(a->relays[relay - 1], now_us(), to, buf, len);
		return;
	}
	e = net_udp_send(a->sockets[socket], to, buf, len);
	if (e == ERR_NETWORK || e == ERR_PERMISSION || e == ERR_NO_ADDRESS)
		ice_engine_on_send_error(a->engine, now_us(), socket, to);
}

static void send_text(struct agent *a, const char *text)
{
	struct ice_path p;

	if (ice_agent_get_path(a->ice, &p))
		send_datagram(a, p.socket, p.relay, &p.remote, (const uint8_t *)text, strlen(text));
}

/* --- events --- */

static void on_path(struct agent *a, const struct ice_event *e)
{
	const struct ice_path *p = &e->path;

	if (!e->has_path) {
		a->has_selected = false;
		return;
	}
	if (p->relay)
		(void)!turn_allocation_bind(sdp_relay_allocation(a->relays[p->relay - 1]), now_us(),
					    &p->remote);
	if (!p->nominated || (a->has_selected && p->generation == a->selected.generation &&
			      netaddr_equal(&p->remote, &a->selected.remote) &&
			      netaddr_equal(&p->local, &a->selected.local)))
		return;
	a->selected = *p;
	a->has_selected = true;
	print_selected(p);
}

static void on_event(struct agent *a, const struct ice_event *e)
{
	switch (e->type) {
	case ICE_EVENT_STATE:
		print_state(a, e->state);
		break;
	case ICE_EVENT_PATH:
		on_path(a, e);
		break;
	case ICE_EVENT_PERMIT:
		(void)!turn_allocation_permit(sdp_relay_allocation(a->relays[e->relay - 1]),
					      now_us(), &e->remote, 1);
		break;
	case ICE_EVENT_NEXT_PATH:
		/* There is no tunnel whose data could tell: nomination does. */
		if (e->has_path && e->path.nominated)
			(void)!ice_agent_switch(a->ice, now_us(), e->generation);
		break;
	case ICE_EVENT_GATHERED:
	case ICE_EVENT_LOCAL_CANDIDATE:
	case ICE_EVENT_MAPPING_CHANGED:
	case ICE_EVENT_NEXT_FAILED:
	case ICE_EVENT_UPGRADE_ADVISED:
		break;
	}
}

static void on_relay_event(struct agent *a, size_t i, const struct turn_event *e)
{
	const struct netaddr *server = turn_allocation_server(sdp_relay_allocation(a->relays[i]));
	uint16_t number = (uint16_t)(i + 1);

	switch (e->type) {
	case TURN_EVENT_ALLOCATED:
		if (ice_engine_add_relay(a->engine, now_us(), number, ICE_NO_SOCKET, &e->relayed,
					 &e->mapped, server, (uint16_t)(UINT16_MAX - i)) != OK)
			fprintf(stderr, "relay %zu is not usable\n", i);
		a->relay_settled[i] = true;
		break;
	case TURN_EVENT_FAILED:
	case TURN_EVENT_LOST:
		fprintf(stderr, "relay %zu: %s\n", i, turn_problem_text(e->problem));
		ice_engine_remove_relay(a->engine, now_us(), number);
		a->relay_settled[i] = true;
		break;
	case TURN_EVENT_PEER_REFUSED:
		fprintf(stderr, "relay %zu: %s\n", i, turn_problem_text(e->problem));
		break;
	case TURN_EVENT_CHALLENGED:
	case TURN_EVENT_EXPIRING:
	case TURN_EVENT_RENEWED:
	case TURN_EVENT_ALTERNATE:
	case TURN_EVENT_RELEASED:
	case TURN_EVENT_PERMITTED:
	case TURN_EVENT_CHANNEL:
		break;
	}
}

static bool relays_are_settled(const struct agent *a)
{
	for (size_t i = 0; i < a->options.turn_count; i++) {
		if (!a->relay_settled[i])
			return false;
	}
	return true;
}

/* Events first: a permission has to be asked for before the check that needs it. */
static void pump(struct agent *a)
{
	uint8_t buf[ICE_TRANSMIT_MAX_BYTES];
	struct turn_event turn;
	struct ice_event e;
	struct ice_transmit t;

	for (size_t i = 0; i < a->options.turn_count; i++) {
		while (turn_allocation_pop_event(sdp_relay_allocation(a->relays[i]), &turn))
			on_relay_event(a, i, &turn);
	}
	if (relays_are_settled(a))
		ice_engine_set_relays_pending(a->engine, false);
	do {
		while (ice_engine_pop_event(a->engine, &e))
			on_event(a, &e);
		for (size_t i = 0; i < a->options.turn_count; i++)
			sdp_relay_pump(a->relays[i]);
		if (!ice_engine_pop_transmit(a->engine, &t, buf, sizeof(buf)))
			break;
		send_datagram(a, t.socket, t.relay, &t.to, buf, t.len);
	} while (true);
	if (!a->described && (ice_engine_is_gathered(a->engine) || now_us() >= a->patience_us))
		print_description(a);
}

/* --- input from the network --- */

static void on_data(struct agent *a, const uint8_t *buf, size_t len)
{
	char text[MAX_TEXT + 8];
	size_t text_len = len < MAX_TEXT ? len : MAX_TEXT;
	json_t *value;

	memcpy(text, buf, text_len);
	text[text_len] = '\0';
	value = json_stringn(text, text_len);
	print_event(json_pack("{s:s, s:i, s:o}", "event", "data", "bytes", (int)len, "text",
			      value ? value : json_string("")));
	if (strncmp(text, "ping ", 5) == 0) {
		memcpy(text, "pong", 4);
		send_text(a, text);
	}
}

static void read_socket(struct agent *a, size_t i)
{
	uint8_t buf[65536];
	union net_sockaddr sa = {0};
	struct netaddr from;
	ssize_t n;

	for (;;) {
		socklen_t len = sizeof(sa);

		n = recvfrom(a->sockets[i], buf, sizeof(buf), 0, &sa.any, &len);
		if (n < 0)
			return;
		if (!net_sockaddr_to(&sa, len, &from))
			continue;
		if (stun_is_message(buf, (size_t)n))
			(void)!ice_engine_input(a->engine, now_us(), (uint16_t)i, &from, buf,
						(size_t)n);
		else
			on_data(a, buf, (size_t)n);
	}
}

static void read_relay(struct agent *a, size_t i)
{
	struct turn_data d;

	while (sdp_relay_read(a->relays[i], now_us(), &d)) {
		if (stun_is_message(d.bytes, d.len))
			(void)!ice_engine_input_relayed(a->engine, now_us(), (uint16_t)(i + 1),
							&d.peer, d.bytes, d.len);
		else
			on_data(a, d.bytes, d.len);
	}
}

/* --- standard input --- */

static void restart(struct agent *a)
{
	if (ice_agent_restart(a->ice, now_us()) == OK)
		print_restart(a);
	else
		fprintf(stderr, "nothing to restart yet\n");
}

/* Whose offer a description with new credentials is: the answer to ours, or a restart of the
 * peer's. */
static void take_description(struct agent *a, struct ice_description *d)
{
	struct ice_description before, after;
	enum err e;

	d->lite |= a->options.lite_peer;
	ice_agent_get_description(a->ice, &before);
	e = ice_agent_set_remote(a->ice, now_us(), d);
	if (e != OK && e != ERR_EXISTS)
		fprintf(stderr, "the description was not taken: %s\n", err_text(e));
	ice_agent_get_description(a->ice, &after);
	if (strcmp(before.ufrag, after.ufrag) != 0)
		print_restart(a);
}

static void on_block(struct agent *a)
{
	struct ice_description d;

	if (a->block_len == 0)
		return;
	if (ice_sdp_read(&d, a->block, a->block_len) != OK) {
		fprintf(stderr, "the block is not well formed\n");
		d.surplus_count = 0;
	} else if (d.ufrag[0] != '\0') {
		take_description(a, &d);
	} else {
		for (size_t i = 0; i < d.candidate_count; i++)
			(void)!ice_agent_add_remote_candidate(a->ice, now_us(), NULL,
							      &d.candidates[i]);
		if (d.end_of_candidates)
			ice_agent_end_remote(a->ice, now_us(), NULL);
	}
	if (d.surplus_count)
		fprintf(stderr, "candidates without room: %zu\n", d.surplus_count);
	a->block_len = 0;
}

static void on_line(struct agent *a, char *line)
{
	size_t len = strlen(line);

	if (len > 0 && line[len - 1] == '\r')
		line[--len] = '\0';
	if (len == 0) {
		on_block(a);
	} else if (strcmp(line, "quit") == 0) {
		a->quit = true;
	} else if (strcmp(line, "restart") == 0) {
		restart(a);
	} else if (strncmp(line, "send ", 5) == 0) {
		send_text(a, line + 5);
	} else if (a->block_len + len + 2 <= sizeof(a->block)) {
		memcpy(a->block + a->block_len, line, len);
		a->block_len += len;
		a->block[a->block_len++] = '\n';
	} else {
		fprintf(stderr, "the block is too long\n");
	}
}

static void read_input(struct agent *a)
{
	char *newline;
	ssize_t n = read(STDIN_FILENO, a->line + a->line_len, sizeof(a->line) - 1 - a->line_len);

	if (n <= 0) {
		a->input_ended = true;
		return;
	}
	a->line_len += (size_t)n;
	a->line[a->line_len] = '\0';
	while ((newline = memchr(a->line, '\n', a->line_len)) != NULL) {
		size_t used = (size_t)(newline + 1 - a->line);

		*newline = '\0';
		on_line(a, a->line);
		memmove(a->line, newline + 1, a->line_len - used + 1);
		a->line_len -= used;
	}
	if (a->line_len == sizeof(a->line) - 1)
		a->line_len = 0;
}

/* --- the beginning --- */

static void open_sockets(struct agent *a)
{
	for (size_t i = 0; i < a->options.bind_count; i++) {
		if (net_udp_open(&a->options.bind[i], 0, &a->sockets[i], &a->bases[i]) != OK)
			sdp_die("bind", "an address cannot be used");
		a->socket_count++;
		/* Without sockets in the engine only relays are candidates. */
		if (a->options.policy != SDP_POLICY_RELAY &&
		    ice_engine_add_socket(a->engine, now_us(), (uint16_t)i, &a->bases[i],
					  (uint16_t)(UINT16_MAX - i)) != OK)
			sdp_die("bind", "an address is no candidate");
	}
}

static void start(struct agent *a)
{
	struct ice_engine_params params = {
		.random = random_system(), .max_agents = 1, .ta_ms = a->options.ta_ms};
	struct ice_agent_params agent = {.controlling = a->options.controlling, .worth = 1};
	struct netaddr stun[SDP_MAX_SERVERS];

	if (ice_engine_create(&a->engine, &params) != OK ||
	    ice_agent_open(&a->ice, a->engine, now_us(), &agent) != OK)
		sdp_die("--ta", "must be 5 or more");
	if (a->options.policy == SDP_POLICY_HOST)
		a->options.stun_count = a->options.turn_count = 0;
	for (size_t i = 0; i < a->options.stun_count; i++)
		stun[i] = sdp_resolve(a->options.stun[i]);
	ice_engine_set_relays_pending(a->engine, a->options.turn_count > 0);
	if (ice_engine_set_stun_servers(a->engine, now_us(), stun, a->options.stun_count) != OK)
		sdp_die("--stun", "not a server that can be asked");
	for (size_t i = 0; i < a->options.turn_count; i++) {
		const struct sdp_turn_option *t = &a->options.turn[i];

		a->relays[i] = sdp_relay_open(
			t->uri, t->user, t->password,
			a->options.bind_count == 1 ? &a->options.bind[0] : NULL, now_us());
	}
	sdp_options_find_addresses(&a->options);
	open_sockets(a);
	a->patience_us = now_us() + PATIENCE_US;
}

static uint64_t next_deadline(const struct agent *a)
{
	uint64_t due = ice_engine_next_deadline(a->engine);

	for (size_t i = 0; i < a->options.turn_count; i++)
		due = deadline_min(
			due, turn_allocation_next_deadline(sdp_relay_allocation(a->relays[i])));
	return a->described ? due : deadline_min(due, a->patience_us);
}

static void serve_deadlines(struct agent *a)
{
	ice_engine_on_deadline(a->engine, now_us());
	for (size_t i = 0; i < a->options.turn_count; i++)
		turn_allocation_on_deadline(sdp_relay_allocation(a->relays[i]), now_us());
}

static void turn_round(struct agent *a)
{
	struct pollfd fds[1 + SDP_MAX_SOCKETS + SDP_MAX_SERVERS] = {
		{.fd = a->input_ended ? -1 : STDIN_FILENO, .events = POLLIN}};
	struct pollfd *relays = fds + 1 + a->socket_count;
	uint64_t due = next_deadline(a), now = now_us();
	uint64_t wait_us = due <= now ? 0 : due - now < US_PER_S ? due - now : US_PER_S;
	struct timespec timeout = {.tv_sec = (time_t)(wait_us / US_PER_S),
				   .tv_nsec = (long)(wait_us % US_PER_S) * 1000};

	for (size_t i = 0; i < a->socket_count; i++)
		fds[1 + i] = (struct pollfd){.fd = a->sockets[i], .events = POLLIN};
	for (size_t i = 0; i < a->options.turn_count; i++)
		relays[i] = (struct pollfd){.fd = sdp_relay_fd(a->relays[i]), .events = POLLIN};
	if (ppoll(fds, (nfds_t)(1 + a->socket_count + a->options.turn_count), &timeout, NULL) < 0 &&
	    errno != EINTR)
		sdp_die("ppoll", strerror(errno));
	if (fds[0].revents)
		read_input(a);
	for (size_t i = 0; i < a->socket_count; i++)
		read_socket(a, i);
	for (size_t i = 0; i < a->options.turn_count; i++)
		read_relay(a, i);
	if (signalled && a->options.restart_on_signal)
		restart(a);
	signalled = 0;
	serve_deadlines(a);
	pump(a);
}

static void stop(struct agent *a)
{
	for (size_t i = 0; i < a->options.turn_count; i++) {
		turn_allocation_release(sdp_relay_allocation(a->relays[i]), now_us());
		sdp_relay_pump(a->relays[i]);
		sdp_relay_close(a->relays[i]);
	}
	ice_engine_destroy(a->engine);
	for (size_t i = 0; i < a->socket_count; i++)
		close(a->sockets[i]);
}

int main(int argc, char **argv)
{
	static struct agent a;
	struct sigaction action = {.sa_handler = on_signal};

	sdp_options_parse(&a.options, argc, argv);
	if (crypto_start() != OK)
		sdp_die("libsodium", "does not start");
	sigaction(SIGUSR1, &action, NULL);
	start(&a);
	pump(&a);
	while (!a.quit && !(a.input_ended && !a.described))
		turn_round(&a);
	stop(&a);
	return 0;
}
