#include "daemon/core/ice/description.h"

#include <string.h>

static bool is_ice_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '+' || c == '/';
}

bool ice_is_ice_chars(const char *text, size_t min, size_t max)
{
	size_t len = strnlen(text, max + 1);

	if (len < min || len > max)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!is_ice_char(text[i]))
			return false;
	}
	return true;
}

static bool is_visible(const char *text, size_t min, size_t max)
{
	size_t len = strnlen(text, max + 1);

	if (len < min || len > max)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < 0x21 || text[i] > 0x7e)
			return false;
	}
	return true;
}

static bool extensions_are_valid(const struct ice_extension *x, size_t count, size_t max)
{
	if (count > max)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!is_visible(x[i].name, 1, ICE_EXTENSION_NAME_MAX_BYTES) ||
		    !is_visible(x[i].value, 0, ICE_EXTENSION_VALUE_MAX_BYTES))
			return false;
	}
	return true;
}

enum err ice_candidate_check(const struct ice_candidate *c)
{
	if ((unsigned int)c->type >= ICE_CANDIDATE_TYPE_COUNT || c->priority == 0 ||
	    !ice_is_ice_chars(c->foundation, 1, ICE_FOUNDATION_MAX_BYTES))
		return ERR_INVALID;
	if (netaddr_ip_bytes(&c->addr) == 0 || c->addr.port == 0)
		return ERR_INVALID;
	if (!extensions_are_valid(c->extensions, c->extension_count, ICE_MAX_CANDIDATE_EXTENSIONS))
		return ERR_INVALID;
	return OK;
}

enum err ice_description_check(const struct ice_description *d)
{
	if (!ice_is_ice_chars(d->ufrag, ICE_UFRAG_MIN_BYTES, ICE_UFRAG_MAX_BYTES) ||
	    !ice_is_ice_chars(d->pwd, ICE_PWD_MIN_BYTES, ICE_PWD_MAX_BYTES))
		return ERR_INVALID;
	if (d->option_count > ICE_MAX_OPTIONS || d->candidate_count > ICE_MAX_CANDIDATES ||
	    !extensions_are_valid(d->extensions, d->extension_count, ICE_MAX_EXTENSIONS))
		return ERR_INVALID;
	for (size_t i = 0; i < d->option_count; i++) {
		if (!is_visible(d->options[i], 1, ICE_OPTION_MAX_BYTES))
			return ERR_INVALID;
	}
	for (size_t i = 0; i < d->candidate_count; i++) {
		enum err err = ice_candidate_check(&d->candidates[i]);

		if (err != OK)
			return err;
	}
	return OK;
}

bool ice_description_has_option(const struct ice_description *d, const char *name)
{
	for (size_t i = 0; i < d->option_count && i < ICE_MAX_OPTIONS; i++) {
		if (strncmp(d->options[i], name, sizeof(d->options[i])) == 0)
			return true;
	}
	return false;
}
