/* How the application answers. */
#include <stdlib.h>
#include <string.h>

#include "daemon/control/internal.h"

void control_call_set_data(struct control_call *call, void *data)
{
	call->data = data;
}

void *control_call_get_data(const struct control_call *call)
{
	return call->data;
}

/* The client is free for its next message, but not within this call of the application. */
static void end(struct control_call *call)
{
	struct control_client *c = call->client;

	c->call = NULL;
	free(call);
	control_client_process_later(c);
}

static void send_message(struct control_call *call, json_t *message)
{
	if (call->oneway || call->client->closing)
		json_decref(message);
	else
		control_client_send(call->client, message);
}

void control_call_send(struct control_call *call, json_t *parameters, bool last)
{
	if (last || call->more)
		send_message(call, control_varlink_reply(parameters, !last));
	else
		json_decref(parameters);
	if (last)
		end(call);
}

void control_call_fail(struct control_call *call, json_t *error)
{
	send_message(call, error);
	end(call);
}

void control_call_cancel(struct control_call *call)
{
	const struct control_params *params = &call->client->server->params;

	params->ops->cancelled(params->ctx, call);
	call->client->call = NULL;
	free(call);
}

void control_reply_done(struct control_call *call)
{
	control_call_send(call, json_object(), true);
}

void control_reply_joined(struct control_call *call, const struct control_joined *joined)
{
	json_t *addresses = control_addresses_json(joined->addresses, joined->address_count);

	control_call_send(call,
			  json_pack("{s:o, s:o, s:o}", "network",
				    control_text_json(joined->network), "name",
				    control_text_json(joined->name), "addresses", addresses),
			  true);
}

void control_reply_progress(struct control_call *call, enum control_state state, const char *text,
			    bool last)
{
	control_call_send(call,
			  json_pack("{s:s, s:o}", "state", control_state_name(state), "text",
				    control_text_json(text)),
			  last);
}

void control_reply_pong(struct control_call *call, const struct control_pong *pong, bool last)
{
	char address[NETADDR_TEXT_BYTES];
	json_t *path = pong->has_path && !pong->lost ? control_path_json(&pong->path) : NULL;
	json_t *json = json_pack("{s:I, s:b, s:o}", "seq", (json_int_t)pong->seq, "lost",
				 (int)pong->lost, "name", control_text_json(pong->name));

	if (pong->address.family != NETADDR_NONE)
		(void)json_object_set_new(json, "address",
					  json_string(netaddr_format_ip(&pong->address, address)));
	if (!pong->lost)
		(void)json_object_set_new(json, "rtt_us", json_integer((json_int_t)pong->rtt_us));
	if (path)
		(void)json_object_set_new(json, "path", path);
	control_call_send(call, json, last);
}

void control_reply_event(struct control_call *call, const struct control_event *event)
{
	json_t *json = json_pack("{s:f, s:s, s:o}", "time", (double)event->unix_us / 1e6, "kind",
				 control_event_kind_name(event->kind), "text",
				 control_text_json(event->text));

	if (*event->peer)
		(void)json_object_set_new(json, "peer", control_text_json(event->peer));
	if (event->has_state)
		(void)json_object_set_new(json, "state",
					  json_string(control_peer_state_name(event->state)));
	if (event->has_path)
		(void)json_object_set_new(json, "path", control_path_json(&event->path));
	control_call_send(call, json ? json_pack("{s:o}", "event", json) : NULL, false);
}

void control_reply_problem(struct control_call *call, enum problem problem, const char *detail)
{
	char name[128];
	json_t *parameters, *message;

	if (!problem_is_wire(problem))
		problem = PROBLEM_INTERNAL;
	snprintf(name, sizeof(name), CONTROL_INTERFACE ".%s", problem_name(problem));
	parameters = json_pack("{s:s, s:s, s:o*}", "text", problem_text(problem), "advice",
			       problem_advice(problem), "detail",
			       detail && *detail ? control_text_json(detail) : NULL);
	message = json_pack("{s:s, s:o}", "error", name, "parameters", parameters);
	control_call_fail(call, message);
}
