/* The table of methods: who may call what, with which parameters, and what then happens. */
#include <stdlib.h>
#include <string.h>

#include "daemon/control/internal.h"
#include "daemon/core/cert/identifier.h"

#define SERVICE "org.varlink.service"

static const char service_interface_text[] =
	"# The Varlink service interface; every Varlink service has it.\n"
	"interface " SERVICE "\n"
	"\n"
	"method GetInfo() -> (\n"
	"  vendor: string,\n"
	"  product: string,\n"
	"  version: string,\n"
	"  url: string,\n"
	"  interfaces: []string\n"
	")\n"
	"\n"
	"method GetInterfaceDescription(interface: string) -> (description: string)\n"
	"\n"
	"error InterfaceNotFound (interface: string)\n"
	"error MethodNotFound (method: string)\n"
	"error MethodNotImplemented (method: string)\n"
	"error InvalidParameter (parameter: string)\n"
	"error PermissionDenied ()\n"
	"error ExpectedMore ()\n";

static const char *get_text(const json_t *parameters, const char *key)
{
	return json_string_value(json_object_get(parameters, key));
}

static const struct control_params *params_of(const struct control_call *call)
{
	return &call->client->server->params;
}

static void fail_parameter(struct control_call *call, const char *parameter)
{
	control_call_fail(
		call, control_varlink_error(SERVICE ".InvalidParameter", "parameter", parameter));
}

static void handle_get_info(struct control_call *call, const json_t *parameters)
{
	(void)parameters;
	control_call_send(call,
			  json_pack("{s:s, s:s, s:s, s:s, s:[s, s]}", "vendor", "icetun", "product",
				    "icetund", "version", ICETUN_VERSION, "url", "", "interfaces",
				    SERVICE, CONTROL_INTERFACE),
			  true);
}

static void handle_get_interface(struct control_call *call, const json_t *parameters)
{
	const char *interface = get_text(parameters, "interface");
	const char *text;

	if (strcmp(interface, CONTROL_INTERFACE) == 0) {
		text = control_interface_text;
	} else if (strcmp(interface, SERVICE) == 0) {
		text = service_interface_text;
	} else {
		control_call_fail(call, control_varlink_error(SERVICE ".InterfaceNotFound",
							      "interface", interface));
		return;
	}
	control_call_send(call, json_pack("{s:s}", "description", text), true);
}

static json_t *collect_peers(const struct control_params *params)
{
	json_t *array = json_array();
	struct control_peer peer;

	for (size_t i = 0;; i++) {
		control_peer_init(&peer);
		if (!params->ops->peer(params->ctx, i, &peer))
			return array;
		if (json_array_append_new(array, control_peer_json(&peer)) != 0) {
			json_decref(array);
			return NULL;
		}
	}
}

static void handle_status(struct control_call *call, const json_t *parameters)
{
	const struct control_params *params = params_of(call);
	struct control_status status;

	(void)parameters;
	control_status_init(&status);
	params->ops->status(params->ctx, &status);
	control_call_send(
		call,
		json_pack("{s:o}", "status", control_status_json(&status, collect_peers(params))),
		true);
}

static void handle_peers(struct control_call *call, const json_t *parameters)
{
	(void)parameters;
	control_call_send(call,
			  json_pack("{s:s, s:o}", "schema", CONTROL_PEERS_SCHEMA, "peers",
				    collect_peers(params_of(call))),
			  true);
}

static void handle_join(struct control_call *call, const json_t *parameters)
{
	const struct control_params *params = params_of(call);
	const char *name = get_text(parameters, "name");

	if (identifier_is_valid(name))
		params->ops->join(params->ctx, call, get_text(parameters, "token"), name);
	else
		control_reply_problem(call, PROBLEM_NAME_INVALID, name);
}

static void handle_leave(struct control_call *call, const json_t *parameters)
{
	(void)parameters;
	params_of(call)->ops->leave(params_of(call)->ctx, call);
}

static void handle_up(struct control_call *call, const json_t *parameters)
{
	(void)parameters;
	params_of(call)->ops->up(params_of(call)->ctx, call);
}

static void handle_down(struct control_call *call, const json_t *parameters)
{
	(void)parameters;
	params_of(call)->ops->down(params_of(call)->ctx, call);
}

/* Return: true with the number, or with @preset when it is not given; false outside of the
 * range. */
static bool get_number(const json_t *parameters, const char *key, json_int_t min, json_int_t max,
		       json_int_t preset, uint32_t *ret)
{
	const json_t *v = json_object_get(parameters, key);
	json_int_t n = json_is_integer(v) ? json_integer_value(v) : preset;

	if (n < min || n > max)
		return false;
	*ret = (uint32_t)n;
	return true;
}

