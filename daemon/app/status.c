#include <stdio.h>
#include <string.h>

#include "daemon/app/internal.h"

/* A server that has not answered for so long is worth a sentence, though it may still do. */
#define TURN_SLOW_MS 3000

static uint64_t age_ms(uint64_t then_us)
{
	uint64_t now = app_now_us();

	return then_us == 0 ? CONTROL_NEVER : then_us >= now ? 0 : (now - then_us) / US_PER_MS;
}

static uint64_t until_ms(uint64_t then_us)
{
	uint64_t now = app_now_us();

	return then_us == DEADLINE_NONE ? CONTROL_NEVER
	       : then_us <= now		? 0
					: (then_us - now) / US_PER_MS;
}

enum problem problem_of_link(enum signal_link_reason reason)
{
	switch (reason) {
	case SIGNAL_LINK_SERVER_KEY:
		return PROBLEM_SERVER_KEY;
	case SIGNAL_LINK_REFUSED:
		return PROBLEM_SERVER_REFUSED;
	case SIGNAL_LINK_UNREACHABLE:
	case SIGNAL_LINK_NAME:
	case SIGNAL_LINK_RESOLVER:
	case SIGNAL_LINK_CLOSED:
		return PROBLEM_SERVER_UNREACHABLE;
	case SIGNAL_LINK_HELPER:
		return PROBLEM_INTERNAL;
	case SIGNAL_LINK_NO_REASON:
	case SIGNAL_LINK_REASON_COUNT:
		break;
	}
	return PROBLEM_NONE;
}

enum problem problem_of_signal(enum signal_error error)
{
	switch (error) {
	case SIGNAL_ERROR_REPLACED:
		return PROBLEM_REPLACED;
	case SIGNAL_ERROR_REVOKED:
		return PROBLEM_MEMBERSHIP_REVOKED;
	case SIGNAL_ERROR_NAME_TAKEN:
		return PROBLEM_NAME_TAKEN;
	case SIGNAL_ERROR_TOKEN_INVALID:
		return PROBLEM_TOKEN_UNKNOWN;
	case SIGNAL_ERROR_TOKEN_EXPIRED:
		return PROBLEM_TOKEN_EXPIRED;
	case SIGNAL_ERROR_TOKEN_USED:
		return PROBLEM_TOKEN_USED;
	case SIGNAL_ERROR_NAME_INVALID:
		return PROBLEM_NAME_INVALID;
	case SIGNAL_ERROR_NO_ADDRESS:
		return PROBLEM_NO_ADDRESS;
	case SIGNAL_ERROR_VERSION:
		return PROBLEM_SERVER_VERSION;
	case SIGNAL_ERROR_UNKNOWN:
	case SIGNAL_ERROR_ABSENT:
	case SIGNAL_ERROR_BUSY:
	case SIGNAL_ERROR_RATE:
	case SIGNAL_ERROR_BAD:
	case SIGNAL_ERROR_CERTIFICATE:
	case SIGNAL_ERROR_OTHER:
	case SIGNAL_ERROR_COUNT:
		break;
	case SIGNAL_ERROR_EXPIRED:
		return PROBLEM_MEMBERSHIP_EXPIRED;
	}
	return PROBLEM_SERVER_REFUSED;
}

static void fill_rendezvous(const struct run *r, struct control_server_status *ret)
{
	const struct state *s = r->app->state;
	const char *override = r->app->config->rendezvous_endpoint;

	snprintf(ret->endpoint, sizeof(ret->endpoint), "%s",
		 override[0] ? override : s->endpoints[0]);
	ret->since_ms = age_ms(r->link_since_us ? r->link_since_us : r->started_us);
	ret->retry_ms = CONTROL_NEVER;
	ret->last_error_ms = age_ms(r->link_error_us);
	if (r->link_error_us)
		snprintf(ret->last_error, sizeof(ret->last_error), "%s",
			 signal_link_reason_text(r->link_reason));
	if (r->refused) {
		ret->state = CONTROL_SERVER_REFUSED;
		snprintf(ret->reason, sizeof(ret->reason), "%s",
			 problem_text(problem_of_signal(r->refused)));
	} else if (overlay_is_registered(r->overlay)) {
		ret->state = CONTROL_SERVER_READY;
	} else if (r->link == SIGNAL_LINK_DOWN) {
		ret->state = CONTROL_SERVER_WAITING;
		snprintf(ret->reason, sizeof(ret->reason), "%s",
			 signal_link_reason_text(r->link_reason));
	} else {
		ret->state = CONTROL_SERVER_CONNECTING;
	}
}

