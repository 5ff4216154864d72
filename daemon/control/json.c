/* The plain structures of status.h as the JSON of docs/icetun.varlink. */
#include <stdlib.h>
#include <string.h>

#include "daemon/control/internal.h"

/* An object under construction. Failure (no memory) is sticky; build_end() gives NULL then. */
struct build {
	json_t *object;
	bool failed;
};

static struct build build_begin(void)
{
	struct build b = {.object = json_object()};

	b.failed = !b.object;
	return b;
}

static json_t *build_end(struct build *b)
{
	if (!b->failed)
		return b->object;
	json_decref(b->object);
	return NULL;
}

/* Takes over @value. */
static void put(struct build *b, const char *key, json_t *value)
{
	if (json_object_set_new(b->object, key, value) != 0)
		b->failed = true;
}

static void put_number(struct build *b, const char *key, uint64_t v)
{
	put(b, key, json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v));
}

static void put_text(struct build *b, const char *key, const char *text)
{
	put(b, key, control_text_json(text));
}

/* The three that leave the key out when the value says so. */
static void put_text_if(struct build *b, const char *key, const char *text)
{
	if (*text)
		put_text(b, key, text);
}

static void put_age_if(struct build *b, const char *key, uint64_t ms)
{
	if (ms != CONTROL_NEVER)
		put_number(b, key, ms);
}

static void put_number_if(struct build *b, const char *key, uint64_t v)
{
	if (v)
		put_number(b, key, v);
}

static void put_address(struct build *b, const char *key, const struct netaddr *a)
{
	char text[NETADDR_TEXT_BYTES];

	put_text(b, key, netaddr_format(a, text));
}

json_t *control_text_json(const char *text)
{
	json_t *json = json_string(text);
	char *clean;

	if (json)
		return json;
	clean = strdup(text);
	if (!clean)
		return NULL;
	for (char *p = clean; *p; p++) {
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	}
	json = json_string(clean);
	free(clean);
	return json;
}

/* Appends @value, which it takes over, to @array. Return: false without memory. */
static bool append(json_t *array, json_t *value)
{
	return json_array_append_new(array, value) == 0;
}

static json_t *array_or_null(json_t *array, bool ok)
{
	if (ok)
		return array;
	json_decref(array);
	return NULL;
}

json_t *control_addresses_json(const struct netaddr *addresses, size_t count)
{
	char text[NETADDR_TEXT_BYTES];
	json_t *array = json_array();
	bool ok = array;

	for (size_t i = 0; i < count && i < CONTROL_MAX_ADDRESSES; i++)
		ok = ok && append(array, json_string(netaddr_format_ip(&addresses[i], text)));
	return array_or_null(array, ok);
}

json_t *control_path_json(const struct control_path *path)
{
	struct build b = build_begin();

	put_text(&b, "kind", control_path_kind_name(path->kind));
	put_text(&b, "local_type", control_candidate_type_name(path->local_type));
	put_address(&b, "local", &path->local);
	put_text(&b, "remote_type", control_candidate_type_name(path->remote_type));
	put_address(&b, "remote", &path->remote);
	put_number_if(&b, "rtt_us", path->rtt_us);
	put(&b, "nominated", json_boolean(path->nominated));
	put_number_if(&b, "mtu_bytes", path->mtu_bytes);
	put_text_if(&b, "relay", path->relay);
	return build_end(&b);
}

static json_t *traffic_json(uint64_t bytes, uint64_t packets)
{
	struct build b = build_begin();

	put_number(&b, "bytes", bytes);
	put_number(&b, "packets", packets);
	return build_end(&b);
}

static json_t *restarts_json(const struct control_peer *peer)
{
	struct build b = build_begin();

	put_number(&b, "begun", peer->restarts);
	put_number(&b, "switched", peer->switches);
	put_number(&b, "failed", peer->restart_failures);
	put_age_if(&b, "last_ms", peer->restart_ms);
	put_text_if(&b, "last_cause", peer->restart_cause);
	return build_end(&b);
}

static json_t *standby_json(const struct control_peer *peer)
{
	json_t *array = json_array();
	bool ok = array;

	for (size_t i = 0; i < peer->standby_count; i++)
		ok = ok && append(array, control_path_json(&peer->standby[i]));
	return array_or_null(array, ok);
}

json_t *control_peer_json(const struct control_peer *peer)
{
	struct build b = build_begin();

	put_text(&b, "name", peer->name);
	put(&b, "addresses", control_addresses_json(peer->addresses, peer->address_count));
	if (peer->online_known)
		put(&b, "online", json_boolean(peer->online));
	put_text(&b, "state", control_peer_state_name(peer->state));
	put_number(&b, "since_ms", peer->since_ms);
	if (peer->has_path) {
		put(&b, "path", control_path_json(&peer->path));
		put(&b, "standby", standby_json(peer));
	}
	put_text_if(&b, "cipher", control_cipher_name(peer->cipher));
	put_age_if(&b, "last_received_ms", peer->last_received_ms);
	put(&b, "sent", traffic_json(peer->tx_bytes, peer->tx_packets));
	put(&b, "received", traffic_json(peer->rx_bytes, peer->rx_packets));
	put(&b, "restarts", restarts_json(peer));
	if (*peer->last_error) {
		put_text(&b, "last_error", peer->last_error);
		put_age_if(&b, "last_error_ms", peer->last_error_ms);
	}
	return build_end(&b);
}