static bool is_peer(const char *text)
{
	struct netaddr address;

	return identifier_is_valid(text) || netaddr_parse_ip(text, 0, &address) == OK;
}

static void handle_ping(struct control_call *call, const json_t *parameters)
{
	const struct control_params *params = params_of(call);
	const char *peer = get_text(parameters, "peer");
	uint32_t count, interval_ms;

	if (!get_number(parameters, "count", 1, CONTROL_PING_MAX_COUNT, 1, &count)) {
		fail_parameter(call, "count");
	} else if (!get_number(parameters, "interval_ms", CONTROL_PING_MIN_INTERVAL_MS,
			       CONTROL_PING_MAX_INTERVAL_MS, CONTROL_PING_INTERVAL_MS,
			       &interval_ms)) {
		fail_parameter(call, "interval_ms");
	} else if (count > 1 && !call->more) {
		control_call_fail(call, control_varlink_error(SERVICE ".ExpectedMore", NULL, NULL));
	} else if (!is_peer(peer)) {
		control_reply_problem(call, PROBLEM_PEER_UNKNOWN, peer);
	} else {
		params->ops->ping(params->ctx, call, peer, count, interval_ms);
	}
}

static void handle_restart(struct control_call *call, const json_t *parameters)
{
	const char *peer = get_text(parameters, "peer");

	if (is_peer(peer))
		params_of(call)->ops->restart(params_of(call)->ctx, call, peer);
	else
		control_reply_problem(call, PROBLEM_PEER_UNKNOWN, peer);
}

static void handle_offloads(struct control_call *call, const json_t *parameters)
{
	const struct control_params *params = params_of(call);
	struct control_status status;
	json_t *array = json_array();
	bool ok = array;

	(void)parameters;
	control_status_init(&status);
	params->ops->status(params->ctx, &status);
	for (enum control_offload i = 0; i < CONTROL_OFFLOAD_COUNT; i++) {
		json_t *one = json_pack("{s:s, s:b, s:b}", "name", control_offload_name(i), "on",
					params->ops->offload(params->ctx, i), "used",
					status.data.offloads[i]);

		ok = ok && json_array_append_new(array, one) == 0;
	}
	control_call_send(call, ok ? json_pack("{s:O}", "offloads", array) : NULL, true);
	json_decref(array);
}

static void handle_set_offload(struct control_call *call, const json_t *parameters)
{
	bool on = json_is_true(json_object_get(parameters, "on"));
	const char *name = get_text(parameters, "name");

	for (enum control_offload i = 0; i < CONTROL_OFFLOAD_COUNT; i++) {
		if (strcmp(control_offload_name(i), name) == 0) {
			params_of(call)->ops->set_offload(params_of(call)->ctx, call, i, on);
			return;
		}
	}
	fail_parameter(call, "name");
}

static void handle_events(struct control_call *call, const json_t *parameters)
{
	(void)parameters;
	if (call->more)
		params_of(call)->ops->events(params_of(call)->ctx, call);
	else
		control_call_fail(call, control_varlink_error(SERVICE ".ExpectedMore", NULL, NULL));
}