static void fill_candidates(const struct run *r, struct control_status *ret)
{
	const struct ice_candidate *c;
	size_t count;

	c = overlay_local_candidates(r->overlay, &count);
	for (size_t i = 0; i < count && ret->candidate_count < CONTROL_MAX_CANDIDATES; i++) {
		ret->candidates[ret->candidate_count++] = (struct control_candidate){
			.type = (enum control_candidate_type)c[i].type,
			.addr = c[i].addr,
		};
	}
}

static void say(char text[static CONTROL_TEXT_BYTES], const char *what)
{
	snprintf(text, CONTROL_TEXT_BYTES, "%s", what);
}

/* What is wrong outside of the protocol. Return: whether there is something. */
static bool fill_name(const struct app_server *s, struct control_server_status *ret)
{
	if (s->error_us) {
		say(ret->last_error, s->error);
		ret->last_error_ms = age_ms(s->error_us);
	}
	if (!s->is_name_error || s->addr_count > 0)
		return false;
	ret->state = CONTROL_SERVER_WAITING;
	ret->since_ms = age_ms(s->error_us);
	ret->retry_ms = s->lookup ? 0 : until_ms(s->lookup_us);
	say(ret->reason, s->error);
	return true;
}

static void fill_stun_state(const struct ice_stun_server_info *info,
			    struct control_server_status *ret)
{
	ret->since_ms = age_ms(info->since_us);
	ret->rtt_us = info->rtt_us;
	switch (info->state) {
	case ICE_STUN_SERVER_UNUSED:
		ret->state = CONTROL_SERVER_OFF;
		say(ret->reason, "this host has no address of the server's family");
		break;
	case ICE_STUN_SERVER_ASKING:
		ret->state = CONTROL_SERVER_CONNECTING;
		break;
	case ICE_STUN_SERVER_ANSWERED:
		ret->state = CONTROL_SERVER_READY;
		break;
	case ICE_STUN_SERVER_REFUSED:
		ret->state = CONTROL_SERVER_REFUSED;
		snprintf(ret->reason, sizeof(ret->reason),
			 info->error ? "the STUN server refuses (error %u)"
				     : "the STUN server answers with an address of no use",
			 (unsigned int)info->error);
		break;
	case ICE_STUN_SERVER_SILENT:
		ret->state = CONTROL_SERVER_WAITING;
		say(ret->reason, "the STUN server does not answer");
		break;
	}
}

/* A name may have several addresses: the best of them is what the server is. */
static void fill_stun(const struct run *r, const struct app_server *s,
		      struct control_server_status *ret)
{
	static const uint8_t rank[] = {
		[ICE_STUN_SERVER_ANSWERED] = 4, [ICE_STUN_SERVER_ASKING] = 3,
		[ICE_STUN_SERVER_REFUSED] = 2,	[ICE_STUN_SERVER_SILENT] = 1,
		[ICE_STUN_SERVER_UNUSED] = 0,
	};
	struct ice_stun_server_info info, best = {.since_us = s->since_us};

	if (s->uri.scheme == TURN_SCHEME_STUNS) {
		ret->state = CONTROL_SERVER_OFF;
		ret->since_ms = age_ms(s->since_us);
		say(ret->reason, "icetun does not use STUN over TLS");
		return;
	}
	if (fill_name(s, ret))
		return;
	ret->state = CONTROL_SERVER_CONNECTING;
	ret->since_ms = age_ms(s->since_us);
	for (size_t i = 0; overlay_stun_server_info(r->overlay, i, &info); i++) {
		bool ours = false;

		for (size_t k = 0; k < s->addr_count; k++)
			ours |= netaddr_equal(&s->addrs[k], &info.addr);
		if (ours &&
		    (best.addr.family == NETADDR_NONE || rank[info.state] > rank[best.state]))
			best = info;
	}
	if (best.addr.family != NETADDR_NONE)
		fill_stun_state(&best, ret);
}

