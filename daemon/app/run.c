#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/app/internal.h"
#include "daemon/app/memory.h"
#include "daemon/config/stamps.h"
#include "daemon/core/crypto/random.h"
#include "daemon/core/crypto/secret.h"
#include "daemon/core/signal/handshake.h"

#define TICK_MS 1000
/* Without packets, until memory is given back. */
#define QUIET_S 10
/* For so long a peer that cannot be reached makes the helper hurry. */
#define HURRY_US (300 * US_PER_S)
/* Without packets, until the prepared keys of a session are given back; twice that at most. */
#define KEY_REST_US (60 * US_PER_S)

/* --- what the overlay wants --- */

static void on_peer_state(struct run *r, const struct overlay_event *e)
{
	struct overlay_peer_info info;

	if (overlay_peer(r->overlay, e->peer, &info) != OK)
		return;
	log_info("peer.state", "peer=%s old=%s new=%s%s%s", log_quote(info.name).text,
		 log_quote(overlay_peer_state_name(e->old_state)).text,
		 log_quote(overlay_peer_state_name(e->state)).text, e->reason ? " reason=" : "",
		 e->reason ? log_quote(overlay_reason_text(e->reason)).text : "");
}

_Static_assert(CERT_MAX_ADDRESSES + CERT_MAX_ROUTES <= DATA_MAX_ALLOWED, "all may send");

static void add_session(struct run *r, const struct overlay_event *e)
{
	struct overlay_session_keys keys;
	struct overlay_peer_info info;
	struct data_session_params params = {.peer = e->peer};
	enum err err;

	if (overlay_peer(r->overlay, e->peer, &info) != OK || !info.member ||
	    overlay_session_keys(r->overlay, e->peer, e->session, &keys) != OK)
		return; /* gone again before we looked */
	params.allowed = info.member->prefixes;
	params.allowed_count = info.member->prefix_count;
	params.local_index = keys.local_index;
	params.remote_index = keys.remote_index;
	params.cipher = keys.cipher;
	params.send_key = keys.send_key;
	params.receive_key = keys.receive_key;
	params.lanes = keys.lanes;
	params.takes_partial = keys.features & SIGNAL_FEATURE_PARTIAL;
	err = data_plane_add_session(r->data, &params);
	secret_wipe(&keys, sizeof(keys));
	if (err != OK)
		log_error("session.add", "peer=%s error=%s", log_quote(info.name).text,
			  err_name(err));
}

static void set_path(struct run *r, const struct overlay_event *e)
{
	struct data_path path = {
		.socket = e->path.socket,
		.remote = e->channel ? e->server : e->path.remote,
		.channel = e->channel,
		.max_bytes = e->max_bytes,
		.is_found = e->is_found,
	};
	char local[NETADDR_TEXT_BYTES], remote[NETADDR_TEXT_BYTES];
	struct overlay_peer_info info;
	enum err err = OK;

	path.ifindex = sockets_device_to(r, path.socket, &path.remote);
	if (e->by_overlay)
		data_plane_clear_path(r->data, e->peer);
	else
		err = data_plane_set_path(r->data, e->peer, e->session, &path);
	if (overlay_peer(r->overlay, e->peer, &info) != OK)
		return;
	log_info("peer.path",
		 "peer=%s local=%s/%s remote=%s/%s rtt_us=%llu nominated=%d channel=%#x bytes=%u "
		 "found=%d result=%s",
		 log_quote(info.name).text, netaddr_format(&e->path.local, local),
		 ice_candidate_type_name(e->path.local_type),
		 netaddr_format(&e->path.remote, remote),
		 ice_candidate_type_name(e->path.remote_type), (unsigned long long)e->path.rtt_us,
		 e->path.nominated, (unsigned int)e->channel, (unsigned int)e->max_bytes,
		 e->is_found, err_name(err));
}