static const struct control_method methods[] = {
	{.name = SERVICE ".GetInfo", .access = CONTROL_ACCESS_READ, .handle = handle_get_info},
	{.name = SERVICE ".GetInterfaceDescription",
	 .access = CONTROL_ACCESS_READ,
	 .parameters = {{.name = "interface"}},
	 .handle = handle_get_interface},
	{.name = CONTROL_INTERFACE ".Status",
	 .access = CONTROL_ACCESS_READ,
	 .handle = handle_status},
	{.name = CONTROL_INTERFACE ".Peers", .access = CONTROL_ACCESS_READ, .handle = handle_peers},
	{.name = CONTROL_INTERFACE ".Join",
	 .access = CONTROL_ACCESS_CHANGE,
	 .parameters = {{.name = "token"}, {.name = "name"}},
	 .handle = handle_join},
	{.name = CONTROL_INTERFACE ".Leave",
	 .access = CONTROL_ACCESS_CHANGE,
	 .handle = handle_leave},
	{.name = CONTROL_INTERFACE ".Up",
	 .access = CONTROL_ACCESS_CHANGE,
	 .many = true,
	 .handle = handle_up},
	{.name = CONTROL_INTERFACE ".Down", .access = CONTROL_ACCESS_CHANGE, .handle = handle_down},
	{.name = CONTROL_INTERFACE ".Ping",
	 .access = CONTROL_ACCESS_READ,
	 .many = true,
	 .parameters = {{.name = "peer"},
			{.name = "count", .type = CONTROL_PARAMETER_NUMBER, .optional = true},
			{.name = "interval_ms",
			 .type = CONTROL_PARAMETER_NUMBER,
			 .optional = true}},
	 .handle = handle_ping},
	{.name = CONTROL_INTERFACE ".RestartIce",
	 .access = CONTROL_ACCESS_CHANGE,
	 .parameters = {{.name = "peer"}},
	 .handle = handle_restart},
	{.name = CONTROL_INTERFACE ".Offloads",
	 .access = CONTROL_ACCESS_READ,
	 .handle = handle_offloads},
	{.name = CONTROL_INTERFACE ".SetOffload",
	 .access = CONTROL_ACCESS_CHANGE,
	 .parameters = {{.name = "name"}, {.name = "on", .type = CONTROL_PARAMETER_SWITCH}},
	 .handle = handle_set_offload},
	{.name = CONTROL_INTERFACE ".Events",
	 .access = CONTROL_ACCESS_READ,
	 .many = true,
	 .handle = handle_events},
};

const struct control_method *control_method_at(size_t index)
{
	return index < ARRAY_SIZE(methods) ? &methods[index] : NULL;
}

static const struct control_method *find_method(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (strcmp(methods[i].name, name) == 0)
			return &methods[i];
	}
	return NULL;
}

/* Whether a method or error of @interface could be called @name. */
static bool is_in_interface(const char *name, const char *interface)
{
	size_t len = strlen(interface);

	return strncmp(name, interface, len) == 0 && name[len] == '.' &&
	       !strchr(name + len + 1, '.');
}

static json_t *unknown_method(const char *name)
{
	char interface[256];
	const char *dot = strrchr(name, '.');

	if (is_in_interface(name, SERVICE) || is_in_interface(name, CONTROL_INTERFACE))
		return control_varlink_error(SERVICE ".MethodNotFound", "method", name);
	snprintf(interface, sizeof(interface), "%.*s", (int)(dot ? dot - name : 0), name);
	return control_varlink_error(SERVICE ".InterfaceNotFound", "interface", interface);
}

static bool parameter_fits(const struct control_parameter *p, const json_t *value)
{
	if (!value || json_is_null(value))
		return p->optional;
	switch (p->type) {
	case CONTROL_PARAMETER_TEXT:
		return json_is_string(value);
	case CONTROL_PARAMETER_NUMBER:
		return json_is_integer(value);
	case CONTROL_PARAMETER_SWITCH:
		return json_is_boolean(value);
	}
	return false;
}

static const struct control_parameter *find_parameter(const struct control_method *method,
						      const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(method->parameters) && method->parameters[i].name; i++) {
		if (strcmp(method->parameters[i].name, name) == 0)
			return &method->parameters[i];
	}
	return NULL;
}

/* Return: the name of the parameter that is missing, unknown or of a wrong type; NULL for none. */
static const char *wrong_parameter(const struct control_method *method, json_t *parameters)
{
	const char *name;
	json_t *value;

	json_object_foreach(parameters, name, value)
	{
		if (!find_parameter(method, name))
			return name;
	}
	for (size_t i = 0; i < ARRAY_SIZE(method->parameters) && method->parameters[i].name; i++) {
		const struct control_parameter *p = &method->parameters[i];

		if (!parameter_fits(p, json_object_get(parameters, p->name)))
			return p->name;
	}
	return NULL;
}

void control_method_dispatch(struct control_client *c, const struct control_request *request)
{
	const struct control_method *method = find_method(request->method);
	struct control_call *call = calloc(1, sizeof(*call));
	const char *wrong;

	if (!call) {
		control_client_close(c);
		return;
	}
	*call = (struct control_call){.client = c, .method = method, .oneway = request->oneway};
	c->call = call;
	if (!method) {
		control_call_fail(call, unknown_method(request->method));
		return;
	}
	call->more = request->more && method->many;
	if (c->access < method->access) {
		c->server->counters.denied++;
		control_call_fail(call,
				  control_varlink_error(SERVICE ".PermissionDenied", NULL, NULL));
		return;
	}
	wrong = request->upgrade ? "upgrade" : wrong_parameter(method, request->parameters);
	if (wrong)
		fail_parameter(call, wrong);
	else
		method->handle(call, request->parameters);
}