static json_t *server_json(const struct control_server_status *server)
{
	struct build b = build_begin();

	put_text_if(&b, "endpoint", server->endpoint);
	put_text_if(&b, "transport", server->transport);
	put_text(&b, "state", control_server_state_name(server->state));
	put_number(&b, "since_ms", server->since_ms);
	put_text_if(&b, "reason", server->reason);
	if (*server->last_error) {
		put_text(&b, "last_error", server->last_error);
		put_age_if(&b, "last_error_ms", server->last_error_ms);
	}
	if (server->state == CONTROL_SERVER_WAITING)
		put_age_if(&b, "retry_ms", server->retry_ms);
	put_number_if(&b, "rtt_us", server->rtt_us);
	return build_end(&b);
}

static json_t *servers_json(const struct control_server_status *servers, size_t count)
{
	json_t *array = json_array();
	bool ok = array;

	for (size_t i = 0; i < count && i < CONTROL_MAX_SERVERS; i++)
		ok = ok && append(array, server_json(&servers[i]));
	return array_or_null(array, ok);
}

static json_t *candidates_json(const struct control_status *status)
{
	json_t *array = json_array();
	bool ok = array;

	for (size_t i = 0; i < status->candidate_count && i < CONTROL_MAX_CANDIDATES; i++) {
		const struct control_candidate *c = &status->candidates[i];
		struct build b = build_begin();

		put_text(&b, "type", control_candidate_type_name(c->type));
		put_address(&b, "address", &c->addr);
		ok = append(array, build_end(&b)) && ok;
	}
	return array_or_null(array, ok);
}

static json_t *drops_json(const struct drop_counters *drops)
{
	json_t *array = json_array();
	bool ok = array;

	for (unsigned int i = 0; i < ERR_COUNT; i++) {
		struct build b;

		if (!err_is_drop((enum err)i) || !drops->count[i])
			continue;
		b = build_begin();
		put_text(&b, "reason", err_name((enum err)i));
		put_number(&b, "count", drops->count[i]);
		ok = append(array, build_end(&b)) && ok;
	}
	return array_or_null(array, ok);
}

static json_t *offloads_json(const struct control_data *data)
{
	json_t *array = json_array();
	bool ok = array;

	for (unsigned int i = 0; i < CONTROL_OFFLOAD_COUNT; i++) {
		if (data->offloads[i])
			ok = append(array,
				    json_string(control_offload_name((enum control_offload)i))) &&
			     ok;
	}
	return array_or_null(array, ok);
}

static json_t *data_json(const struct control_data *data)
{
	struct build b = build_begin(), out = build_begin(), in = build_begin();

	put_number(&out, "read", data->tun_in);
	put_number(&out, "sent", data->tx_sent);
	put_number(&out, "unrouted", data->tx_unrouted);
	put_number(&out, "too_big", data->tx_too_big);
	put(&out, "drops", drops_json(&data->tx_drops));
	put_number(&in, "datagrams", data->udp_in);
	put_number(&in, "injected", data->rx_injected);
	put_number(&in, "written", data->rx_tun);
	put_number(&in, "control", data->rx_control);
	put_number(&in, "stun", data->rx_stun);
	put_number(&in, "relayed", data->rx_relayed);
	put_number(&in, "empty", data->rx_empty);
	put(&in, "drops", drops_json(&data->rx_drops));
	put_number(&in, "overflow", data->rx_overflow);
	put_number(&b, "workers", data->workers);
	put(&b, "offloads", offloads_json(data));
	put(&b, "out", build_end(&out));
	put(&b, "in", build_end(&in));
	return build_end(&b);
}

static json_t *helper_json(const struct control_status *status)
{
	struct build b = build_begin();

	put_text(&b, "state", control_helper_state_name(status->helper));
	put_number(&b, "restarts", status->helper_restarts);
	return build_end(&b);
}

json_t *control_status_json(const struct control_status *status, json_t *peers)
{
	struct build b = build_begin();

	put_text(&b, "schema", CONTROL_STATUS_SCHEMA);
	put_text(&b, "version", ICETUN_VERSION);
	put_text(&b, "state", control_state_name(status->state));
	put_number(&b, "since_ms", status->since_ms);
	put_text_if(&b, "reason", status->reason);
	put(&b, "wanted_up", json_boolean(status->wanted_up));
	put_text_if(&b, "network", status->network);
	put_text_if(&b, "name", status->name);
	put(&b, "addresses", control_addresses_json(status->addresses, status->address_count));
	put_text_if(&b, "interface", status->interface);
	put_number_if(&b, "mtu_bytes", status->mtu_bytes);
	if (status->state != CONTROL_STATE_UNJOINED)
		put_age_if(&b, "certificate_left_s", status->certificate_left_s);
	put(&b, "rendezvous", server_json(&status->rendezvous));
	put(&b, "stun", servers_json(status->stun, status->stun_count));
	put(&b, "turn", servers_json(status->turn, status->turn_count));
	put(&b, "candidates", candidates_json(status));
	put(&b, "helper", helper_json(status));
	put(&b, "drops", drops_json(&status->drops));
	if (status->data.workers)
		put(&b, "data", data_json(&status->data));
	put(&b, "peers", peers);
	return build_end(&b);
}