static void set_path_size(struct run *r, const struct overlay_event *e)
{
	struct overlay_peer_info info;
	enum err err = data_plane_set_path_size(r->data, e->peer, e->max_bytes, e->is_found);

	if (overlay_peer(r->overlay, e->peer, &info) != OK)
		return;
	if (e->is_found)
		log_info("peer.path_size", "peer=%s bytes=%u found=1 result=%s",
			 log_quote(info.name).text, (unsigned int)e->max_bytes, err_name(err));
	else
		log_debug("peer.path_size", "peer=%s bytes=%u found=0 result=%s",
			  log_quote(info.name).text, (unsigned int)e->max_bytes, err_name(err));
}

static void on_registered(struct run *r)
{
	if (!r->was_registered)
		log_info("rendezvous.registered", "after_ms=%llu",
			 (unsigned long long)((app_now_us() - r->started_us) / US_PER_MS));
	r->was_registered = true;
	r->refused = 0;
	servers_update(r);
	app_up_progress(r->app, CONTROL_STATE_UP, "Registered; the overlay is up.", true);
}

static void on_refused(struct run *r, enum signal_error error)
{
	r->refused = error;
	log_error("rendezvous.refused", "reason=%s", signal_error_name(error));
	app_up_failed(r->app, problem_of_signal(error), NULL);
}

/* The stamp is kept ahead of use, so that not each offer writes to the disk. */
static void keep_stamp(struct run *r, uint64_t stamp_us)
{
	struct state *s = r->app->state;

	if (stamp_us <= s->stamp_us)
		return;
	s->stamp_us = stamp_us + 60 * US_PER_S;
	app_save_run(r->app);
}

static void on_restart(struct run *r, const struct overlay_event *e)
{
	static const char *const steps[] = {
		[OVERLAY_RESTART_BEGUN] = "begun",
		[OVERLAY_RESTART_SWITCHED] = "switched",
		[OVERLAY_RESTART_FAILED] = "failed",
	};
	struct overlay_peer_info info;

	if (overlay_peer(r->overlay, e->peer, &info) == OK)
		log_info("peer.restart", "peer=%s step=%s cause=%s", log_quote(info.name).text,
			 steps[e->restart_step],
			 log_quote(overlay_restart_cause_text(e->restart_cause)).text);
}

/* Before any other event: a peer's number may be another peer's then. */
static void flush_routes(struct run *r)
{
	if (!r->routes_changed)
		return;
	r->routes_changed = false;
	if (data_plane_set_routes(r->data, overlay_routes(r->overlay)) != OK)
		log_error("routes.set", "error=%s", err_name(ERR_NO_MEMORY));
}

static void on_event(struct run *r, const struct overlay_event *e)
{
	if (e->type == OVERLAY_EVENT_ROUTES)
		r->routes_changed = true;
	else
		flush_routes(r);
	events_on_overlay(r, e);
	switch (e->type) {
	case OVERLAY_EVENT_PEER_STATE:
		on_peer_state(r, e);
		ping_on_event(r, e);
		break;
	case OVERLAY_EVENT_PEER_FORGOTTEN:
		data_plane_remove_peer(r->data, e->peer);
		ping_on_event(r, e);
		break;
	case OVERLAY_EVENT_SESSION_ADD:
		add_session(r, e);
		break;
	case OVERLAY_EVENT_SESSION_REMOVE:
		data_plane_remove_session(r->data, e->session);
		break;
	case OVERLAY_EVENT_PATH:
		set_path(r, e);
		ping_on_event(r, e);
		break;
	case OVERLAY_EVENT_PATH_SIZE:
		set_path_size(r, e);
		break;
	case OVERLAY_EVENT_PATH_CLEAR:
		data_plane_clear_path(r->data, e->peer);
		break;
	case OVERLAY_EVENT_ROUTES:
		break;
	case OVERLAY_EVENT_REGISTERED:
		on_registered(r);
		break;
	case OVERLAY_EVENT_SERVERS:
		servers_update(r);
		break;
	case OVERLAY_EVENT_UNREGISTERED:
		log_warning("rendezvous.lost", "state=offline");
		break;
	case OVERLAY_EVENT_REFUSED:
		on_refused(r, e->signal_error);
		break;
	case OVERLAY_EVENT_LINK_DEAD:
		log_warning("rendezvous.silent", "action=reconnect");
		signal_client_reconnect(r->signal);
		break;
	case OVERLAY_EVENT_PONG:
		ping_on_event(r, e);
		break;
	case OVERLAY_EVENT_LOCAL_CANDIDATES:
		log_debug("ice.candidates", "changed=1");
		break;
	case OVERLAY_EVENT_RESTART:
		on_restart(r, e);
		break;
	case OVERLAY_EVENT_PEER_STAMP:
		r->stamps_changed = true;
		break;
	case OVERLAY_EVENT_STAMP:
		keep_stamp(r, e->stamp_us);
		break;
	case OVERLAY_EVENT_RELAY_SERVER_ADD:
	case OVERLAY_EVENT_RELAY_SERVER_REMOVE:
	case OVERLAY_EVENT_WANT_SOCKET:
	case OVERLAY_EVENT_STREAM_OPEN:
	case OVERLAY_EVENT_STREAM_CLOSE:
		servers_on_event(r, e);
		break;
	}
}