static void turn_problem(const struct app_server *s, const struct overlay_relay_info *info,
			 char text[static CONTROL_TEXT_BYTES])
{
	if (info->is_stream_problem)
		say(text, s->error_us ? s->error : "the connection to the TURN server was closed");
	else if (info->code)
		snprintf(text, CONTROL_TEXT_BYTES, "%s (error %u)",
			 turn_problem_text(info->problem), (unsigned int)info->code);
	else
		say(text, turn_problem_text(info->problem));
}

static void fill_turn_state(const struct app_server *s, const struct overlay_relay_info *info,
			    struct control_server_status *ret)
{
	ret->since_ms = age_ms(info->since_us);
	ret->rtt_us = info->rtt_us;
	if (info->target.address.family != NETADDR_NONE)
		snprintf(ret->transport, sizeof(ret->transport), "%s",
			 turn_transport_name(info->target.transport));
	if (info->problem_us) {
		turn_problem(s, info, ret->last_error);
		ret->last_error_ms = age_ms(info->problem_us);
	}
	switch (info->state) {
	case OVERLAY_RELAY_UNUSED:
		ret->state = CONTROL_SERVER_OFF;
		if (s->addr_count > 0)
			say(ret->reason, "this host has no address of the server's family");
		break;
	case OVERLAY_RELAY_TRYING:
		ret->state = CONTROL_SERVER_CONNECTING;
		if (info->rtt_us == 0 && ret->since_ms >= TURN_SLOW_MS)
			say(ret->reason, "the TURN server has not answered so far");
		break;
	case OVERLAY_RELAY_READY:
		ret->state = CONTROL_SERVER_READY;
		break;
	case OVERLAY_RELAY_STANDBY:
		ret->state = CONTROL_SERVER_STANDBY;
		break;
	case OVERLAY_RELAY_WAITING:
		ret->state = CONTROL_SERVER_WAITING;
		ret->retry_ms = until_ms(info->retry_us);
		memcpy(ret->reason, ret->last_error, sizeof(ret->reason));
		break;
	}
}

static void fill_turn(const struct run *r, const struct app_server *s,
		      struct control_server_status *ret)
{
	struct overlay_relay_info info;

	ret->since_ms = age_ms(s->since_us);
	if (s->uri.transport == TURN_TRANSPORT_DTLS) {
		say(ret->reason, "icetun does not use TURN over DTLS");
		return;
	}
	if (fill_name(s, ret))
		return;
	ret->state = CONTROL_SERVER_CONNECTING;
	for (size_t i = 0; overlay_relay_info(r->overlay, i, &info); i++) {
		if (info.id == s->id)
			fill_turn_state(s, &info, ret);
	}
}

static void fill_servers(const struct run *r, struct control_status *ret)
{
	for (size_t i = 0; i < r->server_count; i++) {
		const struct app_server *s = servers_at(r, i);
		bool turn = s->uri.scheme == TURN_SCHEME_TURN || s->uri.scheme == TURN_SCHEME_TURNS;
		struct control_server_status *one;

		if ((turn ? ret->turn_count : ret->stun_count) == CONTROL_MAX_SERVERS)
			continue;
		one = turn ? &ret->turn[ret->turn_count++] : &ret->stun[ret->stun_count++];
		snprintf(one->endpoint, sizeof(one->endpoint), "%s", s->text);
		if (turn)
			fill_turn(r, s, one);
		else
			fill_stun(r, s, one);
	}
}

static void add_drops(struct drop_counters *sum, const struct drop_counters *more)
{
	for (size_t i = 0; i < ERR_COUNT; i++)
		sum->count[i] += more->count[i];
}

