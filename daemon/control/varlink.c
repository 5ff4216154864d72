/* Varlink messages (varlink.org/Method-Call), without the NUL that ends each. */
#include <string.h>

#include "daemon/control/internal.h"

/* An optional boolean. Return: false when it is there but no boolean. */
static bool get_flag(const json_t *object, const char *key, bool *ret)
{
	const json_t *v = json_object_get(object, key);

	*ret = v && json_is_true(v);
	return !v || json_is_boolean(v);
}

static bool read_request(json_t *json, struct control_request *ret)
{
	struct control_request r = {.json = json};
	json_t *method = json_object_get(json, "method");

	r.parameters = json_object_get(json, "parameters");
	if (!json_is_string(method) || (r.parameters && !json_is_object(r.parameters)))
		return false;
	r.method = json_string_value(method);
	if (!get_flag(json, "more", &r.more) || !get_flag(json, "oneway", &r.oneway) ||
	    !get_flag(json, "upgrade", &r.upgrade))
		return false;
	*ret = r;
	return true;
}

bool control_request_parse(const char *text, size_t len, struct control_request *ret)
{
	json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);

	if (json && read_request(json, ret))
		return true;
	json_decref(json);
	return false;
}

json_t *control_varlink_reply(json_t *parameters, bool continues)
{
	json_t *message = json_object();

	if (json_object_set_new(message, "parameters", parameters) != 0 ||
	    (continues && json_object_set_new(message, "continues", json_true()) != 0)) {
		json_decref(message);
		return NULL;
	}
	return message;
}

json_t *control_varlink_error(const char *name, const char *key, const char *value)
{
	json_t *parameters = json_object();
	json_t *message = json_object();

	if (key && json_object_set_new(parameters, key, control_text_json(value)) != 0)
		goto err_message;
	if (json_object_set_new(message, "error", json_string(name)) != 0)
		goto err_message;
	if (json_object_set_new(message, "parameters", parameters) != 0) {
		/* It was taken over even so. */
		parameters = NULL;
		goto err_message;
	}
	return message;

err_message:
	json_decref(parameters);
	json_decref(message);
	return NULL;
}