void run_pump(struct run *r)
{
	struct overlay_event e;
	struct ice_transmit t;
	struct netaddr from;
	size_t len;

	if (r->stopping)
		return;
	do {
		while (overlay_pop_transmit(r->overlay, &t, r->buf, sizeof(r->buf)))
			sockets_send(r, &t, r->buf);
		streams_flush(r);
		while (overlay_pop_signal(r->overlay, r->buf, sizeof(r->buf), &len)) {
			if (signal_client_send(r->signal, r->buf, len) != OK)
				log_debug("rendezvous.send", "result=dropped bytes=%zu", len);
		}
		while (overlay_pop_event(r->overlay, &e))
			on_event(r, &e);
		flush_routes(r);
		/* After the events: a packet may be the first under keys that one of them
		 * announced. */
		while (overlay_pop_inject(r->overlay, &from, r->buf, sizeof(r->buf), &len)) {
			uint16_t socket =
				from.family == NETADDR_NONE ? DATA_NO_SOCKET : APP_RELAY_SOCKET;

			if (data_plane_inject(r->data, r->buf, len, socket, &from) != OK)
				log_debug("data.inject", "result=dropped");
		}
	} while (overlay_has_output(r->overlay));
	net_alarm_set(r->alarm, overlay_next_deadline(r->overlay));
}

/* --- inputs --- */

static void on_deadline(void *ctx)
{
	struct run *r = ctx;

	overlay_on_deadline(r->overlay, app_now_us());
	run_pump(r);
}

static void save_stamps(struct run *r)
{
	char error[STATE_ERROR_BYTES];

	if (!r->stamps_changed)
		return;
	r->stamps_changed = false;
	if (stamps_save(r->app->config->state_directory, overlay_stamps(r->overlay), error) != OK)
		log_error("state.save", "error=%s", log_quote(error).text);
}

static void watch_quiet(struct run *r)
{
	uint64_t now_us = app_now_us();
	struct data_counters c;

	if (now_us >= r->rest_us + KEY_REST_US) {
		(void)data_plane_rest(r->data, r->rest_us);
		r->rest_us = now_us;
	}

	data_plane_counters(r->data, &c);
	if (c.tun_in + c.rx_tun != r->moved_packets)
		r->quiet_s = 0;
	else if (++r->quiet_s == QUIET_S)
		memory_give_back();
	r->moved_packets = c.tun_in + c.rx_tun;
}

/* A peer without a path is found through the rendezvous only: packets that wait for it must not
 * wait for the helper, too, which pauses longer and longer between its tries. */
static void hurry_link(struct run *r)
{
	if (r->link == SIGNAL_LINK_DOWN && app_now_us() >= r->link_since_us + US_PER_S)
		signal_client_reconnect(r->signal);
}