static void fill_data(const struct run *r, struct control_data *ret)
{
	struct data_offloads o;
	struct data_counters c;

	data_plane_offloads(r->data, &o);
	data_plane_counters(r->data, &c);
	*ret = (struct control_data){
		.workers = tun_device_queues(r->tun),
		.offloads = {[CONTROL_OFFLOAD_TUN_TCP] = o.tun_tcp,
			     [CONTROL_OFFLOAD_TUN_UDP] = o.tun_udp,
			     [CONTROL_OFFLOAD_UDP_SEGMENT] = o.udp_segment,
			     [CONTROL_OFFLOAD_UDP_GRO] = o.udp_gro,
			     [CONTROL_OFFLOAD_PARTIAL_CHECKSUMS] = o.partial,
			     [CONTROL_OFFLOAD_TUN_QUEUES] = tun_device_queues(r->tun) > 1},
		.tun_in = c.tun_in,
		.tx_sent = c.tx_sent,
		.tx_unrouted = c.tx_unrouted,
		.tx_too_big = c.tx_too_big,
		.tx_drops = c.tx_drops,
		.udp_in = c.udp_in,
		.rx_injected = c.rx_injected,
		.rx_tun = c.rx_tun,
		.rx_control = c.rx_control,
		.rx_stun = c.rx_stun,
		.rx_relayed = c.rx_relayed,
		.rx_empty = c.rx_empty,
		.rx_drops = c.rx_drops,
		.rx_overflow = c.overflow,
	};
}

static void fill_run(const struct run *r, struct control_status *ret)
{
	const struct cert *own = overlay_own_cert(r->overlay);
	uint64_t unix_s = app_unix_us() / US_PER_S;

	for (size_t i = 0; i < own->address_count && i < CONTROL_MAX_ADDRESSES; i++) {
		if (own->addresses[i].family == NETADDR_IP4 || r->has_ip6)
			ret->addresses[ret->address_count++] = own->addresses[i];
	}
	snprintf(ret->interface, sizeof(ret->interface), "%s", tun_device_name(r->tun));
	ret->mtu_bytes = r->app->config->mtu_bytes;
	ret->certificate_left_s =
		own->not_after_s > (int64_t)unix_s ? (uint64_t)own->not_after_s - unix_s : 0;
	fill_rendezvous(r, &ret->rendezvous);
	fill_candidates(r, ret);
	fill_servers(r, ret);
	ret->helper = signal_client_helper_pid(r->signal) ? CONTROL_HELPER_RUNNING
							  : CONTROL_HELPER_RESTARTING;
	ret->helper_restarts = (uint32_t)signal_client_restarts(r->signal);
	fill_data(r, &ret->data);
	data_plane_drops(r->data, &ret->drops);
	add_drops(&ret->drops, overlay_drops(r->overlay));
	add_drops(&ret->drops, overlay_ice_drops(r->overlay));
}

void status_fill(void *ctx, struct control_status *ret)
{
	const struct app *a = ctx;

	snprintf(ret->network, sizeof(ret->network), "%s", a->state->network);
	snprintf(ret->name, sizeof(ret->name), "%s", a->state->name);
	ret->state = app_state(a);
	ret->since_ms = age_ms(a->since_us);
	ret->wanted_up = a->state->wanted_up;
	ret->certificate_left_s = CONTROL_NEVER;
	ret->rendezvous.last_error_ms = CONTROL_NEVER;
	ret->rendezvous.retry_ms = CONTROL_NEVER;
	if (a->problem != PROBLEM_NONE)
		snprintf(ret->reason, sizeof(ret->reason), "%.100s: %.140s",
			 problem_text(a->problem), a->problem_detail);
	if (a->run)
		fill_run(a->run, ret);
	if (a->run && ret->rendezvous.reason[0])
		snprintf(ret->reason, sizeof(ret->reason), "%s", ret->rendezvous.reason);
}

void status_path(struct run *r, const struct ice_path *path, struct control_path *ret)
{
	enum turn_transport transport;
	const struct app_server *s;
	uint32_t id;

	bool relayed =
		path->local_type == ICE_CANDIDATE_RELAY || path->remote_type == ICE_CANDIDATE_RELAY;

	*ret = (struct control_path){
		.kind = relayed ? CONTROL_PATH_RELAYED : CONTROL_PATH_DIRECT,
		.local_type = (enum control_candidate_type)path->local_type,
		.local = path->local,
		.remote_type = (enum control_candidate_type)path->remote_type,
		.remote = path->remote,
		.rtt_us = path->rtt_us,
		.nominated = path->nominated,
	};
	if (!overlay_relay_of_path(r->overlay, path, &id, &transport))
		return;
	s = servers_find(r, id);
	snprintf(ret->relay, sizeof(ret->relay), "%s", s ? s->text : "a server of before");
}