/* The overlay hears which peers authenticated data came from. */
static void on_tick(uv_timer_t *t)
{
	struct run *r = t->data;
	struct overlay_peer_info info;
	struct data_stats stats;
	uint32_t cursor = 0;
	bool is_missed = false;

	while (overlay_next_peer(r->overlay, &cursor, &info)) {
		is_missed |= info.state == OVERLAY_PEER_ROAMING &&
			     app_now_us() < info.since_us + HURRY_US;
		if (!info.session || !data_plane_session_stats(r->data, info.session, &stats))
			continue;
		if (info.sent_us > stats.last_tx_us)
			stats.last_tx_us = info.sent_us;
		if (stats.last_tx_us > stats.last_rx_us + US_PER_S) {
			overlay_on_unanswered(r->overlay, app_now_us(), info.peer);
			is_missed |= stats.last_tx_us < stats.last_rx_us + HURRY_US;
		}
		if (stats.last_rx_us <= r->heard_us[info.peer])
			continue;
		r->heard_us[info.peer] = stats.last_rx_us;
		overlay_on_authenticated(r->overlay, app_now_us(), info.peer, info.session,
					 stats.tx_packets);
	}
	if (is_missed)
		hurry_link(r);
	overlay_set_wall_clock(r->overlay, app_now_us(), app_unix_us());
	servers_on_tick(r);
	save_stamps(r);
	run_pump(r);
	watch_quiet(r);
}

static void on_data(uv_poll_t *poll, int status, int events)
{
	struct run *r = poll->data;
	struct data_input in;
	int budget = 256;

	(void)events;
	if (status < 0)
		return;
	while (budget-- > 0 && data_plane_pop(r->data, &in, r->buf, sizeof(r->buf))) {
		switch (in.kind) {
		case DATA_INPUT_STUN:
		case DATA_INPUT_RELAYED:
			(void)overlay_on_datagram(r->overlay, in.now_us, in.socket, &in.remote,
						  r->buf, in.len);
			break;
		case DATA_INPUT_CONTROL:
			(void)overlay_on_control(r->overlay, in.now_us, in.peer, in.local_index,
						 in.socket != DATA_NO_SOCKET, r->buf, in.len);
			break;
		case DATA_INPUT_UNROUTED:
			(void)overlay_on_packet(r->overlay, in.now_us, r->buf, in.len);
			break;
		case DATA_INPUT_SEND_ERROR:
			overlay_on_send_error(r->overlay, in.now_us, in.socket, &in.remote);
			network_doubt(r);
			break;
		case DATA_INPUT_TOO_LONG:
			overlay_on_packet_too_long(r->overlay, in.now_us, in.peer);
			break;
		case DATA_INPUT_TUN_LOST:
			log_error("tun.lost", "device=%s", tun_device_name(r->tun));
			break;
		}
	}
	run_pump(r);
}

static void on_link(void *ctx, enum signal_link_state state, enum signal_link_reason reason,
		    const char *detail)
{
	struct run *r = ctx;
	enum problem problem = problem_of_link(reason);
	char text[2 * SIGNAL_DETAIL_BYTES];

	if (r->stopping)
		return;
	r->link = state;
	r->link_since_us = app_now_us();
	snprintf(r->link_detail, sizeof(r->link_detail), "%s", detail);
	if (state == SIGNAL_LINK_DOWN) {
		r->link_reason = reason;
		r->link_error_us = r->link_since_us;
		log_warning("rendezvous.down", "reason=%s detail=%s",
			    signal_link_reason_name(reason), log_quote(detail).text);
		if (problem == PROBLEM_SERVER_KEY || problem == PROBLEM_SERVER_REFUSED) {
			app_up_failed(r->app, problem, detail);
		} else {
			snprintf(text, sizeof(text), "%s (%s)", signal_link_reason_text(reason),
				 detail);
			app_up_progress(r->app, CONTROL_STATE_OFFLINE, text, false);
		}
	} else if (state == SIGNAL_LINK_UP) {
		app_up_progress(r->app, CONTROL_STATE_STARTING,
				"Connected to the rendezvous server; registering.", false);
	}
	overlay_on_link(r->overlay, app_now_us(), state == SIGNAL_LINK_UP);
	run_pump(r);
}