enum control_peer_state status_peer_state(const struct overlay_peer_info *info)
{
	switch (info->state) {
	case OVERLAY_PEER_IDLE:
	case OVERLAY_PEER_STATE_COUNT:
		break;
	case OVERLAY_PEER_LOOKUP:
		return CONTROL_PEER_LOOKING_UP;
	case OVERLAY_PEER_OFFERING:
		return CONTROL_PEER_EXCHANGING;
	case OVERLAY_PEER_CHECKING:
		return CONTROL_PEER_CHECKING;
	case OVERLAY_PEER_CONNECTED:
		return CONTROL_PEER_CONNECTED;
	case OVERLAY_PEER_ROAMING:
		return CONTROL_PEER_ROAMING;
	case OVERLAY_PEER_FAILED:
		return info->reason == OVERLAY_REASON_ABSENT ? CONTROL_PEER_ABSENT
		       : info->reason == OVERLAY_REASON_LOST ? CONTROL_PEER_LOST
							     : CONTROL_PEER_FAILED;
	}
	return CONTROL_PEER_IDLE;
}

static void fill_peer(struct run *r, const struct overlay_peer_info *info, struct control_peer *ret)
{
	struct data_stats stats;

	snprintf(ret->name, sizeof(ret->name), "%s", info->name);
	for (size_t i = 0; info->member && i < info->member->address_count; i++)
		ret->addresses[ret->address_count++] = member_address(info->member, i);
	ret->online_known = info->member != NULL;
	ret->online = info->present;
	ret->state = status_peer_state(info);
	ret->restarts = info->restarts;
	ret->switches = info->switches;
	ret->restart_failures = info->restart_failures;
	if (info->restart_us) {
		ret->restart_ms = age_ms(info->restart_us);
		snprintf(ret->restart_cause, sizeof(ret->restart_cause), "%s",
			 overlay_restart_cause_text(info->restart_cause));
	}
	ret->since_ms = age_ms(info->since_us);
	ret->has_path = info->has_path;
	if (info->has_path) {
		status_path(r, &info->path, &ret->path);
		ret->path.mtu_bytes = info->path_bytes;
		for (size_t i = 0; i < info->standby_count && i < CONTROL_MAX_STANDBY; i++)
			status_path(r, &info->standby[ret->standby_count++], &ret->standby[i]);
		ret->cipher = info->cipher == AEAD_AES_256_GCM ? CONTROL_CIPHER_AES_256_GCM
							       : CONTROL_CIPHER_CHACHA20_POLY1305;
	}
	data_plane_peer_stats(r->data, info->peer, &stats);
	ret->last_received_ms = age_ms(stats.last_rx_us);
	ret->rx_bytes = stats.rx_bytes;
	ret->rx_packets = stats.rx_packets;
	ret->tx_bytes = stats.tx_bytes + info->tx_bytes;
	ret->tx_packets = stats.tx_packets + info->tx_packets;
	ret->last_error_ms = CONTROL_NEVER;
	if (info->reason != OVERLAY_REASON_NONE) {
		snprintf(ret->last_error, sizeof(ret->last_error), "%s",
			 overlay_reason_text(info->reason));
		ret->last_error_ms = age_ms(info->since_us);
	}
}

bool status_peer(void *ctx, size_t index, struct control_peer *ret)
{
	const struct app *a = ctx;
	struct overlay_peer_info info;
	uint32_t cursor = 0;

	if (!a->run)
		return false;
	while (overlay_next_peer(a->run->overlay, &cursor, &info)) {
		if (!info.name[0])
			continue;
		if (index-- == 0) {
			fill_peer(a->run, &info, ret);
			return true;
		}
	}
	return false;
}