static void on_message(void *ctx, const uint8_t *buf, size_t len)
{
	struct run *r = ctx;

	if (r->stopping)
		return;
	(void)overlay_on_signal(r->overlay, app_now_us(), buf, len);
	run_pump(r);
}

/* --- start --- */

static enum ice_policy policy_of(enum config_candidates c)
{
	switch (c) {
	case CONFIG_CANDIDATES_ALL:
		break;
	case CONFIG_CANDIDATES_NO_HOST:
		return ICE_POLICY_NO_HOST;
	case CONFIG_CANDIDATES_RELAY:
		return ICE_POLICY_RELAY;
	}
	return ICE_POLICY_ALL;
}

static enum problem start_overlay(struct run *r, char *detail)
{
	struct state *s = r->app->state;
	struct stamp_table stamps;
	struct overlay_params params = {
		.random = random_system(),
		.max_peers = APP_MAX_PEERS,
		.queue_packets = APP_QUEUE_PACKETS,
		.mtu = r->app->config->mtu_bytes,
		.ta_ms = r->app->config->ta_ms,
		.policy = policy_of(r->app->config->candidates),
		.lanes = (uint8_t)(DATA_FIRST_LANE + r->workers),
		.features = SIGNAL_FEATURE_PROBE |
			    (r->app->offloads.partial_checksums ? SIGNAL_FEATURE_PARTIAL : 0),
		.max_sockets = APP_MAX_SOCKETS,
		.noise = &s->noise,
		.certificate = s->certificate,
		.certificate_len = s->certificate_len,
		.authority_public = s->authority_key,
		.last_stamp_us = s->stamp_us,
		.stamps = &stamps,
		.now_us = app_now_us(),
		.unix_us = app_unix_us(),
	};
	enum err why, e;

	if (stamp_table_init(&stamps, APP_MAX_PEERS) != OK)
		return PROBLEM_INTERNAL;
	if (stamps_load(r->app->config->state_directory, &stamps, detail) != OK)
		log_error("state.load", "error=%s", log_quote(detail).text);
	detail[0] = '\0';
	params.epoch = state_next_epoch(s, params.unix_us / US_PER_S);
	app_save_run(r->app);
	e = overlay_create(&r->overlay, &params, &why);
	stamp_table_fini(&stamps);
	if (e == OK)
		return PROBLEM_NONE;
	snprintf(detail, APP_DETAIL_BYTES, "%s", err_text(why != OK ? why : e));
	if (why == DROP_EXPIRED)
		return PROBLEM_MEMBERSHIP_EXPIRED;
	return why == OK ? PROBLEM_INTERNAL : PROBLEM_STATE_DAMAGED;
}

static enum problem start_signal(struct run *r, char *detail)
{
	const struct config *c = r->app->config;
	const struct state *s = r->app->state;
	struct signal_client_params params = {
		.loop = r->app->loop,
		.helper_path = c->signal_helper[0] ? c->signal_helper : NULL,
		.ctx = r,
		.on_state = on_link,
		.on_message = on_message,
	};
	struct signal_link_config config = {.endpoint_count = s->endpoint_count};
	enum err e;

	_Static_assert(sizeof(config.endpoint) == sizeof(s->endpoints), "the same endpoints");
	memcpy(config.endpoint, s->endpoints, sizeof(config.endpoint));
	if (c->rendezvous_endpoint[0]) {
		config.endpoint_count = 1;
		snprintf(config.endpoint[0], sizeof(config.endpoint[0]), "%.127s",
			 c->rendezvous_endpoint);
	}
	memcpy(config.server_key, s->server_key, sizeof(config.server_key));
	memcpy(config.curve_secret, s->curve.secret, sizeof(config.curve_secret));
	memcpy(config.curve_public, s->curve.public, sizeof(config.curve_public));
	e = signal_client_create(&r->signal, &params);
	if (e == OK)
		e = signal_client_configure(r->signal, &config);
	secret_wipe(&config, sizeof(config));
	if (e == OK)
		return PROBLEM_NONE;
	snprintf(detail, APP_DETAIL_BYTES, "the helper icetun-signal: %s", err_text(e));
	return PROBLEM_INTERNAL;
}

static void start_handles(struct run *r)
{
	uv_timer_init(r->app->loop, &r->tick);
	uv_timer_init(r->app->loop, &r->ping_timer);
	uv_poll_init(r->app->loop, &r->data_poll, data_plane_wakeup_fd(r->data));
	r->tick.data = r;
	r->ping_timer.data = r;
	r->data_poll.data = r;
	r->open_handles = 3;
	uv_timer_start(&r->tick, on_tick, TICK_MS, TICK_MS);
	uv_poll_start(&r->data_poll, UV_READABLE, on_data);
}

/* Frees what has no open handle. */
static void free_parts(struct run *r)
{
	streams_destroy(r);
	servers_destroy(r);
	sockets_close(r);
	data_plane_destroy(r->data);
	tun_device_close(r->tun);
	tun_netcfg_destroy(r->netcfg);
	overlay_destroy(r->overlay);
	r->data = NULL;
	r->tun = NULL;
	r->netcfg = NULL;
	r->overlay = NULL;
}

enum problem run_start(struct app *a, char *detail)
{
	struct run *r = calloc(1, sizeof(*r));
	enum problem p = PROBLEM_INTERNAL;

	if (!r)
		return p;
	r->app = a;
	r->workers = device_workers(a);
	r->port = a->config->port ? a->config->port : a->state->port;
	r->started_us = app_now_us();
	if (tun_netcfg_create(&r->netcfg, detail, APP_DETAIL_BYTES) == 0)
		p = start_overlay(r, detail);
	if (p == PROBLEM_NONE)
		p = device_check_overlap(r, detail);
	if (p == PROBLEM_NONE)
		p = device_open(r, detail);
	if (p == PROBLEM_NONE)
		p = device_configure(r, detail);
	if (p == PROBLEM_NONE)
		p = device_start_data(r, detail);
	if (p == PROBLEM_NONE &&
	    (servers_create(r) != OK || net_alarm_open(&r->alarm, a->loop, on_deadline, r) != OK))
		p = PROBLEM_INTERNAL;
	if (p == PROBLEM_NONE)
		p = start_signal(r, detail);
	if (p != PROBLEM_NONE) {
		net_alarm_close(r->alarm);
		signal_client_destroy(r->signal);
		free_parts(r);
		free(r);
		return p;
	}
	a->run = r;
	start_handles(r);
	network_start(r);
	servers_update(r);
	log_info("up", "device=%s name=%s", tun_device_name(r->tun),
		 log_quote(overlay_own_cert(r->overlay)->name).text);
	run_pump(r);
	return PROBLEM_NONE;
}

/* --- stop --- */

static void on_closed(uv_handle_t *h)
{
	struct run *r = h->data;

	if (--r->open_handles == 0)
		free(r);
}

void run_stop(struct run *r)
{
	log_info("down", "device=%s", tun_device_name(r->tun));
	ping_end_all(r);
	save_stamps(r);
	overlay_close_peers(r->overlay, app_now_us());
	run_pump(r);
	r->stopping = true;
	net_alarm_close(r->alarm);
	net_watcher_destroy(r->watcher);
	signal_client_destroy(r->signal);
	uv_poll_stop(&r->data_poll);
	free_parts(r);
	uv_close((uv_handle_t *)&r->tick, on_closed);
	uv_close((uv_handle_t *)&r->ping_timer, on_closed);
	uv_close((uv_handle_t *)&r->data_poll, on_closed);
}
